"""The list of tasks, and what it takes to add one."""

from __future__ import annotations

import csv
import json
import shutil
import typing
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_runs import ROWS, as_flags
from torch import Tensor
from torch.nn.functional import mse_loss
from typer.testing import Result

from agcli.data.batching import Examples
from agcli.data.prepared import PreparedPairs
from agcli.errors import DataError, UsageError
from agcli.options import Metric
from agcli.runs.folder import RunFolder
from agcli.tasks.base import Table, Task, load_dataset
from agcli.tasks.classification import pair_examples
from agcli.tasks.registry import TASKS, TaskEntry


@pytest.mark.parametrize("entry", TASKS.values(), ids=list(TASKS))
def test_an_entry_describes_its_task(entry: TaskEntry) -> None:
    task = entry.load()
    assert issubclass(task, Task)
    assert task.name == entry.name
    assert set(entry.columns) <= set(entry.metrics)
    assert set(entry.epoch_line) <= set(entry.metrics)


def test_the_metric_option_takes_every_metric_of_every_task() -> None:
    metrics = [name for entry in TASKS.values() for name in entry.metrics]
    assert list(typing.get_args(Metric)) == metrics, "name the metrics of a new task in agcli.options.Metric"


class Length(Task):
    """Regression of a pair's number of tokens: all that a new task has to bring."""

    name = "length"
    loss = "squared error"
    outputs = ("LABEL_0",)
    dataset: PreparedPairs

    def examples(
        self, tokenizer: Any, shared: Path | None = None, knowledge: Collection[str] = ()
    ) -> dict[str, Examples]:
        labels, found = self.dataset.labels, {}
        for split, frame in self.dataset.splits.items():
            examples = pair_examples(frame, labels, tokenizer, self.options.max_length)
            found[split] = replace(examples, labels=examples.lengths)
        return found

    def training_texts(self) -> list[tuple[str, ...]]:
        return [(text,) for text in self.dataset.splits["train"]["text_a"]]

    def losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        return mse_loss(logits.float()[:, 0], labels.float(), reduction="none")

    def evaluate(self, examples: Examples, logits: Tensor) -> dict[str, float]:
        error = np.abs(logits.float().numpy()[:, 0] - examples.labels).mean()
        return {"closeness": float(1 / (1 + error)), "n": len(examples)}

    def evaluate_baseline(self, train: Examples, examples: Examples) -> dict[str, float | str]:
        error = np.abs(train.labels.mean() - examples.labels).mean()
        return {"label": "mean", "closeness": float(1 / (1 + error)), "n": len(examples)}

    def predictions(self, examples: Examples, logits: Tensor) -> Table:
        rows = zip(examples.ids, examples.labels.tolist(), logits[:, 0].tolist(), strict=True)
        return [["id", "length", "prediction"], *rows]

    def settings(self) -> dict[str, Any]:
        return {"unit": "token"}


@pytest.fixture
def length_data(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Registers the task; prepared data that name it."""
    folder = shutil.copytree(dataset, tmp_path / "pairs")
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"task": "length"}))
    entry = TaskEntry(
        name="length",
        target=f"{__name__}:Length",
        metrics=("closeness",),
        columns={"closeness": "near"},
        epoch_line={"closeness": "nearness"},
        baseline="mean length",
        baseline_row="always the {label}",
        caption="Counted in {unit}s.",
        pipeline_tag="text-classification",
    )
    monkeypatch.setitem(TASKS, "length", entry)
    return folder


def test_a_new_task_is_one_class_and_one_entry(
    ag: Callable[..., Result], options: dict[str, Any], length_data: Path, tmp_path: Path
) -> None:
    result = ag("finetune", *as_flags(options | {"dataset": length_data, "epochs": 1, "output": tmp_path / "run"}))
    run = RunFolder(tmp_path / "run")
    assert (run.task, run.metrics["task"], run.metrics["metric"]) == ("length", "length", "closeness")
    assert json.loads((run.model / "config.json").read_text())["id2label"] == {"0": "LABEL_0"}
    for part in ("near", "test, always the mean", "Counted in tokens.", f"{run.metrics['dev']['closeness']:.4f}"):
        assert part in result.stdout
    assert f"dev nearness {run.metrics['dev']['closeness']:.4f}" in result.stderr
    assert "Loss: squared error + guides (mdg=0.01, pdg=0.001)" in (run.model / "README.md").read_text()
    with (run.path / "predictions.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["split", "id", "length", "prediction"]
    assert len(rows) == ROWS["dev"] + ROWS["test"]


def test_an_unknown_task_is_refused(length_data: Path) -> None:
    del TASKS["length"]
    with pytest.raises(DataError, match=r"manifest\.json: unknown task\. Found 'length'\. Allowed: classification"):
        load_dataset(length_data)


def test_its_metrics_are_its_own(length_data: Path) -> None:
    task = Length(load_dataset(length_data), *[None] * 3)  # type: ignore[arg-type]
    assert task.choose_metric(None) == "closeness"
    with pytest.raises(UsageError, match="--metric RR: pairs is evaluated by closeness"):
        task.choose_metric("RR")
