"""Over seeds: means with t-intervals, paired t-tests of two settings, and Holm's correction over a family of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import sem, t, wilcoxon

from agcli.errors import DataError, counted
from agcli.measures.paired_tests import paired_t

FEWEST_SEEDS = 5
"""With fewer nothing is claimed: at 4 seeds the t-interval reaches 3.18 standard errors to either side, at 10 2.26."""
LEVEL = 0.05
# Metrics in [0, 1] are compared at 12 decimals: 0.64 - 0.62 and 0.62 - 0.60 are then the tie that they are.
DECIMALS = 12


@dataclass(frozen=True)
class Summary:
    """A metric over seeds.

    Attributes:
        sd: standard deviation over seeds (n - 1 in the divisor); None at one seed.
        low: lower end of the 95 % t-interval of the mean; None at one seed, as `high` is.
    """

    n: int
    mean: float
    sd: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class SeedComparison:
    """Second setting minus first over the seeds that both have.

    Attributes:
        unpaired: number of seeds that only one setting has; they are left out of everything here.
        low: lower end of the 95 % t-interval of the difference; None at one seed, as `high` is.
        t_p: two-sided p-value of `paired_tests.paired_t`, the primary test; None at one seed, too.
        wilcoxon_p: two-sided p-value of the signed-rank test; descriptive. Exact up to 50 seeds, with ties or zeros
            up to 13.
        wilcoxon_least_p: the smallest possible p-value with as many seeds that differ.
        effect_size: Cohen's d_z, mean over standard deviation of the differences; None where the latter is 0 or
            unknown. It is too large by about a quarter at 5 seeds.
    """

    n: int
    seeds: tuple[int, ...]
    unpaired: int
    difference: float
    low: float | None
    high: float | None
    t_p: float | None
    wilcoxon_p: float
    wilcoxon_least_p: float
    effect_size: float | None
    first: Summary
    second: Summary


def summary(values: Sequence[float]) -> Summary:
    """Mean, standard deviation and 95 % t-interval over seeds; equal values give an interval of no width.

    Raises:
        DataError: there is no value, or one is not a finite number.
    """
    column = np.asarray(values, dtype=np.float64)
    if not len(column):
        raise DataError("there is no seed to take a mean over")
    if not np.isfinite(column).all():
        raise DataError("a seed's metric is not a finite number", value=values)
    mean = float(column.mean())
    if len(column) == 1:
        return Summary(1, mean, None, None, None)
    if np.ptp(column) <= 10.0**-DECIMALS:
        return Summary(len(column), mean, 0.0, mean, mean)
    low, high = t.interval(1 - LEVEL, len(column) - 1, loc=mean, scale=sem(column))
    return Summary(len(column), mean, float(column.std(ddof=1)), float(low), float(high))


def compare_seeds(first: Mapping[int, float], second: Mapping[int, float]) -> SeedComparison:
    """Compare two settings, each seed -> metric, over the seeds that both have; the second minus the first.

    Source: paired t-test over seeds as in Wang et al. 2022; d_z as in Lakens 2013, equation 6.

    Raises:
        DataError: no seed is common to both, or a metric is not a finite number.
    """
    seeds = tuple(sorted(first.keys() & second.keys()))
    if not seeds:
        raise DataError("the two settings have no seed in common, so that nothing can be paired")
    before, after = (np.array([metrics[seed] for seed in seeds], dtype=np.float64) for metrics in (first, second))
    differences = np.round(after - before, DECIMALS)
    over_seeds, differing = summary(differences.tolist()), int(np.count_nonzero(differences))
    return SeedComparison(
        n=len(seeds),
        seeds=seeds,
        unpaired=len(first.keys() ^ second.keys()),
        difference=over_seeds.mean,
        low=over_seeds.low,
        high=over_seeds.high,
        t_p=paired_t(differences) if len(seeds) > 1 else None,
        wilcoxon_p=float(wilcoxon(differences).pvalue) if differing else 1.0,
        wilcoxon_least_p=min(1.0, 2.0 ** (1 - differing)),
        effect_size=over_seeds.mean / over_seeds.sd if over_seeds.sd else None,
        first=summary(before.tolist()),
        second=summary(after.tolist()),
    )


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction over all tests that were meant to be made.

    One that is not defined stays None and counts with p = 1, so that it makes no other comparison easier.

    Source: Holm 1979.
    """
    from statsmodels.stats.multitest import multipletests  # a second to import

    if not p_values:
        return []
    corrected = multipletests([1.0 if p is None else p for p in p_values], method="holm")[1].tolist()
    return [None if p is None else float(holm_p) for p, holm_p in zip(p_values, corrected, strict=True)]


def stars(p: float | None) -> str:
    """`*` below 0.05, `**` below 0.01; meant for corrected p-values."""
    return "" if p is None or p >= LEVEL else "*" if p >= 0.01 else "**"


def p_text(p: float | None) -> str:
    """A p-value as every table and picture writes it: four decimals, `<0.0001` below them, a dash for none."""
    return "-" if p is None else "<0.0001" if p < 0.00005 else f"{p:.4f}"


def claim_line(n: int) -> str:
    """A sentence where the seeds are too few for a claim; empty from `FEWEST_SEEDS` on."""
    if n >= FEWEST_SEEDS:
        return ""
    return f"{counted(n, 'seed')}: fewer than {FEWEST_SEEDS}, so no claim can be made; the numbers only describe."


def unpaired_line(comparison: SeedComparison) -> str:
    """A sentence where seeds of only one setting were left out; empty where there are none."""
    if not comparison.unpaired:
        return ""
    return f"{counted(comparison.unpaired, 'seed')} without a partner in the other setting left out of the comparison."
