"""Checks of ranking data: ids, texts, relevance judgments of what is absent, and what two splits share.

What would silently change a score is an error; the rest is counted and reported.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agcli.data.checks import check_ids, dropped_text, shared_between
from agcli.data.pairs import folded
from agcli.data.ranking.collection import Documents, Qrel, RankingSplit, check_cells
from agcli.data.request import NegativeGrades
from agcli.errors import DataError

Splits = dict[str, RankingSplit]
Shared = dict[str, dict[str, Any]]
"""By `earlier/later`: how many of the later split's are `shared`, `of` how many, and an `example` in words."""
TWICE = "relevance judgment that occurs twice"
NO_DOCUMENT = "relevance judgment of a document that is not in the corpus"
EMPTY_DOCUMENT = "relevance judgment of a document without text"
NO_QUERY = "relevance judgment of a query that is not there"
_NAMED = 5


def check_queries(splits: Splits) -> None:
    """Check that every query has an id of its own over all splits, and a text.

    Raises:
        DataError: an id that TREC files cannot hold or that occurs twice, or an empty query.
    """
    for split in splits.values():
        for query in split.queries:
            check_cells(split.file, query.row, "query", query.id, query.text)
            if not query.text:
                raise DataError("a query without text", file=split.file, row=query.row, value=query.id)
    rows = ((name, split.file, query.row, query.id) for name, split in splits.items() for query in split.queries)
    check_ids("query id", rows)


def check_grades(split: RankingSplit, negative: NegativeGrades) -> tuple[RankingSplit, int]:
    """The split without grades below 0, and how many there were.

    Some collections grade junk -1 or -2. All measures here take such a document for one that is not relevant.

    Raises:
        DataError: there is one, and `negative` is `refuse`.
    """
    below = [qrel for qrel in split.qrels if qrel.relevance < 0]
    if not below:
        return split, 0
    if negative == "refuse":
        raise DataError(
            f"{len(below)} grade(s) below 0",
            file=split.qrels_file,
            row=below[0].row,
            column="relevance",
            value=below[0].relevance,
            allowed=["a whole number from 0 (0: judged, not relevant)"],
            hint="--negative-grades as-zero takes them for not relevant, --negative-grades drop leaves them out",
        )
    kept = [qrel._replace(relevance=max(qrel.relevance, 0)) for qrel in split.qrels]
    if negative == "drop":
        kept = [qrel for qrel in split.qrels if qrel.relevance >= 0]
    return replace(split, qrels=kept), len(below)


def check_qrels(name: str, split: RankingSplit, documents: Documents, drop: bool) -> tuple[RankingSplit, Counter[str]]:
    """The split with the relevance judgments that can be kept, and how many were dropped for each reason.

    Dropped in any case: one that occurs twice, one of grade 0 for an absent document, and one of an absent query of
    train. The others are dropped only where `drop`.

    Raises:
        DataError: a relevant document that is absent or empty, a relevant document of an absent query of a held-out
            split, two relevance judgments that contradict each other, or none that can be kept.
    """
    queries = {query.id for query in split.queries}
    kept: dict[tuple[str, str], Qrel] = {}
    dropped: Counter[str] = Counter()
    wrong: dict[str, list[Qrel]] = defaultdict(list)
    for qrel in split.qrels:
        problem = _problem(qrel, queries, documents)
        first = kept.get((qrel.query, qrel.document))
        if problem:
            dropped[problem] += 1
            if qrel.relevance and not (problem == NO_QUERY and name == "train"):
                wrong[problem].append(qrel)
        elif first is None:
            kept[qrel.query, qrel.document] = qrel
        elif first.relevance != qrel.relevance:
            raise DataError(
                f"contradicts the relevance judgment in row {first.row}",
                detail=f"Relevance {qrel.relevance} here, {first.relevance} there.",
                file=split.qrels_file,
                row=qrel.row,
                value=f"{qrel.query} {qrel.document}",
            )
        else:
            dropped[TWICE] += 1
    if wrong and not drop:
        raise _refusal(split.qrels_file, wrong)
    if split.qrels and not kept:
        raise DataError(f"no relevance judgment of {name} is left ({dropped_text(dropped)})", file=split.qrels_file)
    return replace(split, qrels=list(kept.values())), dropped


