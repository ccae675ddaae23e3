"""Finished runs judged on one split: each by itself, and each compared with the first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agcli.data import find_dataset, load_prepared
from agcli.data.prepared import PreparedDataset
from agcli.errors import DataError, UsageError
from agcli.measures.bootstrap import Bootstrap, Comparison, aligned, bootstrap, confusion_interval, paired_comparison
from agcli.measures.classification import (
    METRICS,
    Predictions,
    classification_metrics,
    confusion,
    majority_baseline,
    per_class,
)
from agcli.measures.resampling import PERMUTATIONS, RESAMPLES, Interval
from agcli.runs.atomic import write_text
from agcli.runs.finished import open_all
from agcli.runs.folder import RunFolder, csv_text, open_run
from agcli.training.trained_on import Overlap, overlap_warning, training_overlaps

SPLITS = ("test", "dev")


@dataclass(frozen=True, eq=False)
class RunEvaluation:
    """One run on the split.

    Attributes:
        name: the run's name in reports, unique among the evaluated runs.
        path: its folder.
        predictions: rows and labels in the order of the first run.
        metrics: as of `classification_metrics`.
        intervals: their bootstrap intervals.
        baseline: metrics of the majority class as the run recorded them, or None.
        dataset: name of the data that it was judged on; empty where the run does not record it.
        trained_on: of another data set, how many rows the run was trained on; None where that is not known.
    """

    name: str
    path: Path
    predictions: Predictions
    metrics: dict[str, float]
    intervals: Bootstrap
    baseline: dict[str, Any] | None
    dataset: str
    trained_on: Overlap | None


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Runs on one split; `comparisons[i]` is run `i + 1` compared with run 0; warnings are of rows trained on."""

    split: str
    dataset: str | None
    resamples: int
    seed: int
    runs: tuple[RunEvaluation, ...]
    comparisons: tuple[Comparison, ...]
    warnings: tuple[str, ...]


def evaluate_runs(
    paths: Sequence[Path],
    *,
    split: str | None = None,
    dataset: str | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    batch_size: int = 64,
    offline: bool = False,
    strict_splits: bool = False,
) -> Evaluation:
    """Judge finished runs on one split and compare each with the first.

    Args:
        paths: run folders.
        split: "dev" or "test"; by default test where there is one, else dev.
        dataset: another prepared data set to predict first; by default the saved predictions are read.
        resamples: bootstrap resamples.
        seed: seed of the bootstrap and of the permutation test.
        batch_size: examples a batch, for `dataset`.
        offline: whether the hub is out of bounds, for `dataset`.
        strict_splits: whether rows of `dataset` that a run was trained on are an error.

    Raises:
        UsageError: the same run twice, or runs that have no common default split.
        DataError: no such split, runs that were not judged on the same examples and labels, or rows trained on.
        RunError: a folder that is no finished run.
    """
    folders = open_all(paths, open_run)
    if len({folder.path.resolve() for folder in folders}) < len(folders):
        raise UsageError("the same run is given twice", hint="name each run folder once")
    names = _unique_names(folders)
    overlaps: list[Overlap | None] = [None] * len(folders)
    warnings: list[str] = []
    if dataset is None:
        split = _common_split(folders, names, split)
        chosen = split
        found = open_all(paths, lambda path: RunFolder(path).load_predictions(chosen))
    else:
        data = load_prepared(find_dataset(dataset, Path.cwd()))
        split = split or ("test" if "test" in data.splits else "dev")
        overlaps, warnings = _overlaps(folders, names, data, split, strict_splits)
        found = [_predicted(folder, dataset, split, batch_size, offline) for folder in folders]
    matched = [
        found[0],
        *(_matched(found[0], other, names[0], name) for other, name in zip(found[1:], names[1:], strict=True)),
    ]
    runs = tuple(
        RunEvaluation(
            name,
            folder.path,
            predictions,
            classification_metrics(predictions),
            bootstrap(predictions, resamples=resamples, seed=seed),
            _baseline(folder, predictions),
            dataset or str(folder.environment.get("data", {}).get("name", "")),
            overlap,
        )
        for name, folder, predictions, overlap in zip(names, folders, matched, overlaps, strict=True)
    )
    comparisons = tuple(paired_comparison(matched[0], other, resamples=resamples, seed=seed) for other in matched[1:])
    return Evaluation(split, dataset, resamples, seed, runs, comparisons, tuple(warnings))


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """Everything that was found, as plain values for JSON."""
    first = evaluation.runs[0].name
    return {
        "split": evaluation.split,
        "dataset": evaluation.dataset,
        "resamples": evaluation.resamples,
        "permutations": PERMUTATIONS,
        "seed": evaluation.seed,
        "warnings": list(evaluation.warnings),
        "interval": "95 % bootstrap over examples, models fixed; not over seeds",
        "runs": [_run_json(run) for run in evaluation.runs],
        "comparisons": [
            {"first": first, "second": run.name, **asdict(comparison)}
            for run, comparison in zip(evaluation.runs[1:], evaluation.comparisons, strict=True)
        ],
    }


