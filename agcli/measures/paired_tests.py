"""Paired tests: two models on the same examples, two rankings of the same queries.

Paired t-test, exact McNemar test, permutation tests of accuracy and macro F1 and of any mean. Models are fixed here and
examples are the sample; `seeds.py` applies the paired t-test to seeds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom, binomtest, ttest_rel

from agcli.errors import DataError
from agcli.measures.bootstrap import RESAMPLES, Estimate, blocks, bootstrap, checked_rows, mean_estimates
from agcli.measures.classification import ECE, METRICS, Floats, Ints, Predictions, example_sums, metric_columns, rates

PERMUTATIONS = 10_000
# Differences of measures in [0, 1] that are nearer than this differ by rounding only.
ROUNDING = 1e-12


@dataclass(frozen=True)
class PredictionComparison:
    """Two models on the same examples.

    Attributes:
        differences: metric name -> second minus first.
        only_first_right: number of examples that only the first model got right; `only_second_right` likewise.
        mcnemar_p: exact two-sided McNemar p-value of these two counts.
        permutation_p: two-sided paired permutation p-value of `accuracy` and of `f1_macro`.
        exact: whether all permutations were counted; else `PERMUTATIONS` of them were drawn.
    """

    n: int
    differences: dict[str, Estimate]
    only_first_right: int
    only_second_right: int
    mcnemar_p: float
    permutation_p: dict[str, float]
    exact: bool


@dataclass(frozen=True)
class MeasureComparison:
    """Second ranking minus first on one measure, over the same queries.

    Attributes:
        exact: whether all sign flips were counted; else `PERMUTATIONS` of them were drawn.
        better: number of queries on which the second ranking is better; `equal` and `worse` likewise.
    """

    n: int
    difference: Estimate
    t_p: float | None
    randomisation_p: float
    exact: bool
    better: int
    equal: int
    worse: int


def compare_predictions(
    first: Predictions,
    second: Predictions,
    *,
    resamples: int = RESAMPLES,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> PredictionComparison:
    """Compare two models whose rows and labels are in the same order, see `evaluate.inputs.aligned`."""
    only_first = int((first.correct & ~second.correct).sum())
    only_second = int((second.correct & ~first.correct).sum())
    permutation_p, exact = swap_test(first, second, permutations, seed)
    return PredictionComparison(
        n=len(first.ids),
        differences=_metric_differences(first, second, resamples, seed),
        only_first_right=only_first,
        only_second_right=only_second,
        mcnemar_p=mcnemar(only_first, only_second),
        permutation_p=permutation_p,
        exact=exact,
    )


def compare_measures(
    first: ArrayLike,
    second: ArrayLike,
    *,
    resamples: int = RESAMPLES,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> list[MeasureComparison]:
    """Compare two rankings on each measure, query by query; both of shape (num_queries, num_measures).

    Source: paired t-test as in Zuo et al. 2020; randomisation test and bootstrap as in Smucker, Allan and Carterette
    2007, "A comparison of statistical significance tests for information retrieval evaluation".

    Raises:
        DataError: there is no query, the shapes differ, or a value is not a number.
    """
    before, after = checked_rows(first), checked_rows(second)
    if before.shape != after.shape:
        raise DataError(f"the two rankings have values of different shapes, {before.shape} and {after.shape}")
    differences = after - before
    differences[np.abs(differences) <= ROUNDING] = 0.0
    estimates = mean_estimates(differences, resamples=resamples, seed=seed)
    return [
        _compare_measure(column, estimate, permutations, seed)
        for column, estimate in zip(differences.T, estimates, strict=True)
    ]


def permutations_text(exact: Collection[bool], seed: int) -> str:
    """How many permutations some tests rest on, of each of which `exact` says whether all were counted."""
    if all(exact):
        return "all permutations counted, so that p is exact"
    few = ", or all counted where they are no more" if any(exact) else ""
    return f"{PERMUTATIONS:,} permutations drawn with seed {seed}{few}"


def paired_t(differences: Floats) -> float | None:
    """Two-sided p-value of the paired t-test.

    1 where nothing differs; None where the variance, which the test divides by, is 0 or unknown: all pairs differ by
    the same amount, or there is one.
    """
    if not differences.any():
        return 1.0
    if np.ptp(differences) <= ROUNDING:
        return None
    return float(ttest_rel(differences, np.zeros_like(differences)).pvalue)


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact McNemar test: under no difference, discordant examples fall to either side like a fair coin."""
    discordant = only_first + only_second
    return float(binomtest(only_first, discordant, 0.5).pvalue) if discordant else 1.0


