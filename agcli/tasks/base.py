"""The interface of a task for training and the commands, and the training subset that all tasks share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from agcli.data.batching import Examples, Rows, nested_subset
from agcli.data.prepared import PreparedPairs, load_prepared, read_manifest
from agcli.data.ranking.prepared import PreparedRanking
from agcli.errors import DataError, UsageError
from agcli.options import DataOptions, RankingOptions
from agcli.tasks.registry import TASKS, TaskEntry

Dataset = PreparedPairs | PreparedRanking
Table = Sequence[Sequence[object]]
"""A header, then rows."""


class Task(ABC):
    """Examples, loss and evaluation of one prepared data set.

    Attributes:
        name: of the registry entry.
        loss: the task loss in words.
        notes: changes to the texts when examples were made, for the log.
    """

    name: ClassVar[str]
    loss: str
    notes: tuple[str, ...] = ()

    def __init__(self, dataset: Dataset, options: DataOptions, ranking: RankingOptions, subset_seed: int) -> None:
        self.dataset, self.options, self.subset_seed = dataset, options, subset_seed

    @staticmethod
    def read(folder: Path) -> Dataset:
        """Prepared data of the task; of most tasks pairs of texts."""
        return load_prepared(folder)

    @property
    def entry(self) -> TaskEntry:
        """The task's registry entry."""
        return TASKS[self.name]

    @property
    @abstractmethod
    def outputs(self) -> tuple[str, ...]:
        """Names of the model's outputs; as many as the classifier is wide."""

    @abstractmethod
    def examples(
        self, tokenizer: Any, shared: Path | None = None, knowledge: Collection[str] = ()
    ) -> dict[str, Examples]:
        """The training subset and the evaluated splits, tokenised.

        Args:
            shared: a sweep's folder of tokenised data.
            knowledge: what the training subset brings along for the guides, by name.

        Raises:
            DataError: `ag prepare` did not make that knowledge of these data.
        """

    @abstractmethod
    def training_texts(self) -> list[tuple[str, ...]]:
        """The texts that a later test must not contain, one tuple for each training row or query."""

    @abstractmethod
    def losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of each example, in float32: logits (batch, outputs), labels (batch,) -> (batch,)."""

    @abstractmethod
    def evaluate(self, examples: Examples, logits: Tensor) -> dict[str, float]:
        """Metrics of a split, and `n`; logits in the order of `examples`."""

    @abstractmethod
    def evaluate_baseline(self, train: Examples, examples: Examples) -> dict[str, float | str]:
        """Metrics of a baseline without a model, and its `label`."""

    @abstractmethod
    def predictions(self, examples: Examples, logits: Tensor) -> Table:
        """A header, then one row of `predictions.csv` for each example; never text."""

    def prepare_saving(self, config: Any, tokenizer: Any) -> None:
        """Adapt a saved model's config and tokenizer to other libraries; most tasks need nothing."""
        return

    def settings(self) -> dict[str, Any]:
        """Entries of `metrics.json` on how dev is evaluated."""
        return {}

    def card_facts(self) -> list[str]:
        """Lines of the model card's list."""
        return []

    def card_note(self, metrics: dict[str, Any]) -> str:
        """A paragraph of the model card below its table; empty: none."""
        return ""

    def choose_metric(self, name: str | None) -> str:
        """The dev metric that chooses the best epoch.

        Raises:
            UsageError: a metric of another task.
        """
        metrics = self.entry.metrics
        if name is not None and name not in metrics:
            raise UsageError(f"--metric {name}: {self.dataset.name} is evaluated by {', '.join(metrics)}.")
        return name or metrics[0]

    def training_subset(self, available: int) -> Rows:
        """Rows of the training subset that `--train-limit` or `--train-fraction` choose.

        Raises:
            UsageError: more than there are.
        """
        limit = self.options.train_limit
        if limit is not None and limit > available:
            raise UsageError(f"--train-limit {limit}: the data set has {available} training examples.")
        size = limit or max(1, round(self.options.train_fraction * available))
        return nested_subset(available, size, self.subset_seed)


def load_dataset(folder: Path) -> Dataset:
    """The prepared data of a folder, in the form of the task that its manifest names.

    Raises:
        DataError: an unknown task, or data that cannot be read.
    """
    name = read_manifest(folder)["task"]
    if name not in TASKS:
        raise DataError("unknown task", file=folder / "manifest.json", value=name, allowed=TASKS)
    dataset: Dataset = TASKS[name].load().read(folder)
    return dataset


def make_task(dataset: Dataset, options: DataOptions, ranking: RankingOptions, subset_seed: int) -> Task:
    """The task that the data's manifest names."""
    task: Task = TASKS[dataset.manifest["task"]].load()(dataset, options, ranking, subset_seed)
    return task
