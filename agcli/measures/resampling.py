"""What bootstrap and permutation tests share: rows drawn with replacement, in blocks of bounded memory."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np

from agcli.measures.classification import Floats

RESAMPLES = 2000
PERMUTATIONS = 10_000
TAILS = (0.025, 0.975)
# Cells of one block of resamples: 16 MB as float64, so that memory does not grow with n x resamples.
BLOCK_CELLS = 2_000_000


@dataclass(frozen=True)
class Interval:
    """A 95 % interval."""

    low: float
    high: float


def permutations_text(exact: Collection[bool], seed: int) -> str:
    """Of permutation tests: how many permutations they rest on.

    Args:
        exact: of each test, whether all permutations were counted.
        seed: what decided the draws.
    """
    if all(exact):
        return "all permutations counted, so that p is exact"
    few = ", or all counted where they are no more" if any(exact) else ""
    return f"{PERMUTATIONS:,} permutations drawn with seed {seed}{few}"


def blocks(total: int, width: int) -> Iterator[int]:
    """Sizes that add up to `total`, each of about `BLOCK_CELLS / width` rows."""
    size = max(1, BLOCK_CELLS // max(1, width))
    for start in range(0, total, size):
        yield min(size, total - start)


def resampled(rows: Floats, resamples: int, seed: int) -> Floats:
    """Sums over resamples of rows, drawn with replacement.

    `rows`, of shape (..., n, columns), may stack several tables: all have the same rows drawn, and equal tables give
    equal sums to the last bit. Shape (..., resamples, columns).
    """
    rng, n = np.random.default_rng(seed), rows.shape[-2]
    found = []
    for size in blocks(resamples, n):
        drawn = rng.integers(n, size=(size, n)) + n * np.arange(size)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n)
        found.append(weights.astype(np.float64) @ rows)
    return np.concatenate(found, axis=-2)
