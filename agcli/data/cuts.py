"""Dev and test cut from train, so that no text (and no document) is on both sides of a cut."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Literal, get_args

from agcli.data.groups import fitting_groups, linked_rows, place
from agcli.data.pairs import Pair, folded
from agcli.errors import DataError

GroupBy = Literal["document", "text", "first-text", "pair"]
GROUP_BY: tuple[GroupBy, ...] = get_args(GroupBy)  # each links fewer rows than the one before
SHARED = {"document": "a document or a text", "text": "a text", "first-text": "the first text", "pair": "both texts"}
_ORDERS = 20
"""Orders that are tried before a draw of one label counts as a failure: a rare label is in one of ten draws or so."""


@dataclass(frozen=True)
class Cut:
    """How a split was cut from train.

    Attributes:
        fraction: part of all rows of train that was wanted.
        seed: seed of the cut.
        rows: rows of the new split.
        groups: groups of linked rows that it consists of.
        by: what links rows.
        why: why no stronger link was taken; empty where the strongest was, or where the user chose.
    """

    fraction: float
    seed: int
    rows: int
    groups: int
    by: GroupBy
    why: str = ""


def cut(
    train: Sequence[Pair], split: str, fraction: float, seed: int, group_by: GroupBy | None = None, whole: int = 0
) -> tuple[list[Pair], list[Pair], Cut]:
    """Cut a split from train by whole groups of linked rows; both keep their order.

    Groups are ordered by a hash of the seed and their least text, and each is taken that still fits. So the cut depends
    on no library's random stream and not on the file's order, the `.txt` and `.tsv` form of one data set give one dev,
    and one large group does not become a dev as large as train. Where no group fits, the smallest one is taken.

    Args:
        train: the rows to cut from.
        split: name of the new split.
        fraction: part of `whole` that is wanted.
        seed: seed of the order.
        group_by: `text`: rows with a text in common, in whichever column and apart from case and spaces; `document`:
            these, and rows with a document in common; `pair`: rows that hold the same two texts, in either order;
            `first-text`: these, and rows with the first text in common. None: the first of document (where there are
            some), text, first-text and pair that allows the cut.
        whole: number of rows that `fraction` is a part of; 0: those of `train`.

    Returns:
        What stays in train, the new split, and how it was cut.

    Raises:
        DataError: the groups allow no split of at least half the wanted size with two labels; or documents are to be
            kept together, and no pair names one.
    """
    documents = any(pair.document for pair in train)
    if group_by == "document" and not documents:
        raise DataError("--group-by document: no pair names its document", hint="name the column: --document COLUMN")
    why = ""
    for by in (group_by,) if group_by else GROUP_BY[0 if documents else 1 :]:
        groups = linked_rows(_keys(pair, by) for pair in train)
        names = [_name(train, group, by) for group in groups]
        wanted = fraction * (whole or len(train))
        orders: list[int | str] = [seed, *(f"{seed}.{number}" for number in range(1, _ORDERS))]
        for order in orders:
            chosen = _chosen(groups, names, ceil(round(wanted, 6)), order)
            inside = {row for number in chosen for row in groups[number]}
            taken = [pair for row, pair in enumerate(train) if row in inside]
            rest = [pair for row, pair in enumerate(train) if row not in inside]
            if 2 * len(taken) < wanted:
                break
            if min(_labels(taken), _labels(rest)) >= min(2, _labels(train)):
                return rest, taken, Cut(fraction, seed, len(taken), len(chosen), by, why)
        largest = max(map(len, groups), default=0)
        why = why or (
            f"where rows that share {SHARED[by]} stay together, {len(taken)} of the {wanted:.0f} wanted rows "
            f"({_labels(taken)} labels) can be spared: the largest of {len(groups)} group(s) has {largest} of "
            f"{len(train)} rows"
        )
    weaker = [f"--group-by {other}" for other in GROUP_BY[GROUP_BY.index(group_by or "pair") + 1 :]]
    raise DataError(
        f"{split} cannot be cut from train: {why}",
        hint=f"{' or '.join(weaker)} keeps fewer rows together; what the splits then share is counted"
        if weaker
        else f"give a file of its own: --{split} FILE",
    )


def _keys(pair: Pair, by: GroupBy) -> list[Hashable]:
    """What links a row to others."""
    texts = folded(pair.text_a), folded(pair.text_b)
    if by in ("first-text", "pair"):
        return [frozenset(texts), *(texts[:1] if by == "first-text" else ())]
    return [*texts, ("document", pair.document)] if by == "document" and pair.document else [*texts]


def _name(train: Sequence[Pair], group: Sequence[int], by: GroupBy) -> str:
    """A text that no other group has."""
    if by == "pair":
        return min(f"{train[row].text_a}\0{train[row].text_b}" for row in group)
    return min(train[row].text_a for row in group)


def _chosen(groups: Sequence[Sequence[int]], names: Sequence[str], rows: int, seed: int | str) -> list[int]:
    """The groups that fit; else the smallest one, unless it is more than half of all."""
    chosen = fitting_groups(groups, names, rows, seed)
    if chosen or not groups:
        return chosen
    least = min(range(len(groups)), key=lambda number: (len(groups[number]), place(names[number], seed)))
    return [least] if 2 * len(groups[least]) <= sum(map(len, groups)) else []


def _labels(pairs: Sequence[Pair]) -> int:
    return len({pair.label for pair in pairs})
