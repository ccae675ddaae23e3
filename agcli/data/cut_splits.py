"""Dev and test cut from train by whole groups of linked rows, so that what rows share stays on one side.

Groups are ordered by a hash of the seed and a text of theirs, and each is taken that still fits. So a cut depends
neither on a library's random stream nor on the order of a file.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from agcli.data.pairs import Pair, folded
from agcli.data.ranking.collection import RankingSplit
from agcli.data.request import GROUP_BY, GroupBy
from agcli.errors import DataError

SHARED = {"document": "a document or a text", "text": "a text", "first-text": "the first text", "pair": "both texts"}
LINKED_QUERIES = "relevant documents and texts"
_ORDERS = 20
"""Orders that are tried until a draw has two labels."""


@dataclass(frozen=True)
class Cut:
    """How a split was cut from train.

    Attributes:
        fraction: part of all rows of train that was wanted.
        rows: number of rows (queries) of the new split.
        groups: number of groups of linked rows in it.
        why: why a weaker link was taken or there are fewer rows than wanted; else empty.
    """

    fraction: float
    seed: int
    rows: int
    groups: int
    by: str
    why: str = ""


def cut_pairs(
    train: Sequence[Pair], split: str, fraction: float, seed: int, group_by: GroupBy | None = None, whole: int = 0
) -> tuple[list[Pair], list[Pair], Cut]:
    """Cut a split from train; both keep their order. Where no group fits, the smallest one is taken.

    Args:
        fraction: part of `whole` that is wanted.
        group_by: what links rows. `text`: a text in common, in either column, `folded`; `document`: a text or a
            document; `pair`: both texts, in either order; `first-text`: both texts or the first text. None: the first
            of document (where there are some), text, first-text and pair that allows the cut.
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
            chosen = _fitting(groups, names, ceil(round(wanted, 6)), order, or_smallest=True)
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
    hint = f"{' or '.join(weaker)} keeps fewer rows together; what the splits then share is counted"
    raise DataError(
        f"{split} cannot be cut from train: {why}", hint=hint if weaker else f"give a file of its own: --{split} FILE"
    )


def cut_queries(train: RankingSplit, fraction: float, seed: int) -> tuple[RankingSplit, RankingSplit, Cut]:
    """Cut dev from train: queries that share a relevant document or their text stay together; both keep their order.

    Queries without a relevant document stay in train, since dev is there to be scored, but for those whose text goes to
    dev.

    Raises:
        DataError: all queries are linked, or too few have a relevant document.
    """
    documents = train.relevant
    texts = {folded(query.text) for query in train.queries if query.id in documents}
    queries = [query for query in train.queries if folded(query.text) in texts]
    groups = linked_rows(
        [("text", folded(query.text)), *(("document", document) for document in documents.get(query.id, []))]
        for query in queries
    )
    wanted = fraction * len(queries)
    names = [min(queries[row].text for row in group) for group in groups]
    taken = _fitting(groups, names, max(wanted, 1), seed)
    chosen = {queries[row].id for number in taken for row in groups[number]}
    if not chosen or len(taken) == len(groups):
        raise DataError(
            f"dev cannot be cut: {len(queries)} queries with relevant documents are linked to {len(groups)} group(s)"
            f", and none of at most {max(wanted, 1):.0f} queries can be spared",
            file=train.file,
            hint="queries that share a relevant document stay together; give a dev split, or a larger --dev-fraction",
        )
    why = (
        f"dev was cut from train and has {len(chosen)} of {len(queries)} queries, less than half of what "
        f"--dev-fraction {fraction} wants: the others are linked by shared relevant documents"
    )
    cut = Cut(fraction, seed, len(chosen), len(taken), LINKED_QUERIES, why if 2 * len(chosen) < wanted else "")
    dev = replace(_part(train, chosen, True), file=f"{train.file} (cut)")
    return _part(train, chosen, False), dev, cut


def _part(train: RankingSplit, chosen: Collection[str], inside: bool) -> RankingSplit:
    return replace(
        train,
        queries=[query for query in train.queries if (query.id in chosen) == inside],
        qrels=[qrel for qrel in train.qrels if (qrel.query in chosen) == inside],
    )


def linked_rows(keys: Iterable[Iterable[Hashable]]) -> list[list[int]]:
    """The connected components of rows that share a key, each ascending, ordered by their first row.

    Args:
        keys: of each row, at least one.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    numbers: dict[Hashable, int] = {}
    links = [(row, numbers.setdefault(key, len(numbers))) for row, of_row in enumerate(keys) for key in of_row]
    if not links:
        return []
    rows, nodes = np.array(links).T
    size = int(rows[-1]) + 1
    graph = coo_array((np.ones(len(links), dtype=np.int8), (rows, nodes + size)), shape=(size + len(numbers),) * 2)
    _, component = connected_components(graph, directed=False)
    groups: dict[int, list[int]] = defaultdict(list)
    for row, number in enumerate(component[:size].tolist()):
        groups[number].append(row)
    return list(groups.values())


def _fitting(
    groups: Sequence[Sequence[int]], names: Sequence[str], rows: float, seed: int | str, or_smallest: bool = False
) -> list[int]:
    """The groups that fit into the number of rows, taken in an order of their `names` that the seed gives.

    Where none fits and `or_smallest`, the smallest one, unless it is more than half of all rows.
    """

    def place(number: int) -> bytes:
        return hashlib.sha256(f"{seed}\0{names[number]}".encode()).digest()

    chosen, taken = [], 0
    order = sorted(range(len(groups)), key=place)
    for number in order:
        if taken + len(groups[number]) <= rows:
            chosen.append(number)
            taken += len(groups[number])
    if or_smallest and groups and not chosen:
        smallest = min(order, key=lambda number: len(groups[number]))
        if 2 * len(groups[smallest]) <= sum(map(len, groups)):
            return [smallest]
    return chosen


def _keys(pair: Pair, by: GroupBy) -> list[Hashable]:
    """The keys that link a row to others."""
    texts = folded(pair.text_a), folded(pair.text_b)
    if by in ("first-text", "pair"):
        return [frozenset(texts), *(texts[:1] if by == "first-text" else ())]
    return [*texts, ("document", pair.document)] if by == "document" and pair.document else [*texts]


def _name(train: Sequence[Pair], group: Sequence[int], by: GroupBy) -> str:
    """A text that only this group has, whatever the order of its rows."""
    if by == "pair":
        return min(f"{train[row].text_a}\0{train[row].text_b}" for row in group)
    return min(train[row].text_a for row in group)


def _labels(pairs: Sequence[Pair]) -> int:
    return len({pair.label for pair in pairs})
