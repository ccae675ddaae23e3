"""What ranking data must pass: ids, texts, relevance judgments of what is not there, and what two splits share.

Whatever would change a score without a word is an error; the rest is reported with counts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agcli.data.checks import check_ids, dropped_text, split_pairs
from agcli.data.pairs import folded
from agcli.data.ranking.collection import Documents, Qrel, RankingSplit, check_cells
from agcli.data.request import NegativeGrades
from agcli.errors import DataError

Splits = dict[str, RankingSplit]
Shared = dict[str, dict[str, Any]]
"""By `earlier/later`: how many of the later split's are `shared`, `of` how many, and an `example` in words."""
TWICE = "judged twice alike"
NO_DOCUMENT = "judgement of a document that is not in the corpus"
EMPTY_DOCUMENT = "judgement of a document without text"
NO_QUERY = "judgement of a claim that is not there"
_NAMED = 5


def check_queries(splits: Splits) -> None:
    """Whether every query has an id of its own over all splits, and a text.

    Raises:
        DataError: an id that TREC files cannot hold or that occurs twice, or an empty query.
    """
    for split in splits.values():
        for query in split.queries:
            check_cells(split.file, query.row, "claim", query.id, query.text)
            if not query.text:
                raise DataError("a claim without text", file=split.file, row=query.row, value=query.id)
    rows = ((name, split.file, query.row, query.id) for name, split in splits.items() for query in split.queries)
    check_ids("claim id", rows)


def check_grades(split: RankingSplit, negative: NegativeGrades) -> tuple[RankingSplit, int]:
    """The split with grades from 0 alone, and how many of its grades are below.

    Some collections mark junk by -1 or -2. All measures here take such a document for one that is not relevant.

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

    Dropped in any case: a judgment that says the same twice, one that an absent document is not relevant, and one of an
    absent query of train. The others are dropped only where `drop`.

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
                f"judged otherwise than in row {first.row}",
                detail=f"Judged {qrel.relevance} here, {first.relevance} there.",
                file=split.qrels_file,
                row=qrel.row,
                value=f"{qrel.query} {qrel.document}",
            )
        else:
            dropped[TWICE] += 1
    if wrong and not drop:
        raise _refusal(split.qrels_file, wrong)
    if split.qrels and not kept:
        raise DataError(f"no judgement of {name} is left ({dropped_text(dropped)})", file=split.qrels_file)
    return replace(split, qrels=list(kept.values())), dropped


def _problem(qrel: Qrel, queries: set[str], documents: Documents) -> str:
    if qrel.query not in queries:
        return NO_QUERY
    place = documents.places.get(qrel.document)
    if place is None:
        return NO_DOCUMENT
    return EMPTY_DOCUMENT if place in documents.blank and qrel.relevance else ""


def _refusal(file: str, wrong: Mapping[str, Sequence[Qrel]]) -> DataError:
    """The error for the first kind of relevance judgment that cannot be kept, with the first five of them."""
    problem, qrels = next(iter(wrong.items()))
    first = qrels[0]
    named = [f"row {item.row}: {item.query:.40} {item.document:.40}" for item in qrels[:_NAMED]]
    return DataError(
        f"{problem}: {len(qrels)} relevant (claim, document)",
        detail="; ".join(named) + ("; ..." if len(qrels) > _NAMED else "."),
        file=file,
        row=first.row,
        value=first.query if problem == NO_QUERY else first.document,
        hint="dropping them would change scores unseen; --drop-missing drops them all the same, and counts them",
    )


def query_warnings(name: str, split: RankingSplit) -> Iterator[str]:
    """How many queries of a split cannot be scored, and why."""
    judged = {qrel.query for qrel in split.qrels}
    without = sum(1 for query in split.queries if query.id not in judged)
    count = len(split.queries)
    if without:
        yield f"{name}: {without} of {count} claims have no judgement; they cannot be scored or trained on"
    if len(judged) > len(split.relevant):
        yield f"{name}: {len(judged) - len(split.relevant)} of {count} claims have judgements, but no relevant document"


def shared_documents(splits: Splits, secret: bool) -> Shared:
    """Relevant documents of two splits."""
    holders = {
        name: {document: query for query, documents in split.relevant.items() for document in documents}
        for name, split in splits.items()
    }
    return _shared(holders, " share document", secret)


def shared_texts(splits: Splits, secret: bool) -> Shared:
    """Texts of queries that two splits hold, apart from case and spaces."""
    holders = {name: {folded(query.text): query.id for query in split.queries} for name, split in splits.items()}
    return _shared(holders, "", secret)


def _shared(holders: Mapping[str, Mapping[str, str]], words: str, secret: bool) -> Shared:
    """What two splits hold, by what holds it; where the data are secret, without an example."""
    shared = {}
    for earlier, later in split_pairs(holders):
        both = [value for value in holders[later] if value in holders[earlier]]
        if both:
            one, other = holders[earlier][both[0]], holders[later][both[0]]
            example = f"claim {one:.40} of {earlier} and claim {other:.40} of {later}"
            example += f"{words} {both[0]:.40}" if words else ""
            counts = {"shared": len(both), "of": len(holders[later])}
            shared[f"{earlier}/{later}"] = {**counts, "example": "" if secret else example}
    return shared


def shared_warnings(documents: Shared, texts: Shared, disjoint: bool, strict: bool) -> list[str]:
    """Say what splits share.

    Args:
        texts: shared texts of queries.
        disjoint: the data set's own splits share no relevant document.
        strict: splits that share a relevant document or a text are an error.

    Raises:
        DataError: splits share what they must not.
    """
    strictly = "--strict-splits forbids that" if strict else ""
    original = "no two splits of this data set share an abstract: is this a copy of it with splits of your own?"
    messages = []
    for names, count in documents.items():
        earlier, later = names.split("/")
        message = f"{count['shared']} of {count['of']} relevant documents of {later} are relevant in {earlier} too"
        if disjoint or strict:
            raise _leak(message, original if disjoint else strictly, count)
        messages.append(message)
    for names, count in texts.items():
        earlier, later = names.split("/")
        message = f"{count['shared']} of {count['of']} claims of {later} have the text of a claim of {earlier}"
        if strict:
            raise _leak(message, strictly, count)
        messages.append(message + _aside(count))
    return messages


def _leak(message: str, why: str, count: Mapping[str, Any]) -> DataError:
    return DataError(f"leak between splits: {message}; {why}", detail=_aside(count))


def _aside(count: Mapping[str, Any]) -> str:
    """The example in brackets; nothing where it must not be shown."""
    return f" ({count['example']})" if count["example"] else ""