def write_metrics(evaluation: Evaluation, file: Path) -> None:
    """Write everything as one long CSV table: a row a number, its `kind` telling which.

    Kinds: `metric`; `class` (with its label); `confusion` (label: gold, predicted); and of each further run against
    the first, `difference` and `test` (p-values).
    """
    rows: list[list[object]] = [["run", "dataset", "split", "kind", "label", "metric", "value", "low", "high", "n"]]
    for run in evaluation.runs:
        rows += [[run.name, run.dataset, evaluation.split, *row, run.metrics["n"]] for row in _metric_rows(run)]
    for run, comparison in zip(evaluation.runs[1:], evaluation.comparisons, strict=True):
        rows += [[run.name, run.dataset, evaluation.split, *row, comparison.n] for row in _comparison_rows(comparison)]
    write_text(file.resolve(), csv_text(rows))


def _metric_rows(run: RunEvaluation) -> Iterator[list[object]]:
    """kind, label, metric, value, low, high."""
    for metric in METRICS:
        interval = run.intervals.metrics[metric]
        yield ["metric", "", metric, run.metrics[metric], interval.low, interval.high]
    for row, intervals in zip(per_class(run.predictions), run.intervals.classes, strict=True):
        for name, interval in intervals.items():
            yield ["class", row.label, name, getattr(row, name), interval.low, interval.high]
    counts, labels = confusion(run.predictions), run.predictions.labels
    low, high = confusion_interval(counts)
    for gold, predicted in np.ndindex(counts.shape):
        cell = int(counts[gold, predicted]), int(low[gold, predicted]), int(high[gold, predicted])
        yield ["confusion", f"{labels[gold]}, {labels[predicted]}", "count", *cell]


def _comparison_rows(comparison: Comparison) -> Iterator[list[object]]:
    """kind, label, metric, value, low, high."""
    for metric, difference in comparison.differences.items():
        yield ["difference", "", metric, difference.value, difference.interval.low, difference.interval.high]
    yield ["test", "", "mcnemar_p", comparison.mcnemar_p, "", ""]
    for metric, p_value in comparison.permutation_p.items():
        yield ["test", "", f"permutation_p_{metric}", p_value, "", ""]


def write_predictions(evaluation: Evaluation, file: Path) -> None:
    """Write one CSV row an example: id, gold label, then each run's prediction and probabilities. Never text."""
    write_text(file.resolve(), csv_text(_prediction_rows(evaluation)))


def _prediction_rows(evaluation: Evaluation) -> Iterator[Sequence[object]]:
    several = len(evaluation.runs) > 1
    header = ["id", "gold"]
    for run in evaluation.runs:
        prefix = f"{run.name}:" if several else ""
        header += [f"{prefix}prediction", *(f"{prefix}p_{label}" for label in run.predictions.labels)]
    yield header
    first = evaluation.runs[0].predictions
    for row, identifier in enumerate(first.ids):
        cells: list[object] = [identifier, first.labels[first.gold[row]]]
        for run in evaluation.runs:
            label = run.predictions.labels[run.predictions.predicted[row]]
            cells += [label, *run.predictions.probabilities[row].tolist()]
        yield cells