def _problem(qrel: Qrel, queries: set[str], documents: Documents) -> str:
    if qrel.query not in queries:
        return NO_QUERY
    place = documents.places.get(qrel.document)
    if place is None:
        return NO_DOCUMENT
    return EMPTY_DOCUMENT if place in documents.blank and qrel.relevance else ""


def _refusal(file: str, wrong: Mapping[str, Sequence[Qrel]]) -> DataError:
    """The error for the first problem, with the first five relevance judgments that have it."""
    problem, qrels = next(iter(wrong.items()))
    first = qrels[0]
    named = [f"row {item.row}: {item.query:.40} {item.document:.40}" for item in qrels[:_NAMED]]
    return DataError(
        f"{problem}: {len(qrels)} relevant (query, document)",
        detail="; ".join(named) + ("; ..." if len(qrels) > _NAMED else "."),
        file=file,
        row=first.row,
        value=first.query if problem == NO_QUERY else first.document,
        hint="dropping them would change scores unseen; --drop-missing drops them all the same, and counts them",
    )


def query_warnings(name: str, split: RankingSplit) -> Iterator[str]:
    """Warnings of queries that cannot be scored."""
    judged = {qrel.query for qrel in split.qrels}
    without = sum(1 for query in split.queries if query.id not in judged)
    count = len(split.queries)
    if without:
        yield f"{name}: {without} of {count} queries have no relevance judgment; they cannot be scored or trained on"
    irrelevant = len(judged) - len(split.relevant)
    if irrelevant > 0:
        yield f"{name}: {irrelevant} of {count} queries have relevance judgments, but no relevant document"


def shared_items(splits: Splits, secret: bool) -> tuple[Shared, Shared]:
    """Relevant documents, and `folded` texts of queries, that two splits share."""
    documents = {
        name: {document: query for query, documents in split.relevant.items() for document in documents}
        for name, split in splits.items()
    }
    texts = {name: {folded(query.text): query.id for query in split.queries} for name, split in splits.items()}
    return _shared(documents, " share document", secret), _shared(texts, "", secret)


def _shared(holders: Mapping[str, Mapping[str, str]], words: str, secret: bool) -> Shared:
    """What two splits share, given each one's items with the query of each; no example where the data are secret."""
    shared = {}
    for earlier, later, both in shared_between(holders):
        one, other = holders[earlier][both[0]], holders[later][both[0]]
        example = f"query {one:.40} of {earlier} and query {other:.40} of {later}"
        example += f"{words} {both[0]:.40}" if words else ""
        counts = {"shared": len(both), "of": len(holders[later])}
        shared[f"{earlier}/{later}"] = {**counts, "example": "" if secret else example}
    return shared


def shared_warnings(documents: Shared, texts: Shared, disjoint: bool, strict: bool) -> list[str]:
    """Warnings of relevant documents and texts of queries that splits share.

    Args:
        disjoint: the data set's own splits share no relevant document.
        strict: splits that share a relevant document or a text are an error.

    Raises:
        DataError: splits share what they must not.
    """
    original = "no two splits of this data set share an abstract: is this a copy of it with splits of your own?"
    messages = []
    for shared, what in (
        (documents, "relevant documents of {} are relevant in {} too"),
        (texts, "queries of {} have the text of a query of {}"),
    ):
        for names, count in shared.items():
            earlier, later = names.split("/")
            message = f"{count['shared']} of {count['of']} {what.format(later, earlier)}"
            example = f" ({count['example']})" if count["example"] else ""
            of_documents = shared is documents
            if strict or (disjoint and of_documents):
                why = original if disjoint and of_documents else "--strict-splits forbids that"
                raise DataError(f"leak between splits: {message}; {why}", detail=example)
            messages.append(message if of_documents else message + example)
    return messages
