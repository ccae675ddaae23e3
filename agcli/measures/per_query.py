"""Means over queries with bootstrap intervals, and two rankings compared query by query."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binom, ttest_rel

from agcli.errors import DataError
from agcli.measures.classification import Floats, Ints
from agcli.measures.resampling import PERMUTATIONS, RESAMPLES, TAILS, Interval, blocks, resampled

# Differences of measures in [0, 1] that are nearer than this differ by rounding only.
ROUNDING = 1e-12


@dataclass(frozen=True)
class PairedDifference:
    """Second ranking minus first on one measure, over the same queries.

    Attributes:
        n: number of queries.
        value: mean of the differences.
        interval: its percentile bootstrap interval over queries.
        t_p: two-sided p-value of the paired t-test; 1 where no query differs; None where the test is not defined:
            one query, or all queries differ by the same amount.
        randomisation_p: two-sided p-value of the randomisation test.
        exact: whether all sign flips were counted; else `PERMUTATIONS` of them were drawn.
        better: queries on which the second ranking is better.
        equal: queries on which the two are equal.
        worse: queries on which the second ranking is worse.
    """

    n: int
    value: float
    interval: Interval
    t_p: float | None
    randomisation_p: float
    exact: bool
    better: int
    equal: int
    worse: int


def mean_intervals(values: ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0) -> list[Interval]:
    """Percentile bootstrap interval (95 %, over rows) of each column's mean.

    All columns are resampled together. One row gives an interval of no width, which says nothing of other queries.

    Args:
        values: shape (num_queries, num_measures).
        resamples: how many times the rows are drawn.
        seed: what decides the draws.

    Source: Efron 1979.

    Raises:
        DataError: there is no row, or a value is not a number.
    """
    rows = _checked(values)
    low, high = np.quantile(resampled(rows, resamples, seed) / len(rows), TAILS, axis=0)
    return [Interval(float(a), float(b)) for a, b in zip(low, high, strict=True)]


def paired(
    first: ArrayLike,
    second: ArrayLike,
    *,
    resamples: int = RESAMPLES,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> PairedDifference:
    """Compare two rankings on one measure, row by row; both of shape (num_queries,).

    Raises:
        DataError: as `paired_measures`.
    """
    columns = (np.reshape(values, (-1, 1)) for values in (first, second))
    return paired_measures(*columns, resamples=resamples, permutations=permutations, seed=seed)[0]


def paired_measures(
    first: ArrayLike,
    second: ArrayLike,
    *,
    resamples: int = RESAMPLES,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> list[PairedDifference]:
    """Compare two rankings on each measure, row by row; both of shape (num_queries, num_measures).

    Source: paired t-test as in Zuo et al. 2020; randomisation test and bootstrap as in Smucker, Allan and Carterette
    2007, "A comparison of statistical significance tests for information retrieval evaluation".

    Raises:
        DataError: there is no query, the shapes differ, or a value is not a number.
    """
    before, after = _checked(first), _checked(second)
    if before.shape != after.shape:
        raise DataError(f"the two rankings have values of different shapes, {before.shape} and {after.shape}")
    differences = after - before
    differences[np.abs(differences) <= ROUNDING] = 0.0
    intervals = mean_intervals(differences, resamples=resamples, seed=seed)
    return [
        _tested(column, interval, permutations, seed) for column, interval in zip(differences.T, intervals, strict=True)
    ]


def _checked(values: ArrayLike) -> Floats:
    """Values as a matrix in which every mean exists."""
    rows = np.asarray(values, dtype=np.float64)
    if rows.ndim != 2:
        raise ValueError(f"values have the shape (num_queries, num_measures), not {rows.shape}")
    if not len(rows):
        raise DataError("there is no query to take a mean over")
    if not np.isfinite(rows).all():
        raise DataError("a query's value is not a finite number", row=int(np.argwhere(~np.isfinite(rows))[0, 0]) + 1)
    return rows


def _tested(differences: Floats, interval: Interval, permutations: int, seed: int) -> PairedDifference:
    p_value, exact = _randomisation(differences, permutations, seed)
    better, worse = int((differences > 0).sum()), int((differences < 0).sum())
    return PairedDifference(
        n=len(differences),
        value=float(differences.mean()),
        interval=interval,
        t_p=_paired_t(differences),
        randomisation_p=p_value,
        exact=exact,
        better=better,
        equal=len(differences) - better - worse,
        worse=worse,
    )


def _paired_t(differences: Floats) -> float | None:
    """The p-value; None where the variance, which the test divides by, is 0 or unknown."""
    if not differences.any():
        return 1.0
    if np.ptp(differences) <= ROUNDING:
        return None
    return float(ttest_rel(differences, np.zeros_like(differences)).pvalue)


def _randomisation(differences: Floats, permutations: int, seed: int) -> tuple[float, bool]:
    """Two-sided p-value: under no difference, each query's difference has either sign with chance 1/2.

    Only queries that differ matter, and those that differ by the same amount are alike: it is enough to know how many
    of them are positive, which is binomial. All cases are counted where they are at most `permutations`, else that
    many are drawn, with the observed one counted in.

    Returns:
        The p-value, and whether it is exact.
    """
    sizes = np.abs(differences[differences != 0])
    # Rounding within a sum must not make a tie look smaller than what was observed.
    observed = abs(float(differences.sum())) - ROUNDING * max(1.0, float(sizes.sum()))
    amounts, counts = np.unique(sizes, return_counts=True)
    if math.prod(cases := [int(count) + 1 for count in counts]) <= permutations:
        return _all_flips(amounts, counts, cases, observed), True
    rng, extreme = np.random.default_rng(seed), 0
    for size in blocks(permutations, len(sizes)):
        flips = np.unpackbits(rng.integers(256, size=(size, -(-len(sizes) // 8)), dtype=np.uint8), axis=1)
        sums = 2 * (flips[:, : len(sizes)].astype(np.float64) @ sizes) - sizes.sum()
        extreme += int((np.abs(sums) >= observed).sum())
    return (extreme + 1) / (permutations + 1), False


def _all_flips(amounts: Floats, counts: Ints, cases: Sequence[int], observed: float) -> float:
    """Chance of a sum at least as large as `observed`, whatever its sign.

    Args:
        amounts: the different sizes of differences.
        counts: how many queries differ by each.
        cases: one more than each count: how many of them may be positive.
        observed: the sum to reach.
    """
    positive = np.indices(cases).reshape(len(cases), math.prod(cases)).T
    sums = (2 * positive - counts) @ amounts
    chance = binom.pmf(positive, counts, 0.5).prod(axis=1)
    # Summed chances may pass 1 by a rounding error.
    return min(1.0, float(chance[np.abs(sums) >= observed].sum()))
