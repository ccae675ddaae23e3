"""Bootstrap intervals over examples, and paired tests of two models by their answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import binom, binomtest

from agcli.errors import DataError, counted
from agcli.measures.classification import METRICS, Floats, Ints, Predictions, example_sums, rates, scores
from agcli.measures.resampling import PERMUTATIONS, RESAMPLES, TAILS, Interval, blocks, resampled

_SAME_DATA = "evaluate both on the same data set with --dataset"


@dataclass(frozen=True)
class Bootstrap:
    """Intervals of one model on one split.

    Attributes:
        metrics: metric name -> interval.
        classes: for each label in the model's order, `precision`, `recall` and `f1` -> interval.
    """

    metrics: dict[str, Interval]
    classes: tuple[dict[str, Interval], ...]


@dataclass(frozen=True)
class Difference:
    """Second model minus first model, with its paired bootstrap interval."""

    value: float
    interval: Interval


@dataclass(frozen=True)
class Comparison:
    """Two models on the same examples.

    Attributes:
        n: number of examples.
        differences: metric name -> second minus first.
        only_first_right: examples that only the first model got right.
        only_second_right: examples that only the second model got right.
        mcnemar_p: exact two-sided McNemar p-value of these two counts.
        permutation_p: two-sided paired permutation p-value of `accuracy` and of `f1_macro`.
        exact: whether all permutations were counted; else `PERMUTATIONS` of them were drawn.
    """

    n: int
    differences: dict[str, Difference]
    only_first_right: int
    only_second_right: int
    mcnemar_p: float
    permutation_p: dict[str, float]
    exact: bool


def bootstrap_interval(
    predictions: Predictions, metrics: Sequence[str] = METRICS, *, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Interval]:
    """Percentile bootstrap interval (95 %, over examples) of each named metric."""
    intervals = bootstrap(predictions, resamples=resamples, seed=seed).metrics
    return {metric: intervals[metric] for metric in metrics}


def bootstrap(predictions: Predictions, *, resamples: int = RESAMPLES, seed: int = 0) -> Bootstrap:
    """Percentile bootstrap intervals of all metrics, overall and per class, from one set of resamples.

    Source: Efron 1979. ECE alone is shifted, see `_interval`.
    """
    sums = example_sums(predictions)
    point = scores(sums.sum(axis=0), len(predictions.labels))
    drawn = scores(resampled(sums, resamples, seed), len(predictions.labels))
    classes = tuple(
        {name: _interval(name, drawn[name][:, index], point[name][index]) for name in ("precision", "recall", "f1")}
        for index in range(len(predictions.labels))
    )
    return Bootstrap({name: _interval(name, drawn[name], point[name], lowest=0.0) for name in METRICS}, classes)


def confusion_interval(matrix: Ints) -> tuple[Ints, Ints]:
    """Bootstrap 95 % interval of each count of a confusion matrix, exactly: a resampled count is binomial.

    Returns:
        Lower and upper counts, each of the matrix's shape.
    """
    total = matrix.sum()
    low, high = (binom.ppf(tail, total, matrix / total).astype(np.int64) for tail in TAILS)
    return low, high


def paired_comparison(
    first: Predictions,
    second: Predictions,
    *,
    resamples: int = RESAMPLES,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Comparison:
    """Compare two models on the same examples, matched by id.

    Raises:
        DataError: the two differ in labels, ids or gold labels, or an id occurs twice.
    """
    second = aligned(first, second)
    only_first = int((first.correct & ~second.correct).sum())
    only_second = int((second.correct & ~first.correct).sum())
    permutation_p, exact = _permutation_test(first, second, permutations, seed)
    return Comparison(
        n=len(first.ids),
        differences=_paired_differences(first, second, resamples, seed),
        only_first_right=only_first,
        only_second_right=only_second,
        mcnemar_p=_mcnemar(only_first, only_second),
        permutation_p=permutation_p,
        exact=exact,
    )


def aligned(reference: Predictions, other: Predictions) -> Predictions:
    """`other` with its rows and labels in the order of `reference`.

    Raises:
        DataError: the two differ in labels, ids or gold labels, or an id occurs twice.
    """
    if set(reference.labels) != set(other.labels):
        raise DataError(
            "the two runs have different labels",
            value=list(other.labels),
            allowed=reference.labels,
            hint="judge each by itself: `ag evaluate RUN`; runs can be compared whose labels are the same",
        )
    place = {identifier: row for row, identifier in enumerate(other.ids)}
    if len(place) < len(other.ids) or len(set(reference.ids)) < len(reference.ids):
        raise DataError(
            "an id occurs twice, so that the examples of the two runs cannot be matched",
            hint="judge each by itself: `ag evaluate RUN`",
        )
    unmatched = len(place.keys() ^ set(reference.ids))
    if unmatched:
        raise DataError(
            f"the two runs were judged on different examples ({counted(unmatched, 'id')} in only one of them)",
            hint=_SAME_DATA,
        )
    rows = np.array([place[identifier] for identifier in reference.ids])
    columns = [other.labels.index(label) for label in reference.labels]
    gold = np.argsort(columns)[other.gold[rows]]
    if (gold != reference.gold).any():
        differ = counted(int((gold != reference.gold).sum()), "example")
        raise DataError(f"the second run has another gold label of {differ}", hint=_SAME_DATA)
    probabilities = other.probabilities[rows][:, columns]
    return replace(other, ids=reference.ids, labels=reference.labels, gold=gold, probabilities=probabilities)


def _interval(metric: str, drawn: Floats, point: Floats | float, lowest: float = -np.inf) -> Interval:
    """The percentile interval of resampled values, cut at `lowest`.

    ECE sums absolute gaps: resampling adds noise to each, so resampled values lie above the estimate, often
    all of them. Their bias is taken off; the interval then shows the spread around the estimate. The estimate itself
    lies above the true error for the same reason, the more so the fewer examples there are, and that is left: the
    interval is no 95 % interval of the true error.
    """
    low, high = np.quantile(drawn, TAILS)
    bias = drawn.mean() - point if metric == "ece" else 0.0
    return Interval(max(lowest, float(low - bias)), float(high - bias))


def _paired_differences(first: Predictions, second: Predictions, resamples: int, seed: int) -> dict[str, Difference]:
    num_labels = len(first.labels)
    both = np.stack([example_sums(first), example_sums(second)])
    point = _subtracted(both.sum(axis=-2), num_labels)
    drawn = _subtracted(resampled(both, resamples, seed), num_labels)
    return {name: Difference(float(point[name]), _interval(name, drawn[name], point[name])) for name in METRICS}


def _subtracted(both: Floats, num_labels: int) -> dict[str, Floats]:
    """Metrics of the second table of sums minus those of the first."""
    first, second = (scores(sums, num_labels) for sums in both)
    return {name: second[name] - first[name] for name in METRICS}


def _mcnemar(only_first: int, only_second: int) -> float:
    """Exact McNemar test: under no difference, discordant examples fall to either side like a fair coin."""
    discordant = only_first + only_second
    return float(binomtest(only_first, discordant, 0.5).pvalue) if discordant else 1.0


def _permutation_test(
    first: Predictions, second: Predictions, permutations: int, seed: int
) -> tuple[dict[str, float], bool]:
    """Two-sided p-values of accuracy and macro F1, swapping the two models' answers example by example.

    Only examples that the models answer differently matter, and those with the same gold label and the same
    two answers are alike: it is enough to know how many of each kind are swapped, which is binomial. All
    cases are enumerated where they are at most `permutations`, else drawn, with the observed one counted in.

    Returns:
        The p-values, and whether they are exact.
    """
    differ = first.predicted != second.predicted
    answers = np.stack([first.gold, first.predicted, second.predicted], axis=1)
    if not differ.any():
        return {"accuracy": 1.0, "f1_macro": 1.0}, True
    kinds, counts = np.unique(answers[differ], axis=0, return_counts=True)
    observed = _swapped_differences(first, second, kinds, np.zeros((1, len(kinds))))
    sizes = [int(count) + 1 for count in counts]
    exact = math.prod(sizes) <= permutations
    if exact:
        swaps = np.indices(sizes).reshape(len(sizes), -1).T
        chance = binom.pmf(swaps, counts, 0.5).prod(axis=1)
        p_values = chance @ _as_extreme(_swapped_differences(first, second, kinds, swaps), observed)
    else:
        rng, extreme = np.random.default_rng(seed), np.zeros(2)
        for size in blocks(permutations, len(kinds)):
            swaps = rng.binomial(counts, 0.5, size=(size, len(counts)))
            extreme += _as_extreme(_swapped_differences(first, second, kinds, swaps), observed).sum(axis=0)
        p_values = (extreme + 1) / (permutations + 1)
    # Summed chances may pass 1 by a rounding error.
    accuracy, f1 = (min(1.0, float(p)) for p in p_values)
    return {"accuracy": accuracy, "f1_macro": f1}, exact


def _as_extreme(differences: Floats, observed: Floats) -> Floats:
    """1 where a difference is at least as large as the observed one, whatever its sign; ties count."""
    return (np.abs(differences) >= np.abs(observed) - 1e-12).astype(np.float64)


def _swapped_differences(first: Predictions, second: Predictions, kinds: Ints, swaps: Floats | Ints) -> Floats:
    """Accuracy and macro-F1 difference (second - first) after swapping answers. Shape (rows of swaps, 2).

    Args:
        first: the first model.
        second: the second model.
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
        label_scores = rates(hits + sign * more_hits, predicted + sign * more_predicted, support)
        accuracy.append((hits + sign * more_hits).sum(axis=1) / len(predictions.ids))
        f1.append(label_scores["f1"].mean(axis=1))
    return np.stack([accuracy[1] - accuracy[0], f1[1] - f1[0]], axis=1)