def sign_flip_test(differences: Floats, permutations: int, seed: int) -> tuple[float, bool]:
    """Randomisation test of a mean: under no difference, each query's difference has either sign with chance 1/2.

    Only queries that differ matter, and those that differ by the same amount are alike.

    Returns:
        The two-sided p-value, and whether it is exact.
    """
    sizes = np.abs(differences[differences != 0])
    # Rounding within a sum must not make a tie look smaller than what was observed.
    observed = abs(float(differences.sum())) - ROUNDING * max(1.0, float(sizes.sum()))
    amounts, counts = np.unique(sizes, return_counts=True)

    def extreme(positive: Ints) -> NDArray[np.bool_]:
        return _at_least((2 * positive - counts) @ amounts, observed)[:, None]

    def drawn(rng: np.random.Generator, size: int) -> NDArray[np.bool_]:
        flips = np.unpackbits(rng.integers(256, size=(size, -(-len(sizes) // 8)), dtype=np.uint8), axis=1)
        sums = 2 * (flips[:, : len(sizes)].astype(np.float64) @ sizes) - sizes.sum()
        return _at_least(sums, observed)[:, None]

    [p_value], exact = _permutation_p(counts, extreme, drawn, len(sizes), permutations, seed)
    return p_value, exact


def swap_test(first: Predictions, second: Predictions, permutations: int, seed: int) -> tuple[dict[str, float], bool]:
    """Permutation test of accuracy and macro F1: the two models' answers are swapped example by example.

    Only examples that the models answer differently matter, and those with the same gold label and the same two
    answers are alike.

    Returns:
        The two-sided p-values, and whether they are exact.
    """
    differ = first.predicted != second.predicted
    if not differ.any():
        return {"accuracy": 1.0, "f1_macro": 1.0}, True
    answers = np.stack([first.gold, first.predicted, second.predicted], axis=1)
    kinds, counts = np.unique(answers[differ], axis=0, return_counts=True)
    observed = np.abs(_swapped_differences(first, second, kinds, np.zeros((1, len(kinds)), np.int64))) - ROUNDING

    def extreme(swaps: Ints) -> NDArray[np.bool_]:
        return _at_least(_swapped_differences(first, second, kinds, swaps), observed)

    def drawn(rng: np.random.Generator, size: int) -> NDArray[np.bool_]:
        return extreme(rng.binomial(counts, 0.5, size=(size, len(counts))))

    (accuracy, f1), exact = _permutation_p(counts, extreme, drawn, len(kinds), permutations, seed)
    return {"accuracy": accuracy, "f1_macro": f1}, exact


def _metric_differences(first: Predictions, second: Predictions, resamples: int, seed: int) -> dict[str, Estimate]:
    num_labels = len(first.labels)

    def subtracted(both: Floats) -> Floats:
        before, after = (metric_columns(sums, num_labels)[..., : len(METRICS)] for sums in both)
        return after - before

    both = np.stack([example_sums(first), example_sums(second)])
    estimates = bootstrap(both, subtracted, resamples=resamples, seed=seed, biased=(ECE,))
    return dict(zip(METRICS, estimates, strict=True))


def _compare_measure(differences: Floats, estimate: Estimate, permutations: int, seed: int) -> MeasureComparison:
    p_value, exact = sign_flip_test(differences, permutations, seed)
    better, worse = int((differences > 0).sum()), int((differences < 0).sum())
    return MeasureComparison(
        n=len(differences),
        difference=Estimate(float(differences.mean()), estimate.low, estimate.high),
        t_p=paired_t(differences),
        randomisation_p=p_value,
        exact=exact,
        better=better,
        equal=len(differences) - better - worse,
        worse=worse,
    )


def _permutation_p(
    counts: Ints,
    extreme: Callable[[Ints], NDArray[np.bool_]],
    drawn: Callable[[np.random.Generator, int], NDArray[np.bool_]],
    width: int,
    permutations: int,
    seed: int,
) -> tuple[list[float], bool]:
    """Two-sided p-values: the share of permutations that are at least as extreme as what was observed; ties count.

    It is enough to know how many examples of each kind are swapped, which is binomial. All cases are counted where
    they are at most `permutations`, else that many are drawn, with the observed one counted in.

    Args:
        counts: examples of each kind.
        extreme: whether cases (numbers of swaps of each kind) are as extreme. Shape (cases, kinds) -> (cases,
            statistics).
        drawn: the same for a number of random permutations.
        width: cells that one random permutation takes.
        permutations: how many are drawn, or counted at most.

    Returns:
        The p-value of each statistic, and whether they are exact.
    """
    sizes = [int(count) + 1 for count in counts]
    if math.prod(sizes) <= permutations:
        cases = np.indices(sizes).reshape(len(sizes), math.prod(sizes)).T
        chance = binom.pmf(cases, counts, 0.5).prod(axis=1)
        # Summed chances may pass 1 by a rounding error.
        return [min(1.0, float(chance[column].sum())) for column in extreme(cases).T], True
    rng = np.random.default_rng(seed)
    counted = np.ones((1, 1))  # the observed one
    for size in blocks(permutations, width):
        counted = counted + drawn(rng, size).sum(axis=0)
    return (counted / (permutations + 1)).ravel().tolist(), False


def _at_least(statistics: Floats, observed: Floats | float) -> NDArray[np.bool_]:
    """Whether a statistic is at least as large as the observed one, whatever its sign."""
    return np.asarray(np.abs(statistics) >= observed)


def _swapped_differences(first: Predictions, second: Predictions, kinds: Ints, swaps: Ints) -> Floats:
    """Accuracy and macro-F1 difference (second - first) after swapping answers. Shape (rows of swaps, 2).

    Args:
        kinds: gold label, first answer, second answer. Shape (kinds, 3).
        swaps: how many examples of each kind are swapped. Shape (rows, kinds).
    """
    one_hot = np.eye(len(first.labels))
    gold, first_answer, second_answer = (one_hot[kinds[:, column]] for column in range(3))
    more_hits = swaps @ (gold * (second_answer - first_answer))
    more_predicted = swaps @ (second_answer - first_answer)
    accuracy, f1 = [], []
    for predictions, sign in ((first, 1), (second, -1)):
        hits, predicted, support = np.split(example_sums(predictions)[:, : 3 * len(one_hot)].sum(axis=0), 3)
        label_rates = rates(hits + sign * more_hits, predicted + sign * more_predicted, support)
        accuracy.append((hits + sign * more_hits).sum(axis=1) / len(predictions.ids))
        f1.append(label_rates["f1"].mean(axis=1))
    return np.stack([accuracy[1] - accuracy[0], f1[1] - f1[0]], axis=1)
