"""Rows that must stay together when a split is cut from another, and the order in which they are taken."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence

import numpy as np


def linked_rows(keys: Iterable[Iterable[Hashable]]) -> list[list[int]]:
    """The rows as connected components: rows that share a key are in one group, and so on from row to row.

    Args:
        keys: for each row, what it shares with others; at least one key.

    Returns:
        The rows of each group, ascending; the groups by their first row.
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


def place(text: str, seed: int | str) -> bytes:
    """Where a text stands in the order of a seed; no library's random stream has a part in it."""
    return hashlib.sha256(f"{seed}\0{text}".encode()).digest()


def fitting_groups(groups: Sequence[Sequence[object]], names: Sequence[str], rows: float, seed: int | str) -> list[int]:
    """The groups to take: in the order of the seed, each that still fits into the number of rows.

    Args:
        groups: members of each group.
        names: a text of each group that does not depend on the order of the rows.
        rows: how many rows are wanted.
        seed: seed of the order.
    """
    chosen, taken = [], 0
    for number in sorted(range(len(groups)), key=lambda number: place(names[number], seed)):
        if taken + len(groups[number]) <= rows:
            chosen.append(number)
            taken += len(groups[number])
    return chosen
