"""Predictions of a classifier, and its metrics: functions of what each example adds to a few sums."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agcli.errors import DataError, unreadable

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

METRICS = ("accuracy", "precision_macro", "recall_macro", "f1_macro", "ece", "log_loss")
LABEL_METRICS = ("precision", "recall", "f1")
ECE = METRICS.index("ece")
CALIBRATION_BINS = 15
PREDICTION_COLUMNS = ["split", "id", "label", "prediction"]
"""The first columns of `predictions.csv`; then `p_LABEL` for each label."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """A model's probabilities for a split, one row an example.

    Shape:
        ids (n,), gold (n,), the index of the right label, probabilities (n, num_labels) in the order of `labels`.

    Raises:
        DataError: no example, shapes that do not fit, a label index or a probability out of range.
    """

    ids: tuple[str, ...]
    labels: tuple[str, ...]
    gold: Ints
    probabilities: Floats

    def __post_init__(self) -> None:
        if not self.ids:
            raise DataError("there is no example to evaluate")
        shapes = (len(self.ids),), (len(self.ids), len(self.labels))
        if (self.gold.shape, self.probabilities.shape) != shapes:
            raise DataError(
                f"predictions do not fit together: {len(self.ids)} ids, {len(self.labels)} labels, "
                f"gold of shape {self.gold.shape}, probabilities of shape {self.probabilities.shape}"
            )
        if self.gold.min() < 0 or self.gold.max() >= len(self.labels):
            raise DataError(f"a gold label index lies outside 0..{len(self.labels) - 1}")
        # Softmax in float32 may pass 1 by a rounding error; NaN fails both comparisons.
        if not ((self.probabilities > -1e-5) & (self.probabilities < 1 + 1e-5)).all():
            raise DataError("a predicted probability is not a number between 0 and 1")

    @cached_property
    def predicted(self) -> Ints:
        """Index of the most probable label, the first one on ties. Shape (n,)."""
        return np.asarray(self.probabilities.argmax(axis=1), dtype=np.int64)

    @property
    def confidence(self) -> Floats:
        """Probability of the predicted label. Shape (n,)."""
        return np.asarray(self.probabilities.max(axis=1), dtype=np.float64)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether the prediction is the gold label. Shape (n,)."""
        return np.asarray(self.predicted == self.gold)


def prediction_rows(predictions: Predictions) -> list[Sequence[object]]:
    """A header, then id, label, prediction and one probability a label of every example: lines of `predictions.csv`."""
    labels = predictions.labels
    rows: list[Sequence[object]] = [[*PREDICTION_COLUMNS[1:], *(f"p_{label}" for label in labels)]]
    for row, identifier in enumerate(predictions.ids):
        gold, predicted = labels[predictions.gold[row]], labels[predictions.predicted[row]]
        rows.append([identifier, gold, predicted, *map(float, predictions.probabilities[row])])
    return rows


def without_apostrophe(text: str) -> str:
    """The text of a cell of an older version, which put an apostrophe before text that looks like a formula.

    It put one before such an apostrophe, too, so that removing the first restores every text.
    """
    is_escaped = text.startswith("'") and text.lstrip("'").startswith(("=", "+", "-", "@", "\t", "\r"))
    return text[1:] if is_escaped else text


def read_predictions(path: Path, split: str, *, escaped: bool = False) -> Predictions:
    """The predictions on one split, from a run's `predictions.csv`; `escaped` cells are read by `without_apostrophe`.

    Raises:
        DataError: the file is missing, cannot be read or is damaged, or has no such split.
    """
    hint = "a spreadsheet may have saved it with other separators or numbers; train again with --overwrite"
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:  # a spreadsheet puts a byte order mark before it
            header, *rows = csv.reader(file)
    except FileNotFoundError:
        raise DataError("the run has no predictions", file=path, hint="train again with --overwrite") from None
    except OSError as error:
        raise unreadable(path, error, path) from None
    except (ValueError, csv.Error):  # ValueError: no header, or no UTF-8
        raise DataError("not a predictions file of a run", file=path, hint=hint) from None
    if header[:4] != PREDICTION_COLUMNS:
        problem = "not the columns of a run's predictions"
        raise DataError(problem, file=path, row=1, allowed=[*PREDICTION_COLUMNS, "p_LABEL ..."], hint=hint)
    labels = tuple(column.removeprefix("p_") for column in header[4:])
    try:
        chosen = [row for row in rows if row[0] == split]
        if escaped:
            chosen = [[row[0], *map(without_apostrophe, row[1:4]), *row[4:]] for row in chosen]
        gold = [labels.index(row[2]) for row in chosen]
        probabilities = np.array([row[4:] for row in chosen], dtype=np.float64)
    except (ValueError, IndexError):
        problem = "not a predictions file of a run: a row lacks cells, a label its column, or a probability its number"
        raise DataError(problem, file=path, hint=hint) from None
    if not chosen:
        raise DataError(
            "no such split", file=path, column="split", value=split, allowed=sorted({row[0] for row in rows})[:3]
        )
    return Predictions(tuple(row[1] for row in chosen), labels, np.asarray(gold, dtype=np.int64), probabilities)


