"""Finished runs that classify, evaluated on one split: each by itself, and each compared with the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agcli.data.catalogue import find_dataset
from agcli.data.prepared import PreparedPairs, load_prepared
from agcli.errors import DataError
from agcli.evaluate.inputs import Evaluation, aligned, aligned_all, different_splits, open_all, open_distinct
from agcli.measures.bootstrap import RESAMPLES, Estimate, LabelEstimates, confusion_interval, metric_estimates
from agcli.measures.classification import Ints, Predictions, confusion, majority_baseline
from agcli.measures.paired_tests import PredictionComparison, compare_predictions
from agcli.runs.folder import RunFolder, open_run
from agcli.tasks.classification import load_predictions
from agcli.tasks.training_overlap import Overlap, overlap_warning, training_overlaps

SPLITS = ("test", "dev")


@dataclass(frozen=True, eq=False)
class EvaluatedRun:
    """One run on the split.

    Attributes:
        name: unique among the evaluated runs.
        dataset: name of the evaluated data; empty where the run does not record it.
        predictions: rows and labels in the order of the first run.
        metrics: name -> value and interval, of `METRICS`.
        labels: the same of each label.
        baseline: metrics of the class that was most frequent in the run's training data, or None.
        trained_on: rows of another data set that the run was trained on; None where that is not known.
    """

    name: str
    path: Path
    dataset: str
    predictions: Predictions
    metrics: dict[str, Estimate]
    labels: tuple[LabelEstimates, ...]
    baseline: dict[str, Any] | None
    trained_on: Overlap | None

    @property
    def n(self) -> int:
        """Number of examples."""
        return len(self.predictions.ids)

    @property
    def confusion(self) -> dict[str, Ints]:
        """Counts of gold label by predicted label, and their intervals: `counts`, `low`, `high`."""
        counts = confusion(self.predictions)
        low, high = confusion_interval(counts)
        return {"counts": counts, "low": low, "high": high}


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
) -> Evaluation[EvaluatedRun, PredictionComparison]:
    """Evaluate finished runs on one split and compare each with the first.

    Args:
        split: "dev" or "test"; by default test where there is one, else dev.
        dataset: another prepared data set to predict first; by default the saved predictions are read.
        seed: of the bootstrap and of the permutation tests.
        batch_size: examples in a batch, for `dataset`.
        offline: whether the hub may not be used, for `dataset`.
        strict_splits: whether rows of `dataset` that a run was trained on are an error.

    Raises:
        UsageError: the same run twice, or runs that have no common default split.
        DataError: no such split, runs that were not evaluated on the same examples and labels, or rows trained on.
        RunError: a folder that is no finished run.
    """
    folders, names = open_distinct(paths, open_run, "run")
    overlaps: list[Overlap | None] = [None] * len(folders)
    warnings: list[str] = []
    if dataset is None:
        split = _common_split(folders, names, split)
        chosen = split
        loaded = open_all(paths, lambda path: load_predictions(RunFolder(path), chosen))
    else:
        data = load_prepared(find_dataset(dataset, Path.cwd()))
        split = split or ("test" if "test" in data.splits else "dev")
        overlaps, warnings = _overlaps(folders, names, data, split, strict_splits)
        loaded = [_predicted(folder, dataset, split, batch_size, offline) for folder in folders]
    predictions = aligned_all(loaded, names, aligned)
    runs = [
        EvaluatedRun(
            name,
            folder.path,
            dataset or str(folder.environment.get("data", {}).get("name", "")),
            rows,
            *metric_estimates(rows, resamples=resamples, seed=seed),
            _baseline(folder, rows),
            overlap,
        )
        for name, folder, rows, overlap in zip(names, folders, predictions, overlaps, strict=True)
    ]
    comparisons = [
        compare_predictions(predictions[0], rows, resamples=resamples, seed=seed) for rows in predictions[1:]
    ]
    return Evaluation(split, dataset, resamples, seed, tuple(runs), tuple(comparisons), tuple(warnings))


def _common_split(folders: Sequence[RunFolder], names: Sequence[str], wanted: str | None) -> str:
    """The split to evaluate: the wanted one, else test where there is one, else dev; the same for all runs."""
    available = [tuple(split for split in SPLITS if split in folder.metrics) for folder in folders]
    for name, splits in zip(names, available, strict=True):
        if not splits or (wanted and wanted not in splits):
            raise DataError(f"run {name!r} has no predictions of the split {wanted or 'test'!r}", allowed=splits)
    defaults = {splits[0] for splits in available}
    if wanted is None and len(defaults) > 1:
        raise different_splits("runs have", names, [", ".join(splits) for splits in available])
    return wanted or defaults.pop()


def _overlaps(
    folders: Sequence[RunFolder], names: Sequence[str], data: PreparedPairs, split: str, strict: bool
) -> tuple[list[Overlap | None], list[str]]:
    """The rows of a split that the runs were trained on, and the warnings of them."""
    frame = data.frame(split)
    overlaps = training_overlaps(folders, list(zip(frame["text_a"], frame["text_b"], strict=True)))
    rows = f"rows of {data.name}, {split},"
    warnings = [overlap_warning(overlap, name, rows, strict) for name, overlap in zip(names, overlaps, strict=True)]
    return overlaps, [warning for warning in warnings if warning]


def _predicted(folder: RunFolder, dataset: str, split: str, batch_size: int, offline: bool) -> Predictions:
    from agcli.training.predict import predict  # torch

    return predict(folder.path, dataset, split, batch_size, offline)


def _baseline(folder: RunFolder, predictions: Predictions) -> dict[str, Any] | None:
    """Metrics of always answering the class that was most frequent in the run's training data, if it is recorded."""
    recorded = next(iter(folder.metrics.get("baseline", {}).values()), None)
    if recorded is None or recorded["label"] not in predictions.labels:
        return None
    majority = np.array([predictions.labels.index(recorded["label"])])
    return majority_baseline(majority, predictions.gold, predictions.labels)
