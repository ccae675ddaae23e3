"""Training lists: a query's positive, then negatives drawn from the first stage's candidates or from the corpus.

Each list has its own stream, seeded by the seed and the ids of query and positive, and documents are drawn by the order
of their ids. So a list depends on no other and on no file's order. The streams are PCG64's raw bits: NumPy keeps those
the same over its versions, and promises that of no method of its generators.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agcli.data.ranking.collection import Documents, RankingSplit
from agcli.data.request import NegativesFrom
from agcli.errors import DataError

Rows = NDArray[np.int32]


class Pool:
    """The documents in the order of their ids."""

    def __init__(self, documents: Documents) -> None:
        self.documents = documents

    @cached_property
    def drawable(self) -> Rows:
        """Rows of the documents that have text, ordered by id."""
        import pyarrow.compute as compute

        order: Rows = compute.sort_indices(self.documents.table.column("id")).to_numpy().astype(np.int32)
        return order[~np.isin(order, list(self.documents.blank))] if self.documents.blank else order

    @cached_property
    def ranks(self) -> Rows:
        """A document's place in that order, by row; -1 where it has no text."""
        ranks = np.full(len(self.documents.places), -1, dtype=np.int32)
        ranks[self.drawable] = np.arange(len(self.drawable), dtype=np.int32)
        return ranks


def training_lists(
    train: RankingSplit,
    candidates: Sequence[tuple[Rows, NDArray[np.float32]]],
    pool: Pool,
    *,
    count: int,
    source: NegativesFrom,
    seed: int,
) -> tuple[Rows, int]:
    """One list for each (query, positive), and how many negatives were drawn from the corpus for want of candidates.

    Args:
        train: queries without a relevant document get no list.
        candidates: of each query: rows of the first stage's candidates, and their scores.
        pool: enough documents, see `refuse_small`.

    Shape:
        The lists: (num_lists, 2 + count): row of the query, row of the positive, rows of its negatives.
    """
    lists: list[list[int]] = []
    filled = 0
    from_candidates = num_from_candidates(count, source)
    for row, query in enumerate(train.queries):
        relevant = train.relevant.get(query.id, [])
        positives = [pool.documents.places[document] for document in relevant]
        near = candidates[row][0]
        near = near[~np.isin(near, positives)]
        near = near[np.argsort(pool.ranks[near])]
        for positive, document in zip(positives, relevant, strict=True):
            stream = _stream(seed, query.id, document)
            drawn = _drawn(near, min(from_candidates, len(near)), (), stream)
            filled += from_candidates - len(drawn)
            drawn += _drawn(pool.drawable, count - len(drawn), {*positives, *drawn}, stream)
            lists.append([row, positive, *drawn])
    return np.array(lists, dtype=np.int32).reshape(-1, 2 + count), filled


def num_from_candidates(count: int, source: NegativesFrom) -> int:
    """How many negatives of a list come from the first stage's candidates; under `mixed` the larger half."""
    return {"bm25": count, "random": 0, "mixed": (count + 1) // 2}[source]


def refuse_small(relevant: Mapping[str, Sequence[str]], pool: Pool, count: int) -> None:
    """Check that the corpus has enough documents for every list, before it is indexed.

    Raises:
        DataError: it has not.
    """
    most = max(map(len, relevant.values()), default=0)
    spare = len(pool.drawable) - most
    if spare < count:
        raise DataError(
            f"{len(pool.drawable)} documents with text are too few for {count} negatives beside {most} "
            "positive(s) of a query",
            file=pool.documents.file,
            hint=f"--negatives {spare}" if spare > 0 else None,
        )


def _drawn(rows: Rows, count: int, without: Collection[int], stream: Iterator[int]) -> list[int]:
    """`count` of the rows, uniformly and without replacement; there must be so many outside `without`."""
    drawn: dict[int, None] = {}
    while len(drawn) < count:
        row = int(rows[next(stream) % len(rows)])  # 2**64 is so large that the remainder's bias is below 1e-12
        if row not in without:
            drawn[row] = None
    return list(drawn)


def _stream(seed: int, query: str, document: str) -> Iterator[int]:
    """The list's own stream of whole numbers below 2**64."""
    key = hashlib.sha256(f"{seed}\0{query}\0{document}".encode()).digest()
    bits: Any = np.random.PCG64(int.from_bytes(key[:16], "big"))
    while True:
        yield from bits.random_raw(16).tolist()