def classification_metrics(predictions: Predictions) -> dict[str, float]:
    """Every metric of `METRICS`, and `n`.

    Macro averages run over all labels of the model; a label without prediction or gold example counts 0.
    """
    columns = metric_columns(example_sums(predictions).sum(axis=0), len(predictions.labels))
    metrics = dict(zip(METRICS, columns.tolist(), strict=False))
    # A mean that rounds less than the sum over examples.
    return {**metrics, "log_loss": float(example_log_loss(predictions).mean()), "n": len(predictions.ids)}


def confusion(predictions: Predictions) -> Ints:
    """Counts of gold label (rows) by predicted label (columns). Shape (num_labels, num_labels)."""
    counts = np.zeros((len(predictions.labels), len(predictions.labels)), dtype=np.int64)
    np.add.at(counts, (predictions.gold, predictions.predicted), 1)
    return counts


def majority_baseline(train_gold: Ints, gold: Ints, labels: Sequence[str]) -> dict[str, float | str]:
    """Metrics of always predicting the most frequent label of the training split.

    Shape:
        train_gold (n_train,) and gold (n,): label indices of the training split and of the one to evaluate.

    Returns:
        `label` (its name; the first one on ties), accuracy, the macro metrics and `n`. No calibration: a
        constant answer has no probability.
    """
    majority = int(np.bincount(train_gold, minlength=len(labels)).argmax())
    always = Predictions(tuple(map(str, gold)), tuple(labels), gold, np.eye(len(labels))[np.full_like(gold, majority)])
    metrics = classification_metrics(always)
    return {"label": labels[majority], **{name: metrics[name] for name in (*METRICS[:4], "n")}}


def calibration_bin(confidence: Floats) -> Ints:
    """Index of the equal-width bin of each confidence; a bin holds its upper edge, as in Guo et al. Shape (n,)."""
    inner_edges = np.linspace(0, 1, CALIBRATION_BINS + 1)[1:-1]
    return np.searchsorted(inner_edges, confidence, side="left").astype(np.int64)


def example_log_loss(predictions: Predictions) -> Floats:
    """Negative log-probability of each gold label, in nats. Shape (n,).

    A probability of 0 counts as the float64 step, 2.2e-16, as in scikit-learn, whose `log_loss` warns at
    every float32 softmax because its rows miss 1 by more than 1.5e-8.
    """
    of_gold = predictions.probabilities[np.arange(len(predictions.gold)), predictions.gold]
    step = np.finfo(np.float64).eps
    losses: Floats = -np.log(np.clip(of_gold, step, 1 - step))
    return losses


def example_sums(predictions: Predictions) -> Floats:
    """What each example adds to the sums that every metric is a function of.

    Returns:
        Shape (n, 3 * num_labels + bins + 1): hits, predictions and gold examples per label, signed
        calibration gap per confidence bin, log loss.
    """
    rows, num_labels = np.arange(len(predictions.ids)), len(predictions.labels)
    sums = np.zeros((len(rows), 3 * num_labels + CALIBRATION_BINS + 1))
    sums[rows, predictions.gold] = predictions.correct
    sums[rows, num_labels + predictions.predicted] = 1
    sums[rows, 2 * num_labels + predictions.gold] = 1
    gap = predictions.correct - predictions.confidence
    sums[rows, 3 * num_labels + calibration_bin(predictions.confidence)] = gap
    sums[:, -1] = example_log_loss(predictions)
    return sums


def metric_columns(sums: Floats, num_labels: int) -> Floats:
    """All metrics from summed `example_sums`, over any leading axes.

    ECE is the mean gap between confidence and accuracy over bins of confidence, weighted by bin size.

    Source: of ECE, Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3.

    Shape:
        (..., 3 * num_labels + bins + 1) -> (..., 6 + 3 * num_labels): `METRICS`, then precision, recall and F1, each
        per label.
    """
    hits, predicted, gold = (sums[..., k * num_labels : (k + 1) * num_labels] for k in range(3))
    total = gold.sum(axis=-1)
    of_labels = rates(hits, predicted, gold)
    overall = [
        hits.sum(axis=-1) / total,
        *(of_labels[name].mean(axis=-1) for name in LABEL_METRICS),
        np.abs(sums[..., 3 * num_labels : -1]).sum(axis=-1) / total,
        sums[..., -1] / total,
    ]
    return np.concatenate([np.stack(overall, axis=-1), *(of_labels[name] for name in LABEL_METRICS)], axis=-1)


def rates(hits: Floats, predicted: Floats, gold: Floats) -> dict[str, Floats]:
    """Precision, recall and F1 per label from counts of hits, predictions and gold examples; 0 for 0 / 0."""
    return {
        "precision": hits / np.maximum(predicted, 1),
        "recall": hits / np.maximum(gold, 1),
        "f1": 2 * hits / np.maximum(predicted + gold, 1),
    }
