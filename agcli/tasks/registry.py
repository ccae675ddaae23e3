"""The list of tasks. What commands show of a finished run derives from it; no torch.

A new task is a file in this folder, an entry here, and a test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class TaskEntry:
    """A task, described without importing it.

    Attributes:
        name: as prepared data (`manifest.json`) and runs (`metrics.json`) record it.
        target: `module:class`, imported on first use.
        metrics: dev metrics that can choose the best epoch; the first is the default.
        columns: metric -> its heading in the table of a run's results.
        epoch_line: metric -> its words in the line of an epoch.
        baseline: the baseline without a model, in words.
        baseline_row: heading of its row, with `{label}` for its prediction.
        caption: below the table of results; may contain entries of `metrics.json` in braces.
        pipeline_tag: the hub's word for the task, for the model card.
        further_metrics: metrics beside `metrics` that are saved, and that choose no epoch.
    """

    name: str
    target: str
    metrics: tuple[str, ...]
    columns: Mapping[str, str]
    epoch_line: Mapping[str, str]
    baseline: str
    baseline_row: str
    caption: str
    pipeline_tag: str
    further_metrics: tuple[str, ...] = ()

    def load(self) -> type[Any]:
        """The task's class, a subclass of `agcli.tasks.base.Task`."""
        module, _, name = self.target.partition(":")
        loaded: type[Any] = getattr(import_module(module), name)
        return loaded


_ENTRIES = (
    TaskEntry(
        name="classification",
        target="agcli.tasks.classification:Classification",
        metrics=("accuracy", "precision_macro", "recall_macro", "f1_macro"),
        columns={"accuracy": "accuracy", "precision_macro": "precision", "recall_macro": "recall", "f1_macro": "F1"},
        epoch_line={"accuracy": "accuracy", "f1_macro": "macro F1"},
        baseline="majority class",
        baseline_row="always {label}",
        caption="Precision, recall and F1 are macro averages; `always ...` is the majority-class baseline.",
        pipeline_tag="text-classification",
        further_metrics=("ece", "log_loss"),
    ),
    TaskEntry(
        name="ranking",
        target="agcli.tasks.ranking:Ranking",
        metrics=("RR", "R@1", "R@3", "R@5", "R@20", "nDCG@10", "AP"),
        columns={name: name for name in ("RR", "R@1", "R@3", "R@5", "R@20")},
        epoch_line={"RR": "RR", "R@1": "R@1"},
        baseline="first stage",
        baseline_row="{label}",
        caption="The first {dev_depth} candidates of n dev queries; a query whose document is not among them scores 0."
        "\nThe test queries are ranked by: ag rank RUN --split test",
        pipeline_tag="text-ranking",
    ),
)
TASKS: dict[str, TaskEntry] = {entry.name: entry for entry in _ENTRIES}
