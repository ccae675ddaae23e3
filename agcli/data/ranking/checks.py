"""What ranking data must pass: ids, texts, judgements of what is not there, and what two splits share.

Whatever would change a score without a word is an error; the rest is reported with counts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agcli.data.checks import check_ids, dropped_text, split_pairs
from agcli.data.pairs import folded
from agcli.data.ranking.collection import Documents, Judgement, RankingSplit, check_cells
from agcli.data.request import NegativeGrades
from agcli.errors import DataError

Splits = dict[str, RankingSplit]
Shared = dict[str, dict[str, Any]]
"""By `earlier/later`: how many of the later split's are `shared`, `of` how many, and an `example` in words."""
TWICE = "judged twice alike"
NO_DOCUMENT = "judgement of a document that is not in the corpus"
EMPTY_DOCUMENT = "judgement of a document without text"
NO_CLAIM = "judgement of a claim that is not there"
_NAMED = 5


def check_claims(splits: Splits) -> None:
    """Whether every claim has an id of its own over all splits, and a text.

    Raises:
        DataError: an id that TREC files cannot hold or that occurs twice, or an empty claim.
    """
    for split in splits.values():
        for claim in split.claims:
            check_cells(split.file, claim.row, "claim", claim.id, claim.text)
            if not claim.text:
                raise DataError("a claim without text", file=split.file, row=claim.row, value=claim.id)
    rows = ((name, split.file, claim.row, claim.id) for name, split in splits.items() for claim in split.claims)
    check_ids("claim id", rows)


def check_grades(split: RankingSplit, negative: NegativeGrades) -> tuple[RankingSplit, int]:
    """The split with grades from 0 alone, and how many of its grades are below.

    Some collections mark junk by -1 or -2. All measures here take such a document for one that is not relevant.

    Raises:
        DataError: there is one, and `negative` is `refuse`.
    """
    below = [judgement for judgement in split.judgements if judgement.relevance < 0]
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
    kept = [judgement._replace(relevance=max(judgement.relevance, 0)) for judgement in split.judgements]
    if negative == "drop":
        kept = [judgement for judgement in split.judgements if judgement.relevance >= 0]
    return replace(split, judgements=kept), len(below)


def check_judgements(
    name: str, split: RankingSplit, documents: Documents, drop: bool
) -> tuple[RankingSplit, Counter[str]]:
    """The split with the judgements that can be kept, and how many were dropped for each reason.

    Dropped in any case: a judgement that says the same twice, one that an absent document is not relevant, and one of
    an absent claim of train. The others are dropped only where `drop`.

    Raises:
        DataError: a relevant document that is absent or empty, a relevant document of an absent claim of a held-out
            split, two judgements that contradict each other, or none that can be kept.
    """
    claims = {claim.id for claim in split.claims}
    kept: dict[tuple[str, str], Judgement] = {}
    dropped: Counter[str] = Counter()
    wrong: dict[str, list[Judgement]] = defaultdict(list)
    for judgement in split.judgements:
        problem = _problem(judgement, claims, documents)
        first = kept.get((judgement.claim, judgement.document))
        if problem:
            dropped[problem] += 1
            if judgement.relevance and not (problem == NO_CLAIM and name == "train"):
                wrong[problem].append(judgement)
        elif first is None:
            kept[judgement.claim, judgement.document] = judgement
        elif first.relevance != judgement.relevance:
            raise DataError(
                f"judged otherwise than in row {first.row}",
                detail=f"Judged {judgement.relevance} here, {first.relevance} there.",
                file=split.qrels_file,
                row=judgement.row,
                value=f"{judgement.claim} {judgement.document}",
            )
        else:
            dropped[TWICE] += 1
    if wrong and not drop:
        raise _refusal(split.qrels_file, wrong)
    if split.judgements and not kept:
        raise DataError(f"no judgement of {name} is left ({dropped_text(dropped)})", file=split.qrels_file)
    return replace(split, judgements=list(kept.values())), dropped


def _problem(judgement: Judgement, claims: set[str], documents: Documents) -> str:
    if judgement.claim not in claims:
        return NO_CLAIM
    place = documents.places.get(judgement.document)
    if place is None:
        return NO_DOCUMENT
    return EMPTY_DOCUMENT if place in documents.blank and judgement.relevance else ""


def _refusal(file: str, wrong: Mapping[str, Sequence[Judgement]]) -> DataError:
    """The error for the first kind of judgement that cannot be kept, with the first five of them."""
    problem, judgements = next(iter(wrong.items()))
    first = judgements[0]
    named = [f"row {item.row}: {item.claim:.40} {item.document:.40}" for item in judgements[:_NAMED]]
    return DataError(
        f"{problem}: {len(judgements)} relevant (claim, document)",
        detail="; ".join(named) + ("; ..." if len(judgements) > _NAMED else "."),
        file=file,
        row=first.row,
        value=first.claim if problem == NO_CLAIM else first.document,
        hint="dropping them would change scores unseen; --drop-missing drops them all the same, and counts them",
    )


def claim_warnings(name: str, split: RankingSplit) -> Iterator[str]:
    """How many claims of a split cannot be scored, and why."""
    judged = {judgement.claim for judgement in split.judgements}
    without = sum(1 for claim in split.claims if claim.id not in judged)
    count = len(split.claims)
    if without:
        yield f"{name}: {without} of {count} claims have no judgement; they cannot be scored or trained on"
    if len(judged) > len(split.relevant):
        yield f"{name}: {len(judged) - len(split.relevant)} of {count} claims have judgements, but no relevant document"


def shared_documents(splits: Splits, secret: bool) -> Shared:
    """Relevant documents of two splits."""
    holders = {
        name: {document: claim for claim, documents in split.relevant.items() for document in documents}
        for name, split in splits.items()
    }
    return _shared(holders, " share document", secret)


def shared_texts(splits: Splits, secret: bool) -> Shared:
    """Texts of claims that two splits hold, apart from case and spaces."""
    holders = {name: {folded(claim.text): claim.id for claim in split.claims} for name, split in splits.items()}
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
        documents: shared relevant documents.
        texts: shared texts of claims.
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
