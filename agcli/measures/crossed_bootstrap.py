"""Seeds crossed with test examples: both resampled, their parts of the variance, and how many seeds it takes."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import chi2

from agcli.errors import DataError
from agcli.measures.bootstrap import RESAMPLES, TAILS, Estimate, resampled
from agcli.measures.classification import Floats
from agcli.measures.seeds import DECIMALS, LEVEL

POWER = 0.8


@dataclass(frozen=True)
class Power:
    """How many seeds a paired difference takes, by its variance over the seeds observed.

    A difference has a part that all runs share, one for its seed, one for its example and one for the two together.

    Attributes:
        sd: standard deviation over seeds of the difference in the metric, as observed.
        seed_sd: its part that would remain with infinitely many examples; 0 where its estimate is negative.
        example_sd: its part due to the finite number of examples. Its estimate is far more certain than that of `sd`,
            which a few similar seeds make too small; the larger of the two gives the number of seeds needed.
        shared_sd: standard error of the mean difference due to the choice of test examples. All seeds share it: more
            seeds do not reduce it, and no test over seeds sees it; 0 where its estimate is negative.
        seeds_needed: seeds for 80 % power at level 0.05 on this test set; None where `sd` is 0.
        seeds_low: the same at the lower end of the 95 % interval of `sd`, or at `example_sd` where that is larger
            (`floored`); None where both are 0.
        seeds_high: the same at its upper end; None where `sd` is 0.
        detectable: smallest difference that the observed number of seeds detects with 80 % power; None where `sd` is 0.
        undetectable: smallest difference that any number of seeds detects on this test set with 80 % power.
    """

    n: int
    examples: int
    difference: float
    sd: float
    seed_sd: float
    example_sd: float
    shared_sd: float
    seeds_needed: int | None
    seeds_low: int | None
    seeds_high: int | None
    floored: bool
    detectable: float | None
    undetectable: float


def crossed_bootstrap(first: ArrayLike, second: ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0) -> Estimate:
    """The mean difference, second minus first, with its percentile bootstrap interval over seeds and examples.

    Seeds and examples are drawn with replacement, independently; a drawn seed or example is taken in both settings.
    Descriptive: with n seeds the seeds' part of the variance comes out at (n - 1) / n of what it is, so
    that the interval is narrow at few seeds, while the part of seed and example together counts up to three times.
    One seed gives the bootstrap over examples.

    Shape:
        first, second: (num_seeds, num_examples), of the same seeds and examples.

    Source: Owen 2007, "The pigeonhole bootstrap"; for seeds and examples as in Sellam et al. 2022 (MultiBERTs),
    "multi-bootstrap", paired.

    Raises:
        DataError: a matrix is empty, the shapes differ, or a score is not a finite number.
    """
    differences = _differences(first, second)
    n, examples = differences.shape
    sums = resampled(differences.T, resamples, seed)
    # [seed, 1] is another stream than `seed`, which drew the examples.
    drawn = np.random.default_rng([seed, 1]).multinomial(n, np.full(n, 1 / n), size=resamples)
    low, high = np.quantile((drawn * sums).sum(axis=1) / (n * examples), TAILS)
    return Estimate(float(differences.mean()), float(low), float(high))


def power(first: ArrayLike, second: ArrayLike, difference: float = 0.005) -> Power | None:
    """How many seeds a paired t-test needs to detect a difference, by the variance between the seeds observed.

    Args:
        difference: what is to be detected, in the scores' unit: 0.005 is half a point.

    Shape:
        first, second: (num_seeds, num_examples), of the same seeds and examples.

    Returns:
        None with fewer than two seeds or two examples, which show no variance.

    Source: components by the mean squares of the two-way layout with random effects, one observation a cell (Searle,
    Casella and McCulloch 1992, chapter 4).

    Raises:
        DataError: a matrix is empty, the shapes differ, or a score is not a finite number.
    """
    if difference <= 0:
        raise ValueError(f"the difference to detect is above 0, not {difference}")
    rows = _differences(first, second)
    n, examples = rows.shape
    if min(n, examples) < 2:
        return None
    by_seed, by_example = rows.mean(axis=1), rows.mean(axis=0)
    rest = rows - by_seed[:, None] - by_example + rows.mean()
    error = float((rest**2).sum()) / ((n - 1) * (examples - 1)) / examples
    if error < 10.0 ** (-2 * DECIMALS):  # rounding: seeds that answer alike
        error = 0.0
    sd = float(np.round(by_seed, DECIMALS).std(ddof=1))
    shared = math.sqrt(max(0.0, float(by_example.var(ddof=1)) / examples - error / n))
    expected = max(sd, math.sqrt(error))
    high, low = (sd * math.sqrt((n - 1) / chi2.ppf(tail, n - 1)) for tail in TAILS)
    return Power(
        n=n,
        examples=examples,
        difference=difference,
        sd=sd,
        seed_sd=math.sqrt(max(0.0, sd**2 - error)),
        example_sd=math.sqrt(error),
        shared_sd=shared,
        seeds_needed=_seeds_needed(difference, expected) if sd else None,
        seeds_low=_seeds_needed(difference, max(low, math.sqrt(error))),
        seeds_high=_seeds_needed(difference, max(high, math.sqrt(error))) if sd else None,
        floored=low < math.sqrt(error),
        detectable=expected * _detected_effect(n) if sd else None,
        # With seeds without end, the mean difference of each example is known: a t-test over examples is left.
        undetectable=shared * math.sqrt(examples) * _detected_effect(examples),
    )


def power_line(observed: Power) -> str:
    """`Power` in words, metrics in points (hundredths)."""
    beyond = "The seeds show no difference between examples that they share."
    if observed.undetectable:
        beyond = f"Beyond these examples, no number of seeds detects less than {_points(observed.undetectable)}."
    if observed.detectable is None:
        least = (
            f"The {observed.examples:,} test examples alone, {_points(observed.example_sd)} of SD, call for at least "
            f"{observed.seeds_low}. "
        )
        return (
            f"How many seeds detect {_points(observed.difference)} with {POWER:.0%} power at p < {LEVEL} is not "
            f"estimable: the paired difference is the same at all {observed.n} seeds. "
            f"{least if observed.seeds_low else ''}{beyond}"
        )
    floor = "; no SD below the part of the test examples is reckoned with" if observed.floored else ""
    return (
        f"To detect {_points(observed.difference)} with {POWER:.0%} power at p < {LEVEL} on this test set: "
        f"{observed.seeds_needed} seeds ({observed.seeds_low} to {observed.seeds_high} over the 95 % interval of the "
        f"SD between seeds{floor}). "
        f"SD of the paired difference over {observed.n} seeds {_points(observed.sd)}: {_points(observed.seed_sd)} "
        f"from training, {_points(observed.example_sd)} from there being {observed.examples:,} test examples; "
        f"{observed.n} seeds detect {_points(observed.detectable)}. {beyond}"
    )


def _points(value: float) -> str:
    return f"{100 * value:.2f} points"


def _differences(first: ArrayLike, second: ArrayLike) -> Floats:
    """Second minus first, (num_seeds, num_examples), in which every mean exists."""
    before, after = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if before.ndim != 2 or before.shape != after.shape:
        raise DataError(f"the scores have the shapes {before.shape} and {after.shape}, not one (seeds, examples)")
    if not before.size:
        raise DataError("there is no score to take a mean over")
    if not (np.isfinite(before).all() and np.isfinite(after).all()):
        raise DataError("an example's score is not a finite number")
    return after - before


def _seeds_needed(difference: float, sd: float) -> int | None:
    """The smallest number of seeds that detects the difference: doubled until it does, then narrowed down."""
    if sd == 0:
        return None

    def enough(seeds: int) -> bool:
        return _detected_effect(seeds) <= difference / sd

    most = 2
    while not enough(most):
        most *= 2
    return bisect_left(range(most), True, lo=2, key=enough)


@cache
def _detected_effect(n: int) -> float:
    """The standardised difference that n pairs detect with 80 % observed.

    Solved for the effect, never for n: the power of larger effects comes out as NaN here and there (scipy issue 25470).
    """
    from statsmodels.stats.power import TTestPower  # a second to import

    return float(np.asarray(TTestPower().solve_power(nobs=n, alpha=LEVEL, power=POWER)).item())
