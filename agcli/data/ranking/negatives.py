"""Training lists: a claim's positive, then negatives drawn from the first stage's candidates or from the corpus.

Each list has its own stream, seeded by the seed and the ids of claim and positive, and documents are drawn by the order
of their ids. So a list depends on no other and on no file's order. The streams are PCG64's raw bits: NumPy keeps those
the same over its versions, and promises that of no method of its generators.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agcli.data.ranking.collection import Claim, Documents
from agcli.data.ranking.request import NegativesFrom
from agcli.errors import DataError

Rows = NDArray[np.int32]


@dataclass(frozen=True)
class Sampling:
    """How negatives are drawn: how many a list, from where, and by which seed."""

    count: int
    source: NegativesFrom
    seed: int

    @property
    def from_candidates(self) -> int:
        """How many of a list come from the first stage's candidates; of an odd number the larger half."""
        return {"bm25": self.count, "random": 0, "mixed": (self.count + 1) // 2}[self.source]


@dataclass(frozen=True, eq=False)
class Pool:
    """The documents in the order of their ids.

    Attributes:
        documents: the corpus.
        drawable: rows of the documents that have text, ordered by id.
    """

    documents: Documents

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
    claims: Sequence[Claim],
    relevant: Mapping[str, Sequence[str]],
    candidates: Sequence[tuple[Rows, NDArray[np.float32]]],
    pool: Pool,
    sampling: Sampling,
) -> tuple[Rows, int]:
    """One list for each (claim, positive), and how many negatives were drawn from the corpus for want of candidates.

    Args:
        claims: row -> claim; those without a relevant document get no list.
        relevant: claim id -> its relevant documents.
        candidates: row -> rows of the first stage's candidates and their scores.
        pool: the documents.
        sampling: how negatives are drawn.

    Shape:
        The lists: (num_lists, 2 + count): row of the claim, row of the positive, rows of its negatives.

    The corpus must be large enough: see `refuse_small`.
    """
    lists: list[list[int]] = []
    filled = 0
    for row, claim in enumerate(claims):
        positives = [pool.documents.places[document] for document in relevant.get(claim.id, ())]
        if positives:
            near = _near(candidates[row][0], positives, pool)
            filled += len(positives) * max(sampling.from_candidates - len(near), 0)
            ids = relevant[claim.id]
            lists += [
                [
                    row,
                    positive,
                    *_negatives(near, positives, pool, sampling, _stream(sampling.seed, claim.id, document)),
                ]
                for positive, document in zip(positives, ids, strict=True)
            ]
    return np.array(lists, dtype=np.int32).reshape(-1, 2 + sampling.count), filled


def refuse_small(relevant: Mapping[str, Sequence[str]], pool: Pool, sampling: Sampling) -> None:
    """Whether the corpus has enough documents for every list; asked before it is indexed.

    Raises:
        DataError: it has not.
    """
    most = max(map(len, relevant.values()), default=0)
    spare = len(pool.drawable) - most
    if spare < sampling.count:
        raise DataError(
            f"{len(pool.drawable)} documents with text are too few for {sampling.count} negatives beside {most} "
            "positive(s) of a claim",
            file=pool.documents.file,
            hint=f"--negatives {spare}" if spare > 0 else None,
        )


def _near(candidates: Rows, positives: Sequence[int], pool: Pool) -> Rows:
    """The candidates that may be negatives, ordered by id."""
    kept = candidates[~np.isin(candidates, positives)]
    return kept[np.argsort(pool.ranks[kept])]


def _negatives(
    near: Rows, positives: Sequence[int], pool: Pool, sampling: Sampling, stream: Iterator[int]
) -> list[int]:
    found = _drawn(near, min(sampling.from_candidates, len(near)), set(), stream)
    found += _drawn(pool.drawable, sampling.count - len(found), {*positives, *found}, stream)
    return found


def _drawn(rows: Rows, count: int, without: set[int], stream: Iterator[int]) -> list[int]:
    """`count` of the rows, uniformly and without replacement; there must be so many outside `without`."""
    found: list[int] = []
    gone = set(without)
    while len(found) < count:
        row = int(rows[next(stream) % len(rows)])  # 2**64 is so large that the remainder's bias is below 1e-12
        if row not in gone:
            gone.add(row)
            found.append(row)
    return found


def _stream(seed: int, claim: str, document: str) -> Iterator[int]:
    """Whole numbers below 2**64, of this list alone."""
    key = hashlib.sha256(f"{seed}\0{claim}\0{document}".encode()).digest()
    bits: Any = np.random.PCG64(int.from_bytes(key[:16], "big"))
    while True:
        yield from bits.random_raw(16).tolist()