def _run_json(run: RunEvaluation) -> dict[str, Any]:
    counts = confusion(run.predictions)
    low, high = confusion_interval(counts)
    return {
        "run": run.name,
        "path": str(run.path),
        "dataset": run.dataset or None,
        "n": run.metrics["n"],
        "trained_on": None if run.trained_on is None else asdict(run.trained_on),
        "labels": list(run.predictions.labels),
        "metrics": {metric: _valued(run.metrics[metric], run.intervals.metrics[metric]) for metric in METRICS},
        "classes": [
            {
                "label": row.label,
                "support": row.support,
                **{name: _valued(getattr(row, name), interval) for name, interval in intervals.items()},
            }
            for row, intervals in zip(per_class(run.predictions), run.intervals.classes, strict=True)
        ],
        "confusion": {"counts": counts.tolist(), "low": low.tolist(), "high": high.tolist()},
        "baseline": run.baseline,
    }


def _valued(value: float, interval: Interval) -> dict[str, float]:
    return {"value": value, "low": interval.low, "high": interval.high}


def _unique_names(folders: Sequence[RunFolder]) -> list[str]:
    """The runs' names, or their paths where two names are equal."""
    names = [folder.name for folder in folders]
    return names if len(set(names)) == len(names) else [str(folder.path) for folder in folders]


def _baseline(folder: RunFolder, predictions: Predictions) -> dict[str, Any] | None:
    """Metrics of always answering the class that was most frequent in the run's training data."""
    recorded = next(iter(folder.metrics.get("baseline", {}).values()), None)
    if recorded is None or recorded["label"] not in predictions.labels:
        return None
    majority = np.array([predictions.labels.index(recorded["label"])])
    return majority_baseline(majority, predictions.gold, predictions.labels)


def _common_split(folders: Sequence[RunFolder], names: Sequence[str], wanted: str | None) -> str:
    """The split to judge: the wanted one, else test where there is one, else dev; the same for all runs."""
    available = [tuple(split for split in SPLITS if split in folder.metrics) for folder in folders]
    for name, splits in zip(names, available, strict=True):
        if not splits or (wanted and wanted not in splits):
            raise DataError(f"run {name!r} has no predictions of the split {wanted or 'test'!r}", allowed=splits)
    defaults = {splits[0] for splits in available}
    if wanted is None and len(defaults) > 1:
        listed = "; ".join(f"{name}: {', '.join(splits)}" for name, splits in zip(names, available, strict=True))
        raise UsageError(f"the runs have different splits ({listed})", hint="choose one with --split dev")
    return wanted or defaults.pop()


def _overlaps(
    folders: Sequence[RunFolder], names: Sequence[str], data: PreparedDataset, split: str, strict: bool
) -> tuple[list[Overlap | None], list[str]]:
    """What the runs were trained on of a split, and what to say of it."""
    frame = data.frame(split)
    pairs = list(zip(frame["text_a"], frame["text_b"], strict=True))
    overlaps = training_overlaps(folders, pairs)
    rows = f"rows of {data.name}, {split},"
    warnings = [overlap_warning(each, name, rows, strict) for name, each in zip(names, overlaps, strict=True)]
    return overlaps, [warning for warning in warnings if warning]


def _predicted(folder: RunFolder, dataset: str, split: str, batch_size: int, offline: bool) -> Predictions:
    from agcli.training.predict import predict

    return predict(folder.path, dataset, split, batch_size, offline)


def _matched(reference: Predictions, other: Predictions, first: str, second: str) -> Predictions:
    """`aligned`, with the names of the two runs in its error."""
    try:
        return aligned(reference, other)
    except DataError as error:
        raise DataError(f"{first!r} and {second!r} cannot be compared: {error}", hint=error.hint) from None
