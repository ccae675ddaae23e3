"""The bootstrap over examples or queries, of every metric that is a function of the sum of their rows.

A resample is a vector of integer weights, so its sums are one row of a matrix product: 2000 resamples of 10 000
examples take 0.1 s.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binom

from agcli.errors import DataError
from agcli.measures.classification import (
    ECE,
    METRICS,
    Floats,
    Ints,
    Predictions,
    classification_metrics,
    example_sums,
    metric_columns,
)

RESAMPLES = 2000
TAILS = (0.025, 0.975)
# Cells of one block of resamples: 16 MB as float64, so that memory does not grow with n x resamples.
BLOCK_CELLS = 2_000_000


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class LabelEstimates:
    """One label's line of the per-class table; `support` counts its gold examples."""

    label: str
    support: int
    precision: Estimate
    recall: Estimate
    f1: Estimate


def bootstrap(
    rows: Floats,
    metrics: Callable[[Floats], Floats],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    biased: Collection[int] = (),
) -> list[Estimate]:
    """Metrics with their percentile intervals over resampled rows.

    Args:
        rows: summands of each example or query. Stacked tables, as of two models on the same examples, are resampled
            together.
        metrics: from sums to metrics, over any axes in the middle.
        biased: metrics that sum absolute gaps, as ECE does: noise in each gap puts resampled values above the estimate,
            often all of them. Their bias is subtracted; the interval then shows the spread around the estimate. The
            estimate itself overstates the true error likewise, more so with fewer examples; this is not corrected, so
            the interval is no 95 % interval of the true error.

    Shape:
        rows: (..., n, columns); `metrics` maps (..., columns) or (..., resamples, columns) to (num_metrics,) or
        (resamples, num_metrics).

    Source: Efron 1979.
    """
    values = metrics(rows.sum(axis=-2))
    drawn = metrics(resampled(rows, resamples, seed))
    bias = np.zeros_like(values)
    for column in biased:
        bias[column] = drawn[:, column].mean() - values[column]
    low, high = np.quantile(drawn, TAILS, axis=0) - bias
    columns = zip(values.tolist(), low.tolist(), high.tolist(), strict=True)
    return [Estimate(*column) for column in columns]


def metric_estimates(
    predictions: Predictions, *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[dict[str, Estimate], tuple[LabelEstimates, ...]]:
    """All metrics with bootstrap intervals over examples, overall and of each label in the model's order.

    All come from one set of resamples. ECE alone is shifted, see `bootstrap`, and cut at 0.
    """
    labels, sums = predictions.labels, example_sums(predictions)
    estimates = bootstrap(
        sums, lambda summed: metric_columns(summed, len(labels)), resamples=resamples, seed=seed, biased=(ECE,)
    )
    values = classification_metrics(predictions)
    metrics = {name: replace(estimate, value=values[name]) for name, estimate in zip(METRICS, estimates, strict=False)}
    metrics["ece"] = replace(metrics["ece"], low=max(0.0, metrics["ece"].low))
    of_labels = [estimates[start :: len(labels)] for start in range(len(METRICS), len(METRICS) + len(labels))]
    support = np.bincount(predictions.gold, minlength=len(labels)).tolist()
    lines = zip(labels, support, of_labels, strict=True)
    return metrics, tuple(LabelEstimates(label, count, *metrics_of) for label, count, metrics_of in lines)


def confusion_interval(matrix: Ints) -> tuple[Ints, Ints]:
    """Bootstrap 95 % interval of each count of a confusion matrix, exactly: a resampled count is binomial.

    Returns:
        Lower and upper counts, each of the matrix's shape.
    """
    total = matrix.sum()
    low, high = (binom.ppf(tail, total, matrix / total).astype(np.int64) for tail in TAILS)
    return low, high


def mean_estimates(values: ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0) -> list[Estimate]:
    """The mean of each column with its interval over rows; shape (num_queries, num_measures).

    All columns are resampled together. One row gives an interval of no width, which says nothing of other queries.

    Raises:
        DataError: there is no row, or a value is not a number.
    """
    rows = checked_rows(values)
    return bootstrap(rows, lambda sums: sums / len(rows), resamples=resamples, seed=seed)


def checked_rows(values: ArrayLike) -> Floats:
    """Values as a matrix in which every mean exists.

    Raises:
        DataError: there is no row, or a value is not a number.
    """
    rows = np.asarray(values, dtype=np.float64)
    if rows.ndim != 2:
        raise ValueError(f"values have the shape (num_queries, num_measures), not {rows.shape}")
    if not len(rows):
        raise DataError("there is no query to take a mean over")
    if not np.isfinite(rows).all():
        raise DataError("a query's value is not a finite number", row=int(np.argwhere(~np.isfinite(rows))[0, 0]) + 1)
    return rows


def resampled(rows: Floats, resamples: int, seed: int) -> Floats:
    """Sums over resamples of rows, drawn with replacement; equal tables give equal sums to the last bit.

    Shape: (..., n, columns) -> (..., resamples, columns).
    """
    rng, n = np.random.default_rng(seed), rows.shape[-2]
    sums = []
    for size in blocks(resamples, n):
        drawn = rng.integers(n, size=(size, n)) + n * np.arange(size)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n)
        sums.append(weights.astype(np.float64) @ rows)
    return np.concatenate(sums, axis=-2)


def blocks(total: int, width: int) -> Iterator[int]:
    """Sizes that add up to `total`, each of about `BLOCK_CELLS / width` rows."""
    size = max(1, BLOCK_CELLS // max(1, width))
    for start in range(0, total, size):
        yield min(size, total - start)
