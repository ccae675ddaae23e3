"""Dev and test cut from train, so that no text (or no document) is on both sides of a cut."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from agcli.corpora.groups import fitting_groups, linked_rows, place
from agcli.corpora.pairs import Pair, folded
from agcli.errors import DataError

GroupBy = Literal["text", "document", "pair"]
GROUP_BY: tuple[str, ...] = get_args(GroupBy)


@dataclass(frozen=True)
class Cut:
    """How a split was cut from train.

    Attributes:
        fraction: part of all rows of train that was asked for.
        seed: seed of the cut.
        rows: rows of the new split.
        groups: groups of linked rows that it consists of.
        by: what links rows.
    """

    fraction: float
    seed: int
    rows: int
    groups: int
    by: GroupBy


def grouping(train: Sequence[Pair], group_by: GroupBy | None) -> GroupBy:
    """What links the rows of train: as asked, else documents where there are some, else texts.

    Raises:
        DataError: documents are asked for, and no pair names one.
    """
    documents = any(pair.document for pair in train)
    if group_by == "document" and not documents:
        raise DataError("--group-by document: no pair names its document", hint="name the column: --document COLUMN")
    return group_by or ("document" if documents else "text")


def cut(
    train: Sequence[Pair], split: str, fraction: float, seed: int, by: GroupBy, whole: int | None = None
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
        by: `text`: rows with a text in common, in whichever column and apart from case and spaces; `document`: these,
            and rows with a document in common; `pair`: rows that hold the same two texts.
        whole: number of rows that `fraction` is a part of; None: those of `train`.

    Returns:
        What stays in train, the new split, and how it was cut.

    Raises:
        DataError: the groups allow no split of at least half the size that is wanted.
    """
    groups = linked_rows(_keys(pair, by) for pair in train)
    names = [min(f"{pair.text_a}\0{pair.text_b}" for pair in map(train.__getitem__, group)) for group in groups]
    wanted = fraction * (len(train) if whole is None else whole)
    chosen = fitting_groups(groups, names, max(round(wanted), 1), seed)
    if not chosen:
        least = min(range(len(groups)), key=lambda number: (len(groups[number]), place(names[number], seed)))
        chosen = [least] if 2 * len(groups[least]) <= len(train) else []
    inside = {row for number in chosen for row in groups[number]}
    if not inside or len(inside) == len(train) or 2 * len(inside) < wanted:
        raise _impossible(split, wanted, len(inside), by, groups)
    rest = [pair for row, pair in enumerate(train) if row not in inside]
    taken = [pair for row, pair in enumerate(train) if row in inside]
    return rest, taken, Cut(fraction, seed, len(taken), len(chosen), by)


def _keys(pair: Pair, by: GroupBy) -> Iterator[Hashable]:
    """What links a row to others."""
    texts = folded(pair.text_a), folded(pair.text_b)
    if by == "pair":
        yield frozenset(texts)
        return
    yield from texts
    if by == "document" and pair.document:
        yield "document", pair.document


def _impossible(split: str, wanted: float, rows: int, by: GroupBy, groups: Sequence[Sequence[int]]) -> DataError:
    total = sum(map(len, groups))
    largest = max(map(len, groups), default=0)
    links = {"text": "texts", "document": "documents or texts", "pair": "the whole pair"}[by]
    others = [f"--group-by {other}" for other in GROUP_BY[:: 2 if by != "document" else 1] if other != by]
    return DataError(
        f"{split} cannot be cut: {wanted:.0f} of {total} rows of train are wanted, and only {rows} can be spared, since "
        f"{largest} rows hang together by {links} in common ({len(groups)} group(s) of rows)",
        hint=f"{' or '.join(others)} links fewer rows (what then is shared is counted); or give files: --train FILE "
        f"--{split} FILE"
        if by != "pair"
        else f"give a file of its own: --{split} FILE",
    )
