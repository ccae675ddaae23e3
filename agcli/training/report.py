"""What a run reports: its plan, its steps and epochs, and its tables with a row for each step."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agcli.runs.atomic import write_text, writing
from agcli.runs.folder import RunFolder
from agcli.tables.csv_json import csv_text
from agcli.training.loss_terms import LossTerms


@dataclass(frozen=True)
class Plan:
    """What a run is going to do; `--dry-run` prints it.

    Attributes:
        examples: split -> examples used; of ranked documents each is a pair.
        truncated: split -> pairs cut to the maximum length.
        length: median and longest training pair in tokens.
        monitors: guides that are computed without gradient.
        precision: arithmetic that `auto` became.
        memory_estimate_bytes: weights, gradients, optimiser state and the activations of the longest batch, and
            without a GPU the process itself; a rough estimate from dimensions, not a measurement.
        attention: how received attention is captured: our own function (`interface`), eager `maps`, or `none`.
        notes: what loading changed, and settings without effect.
    """

    folder: str
    task: str
    model: str
    num_parameters: int
    num_layers: int
    num_heads: int
    labels: tuple[str, ...]
    examples: dict[str, int]
    truncated: dict[str, int]
    length: dict[str, int]
    steps_per_epoch: int
    total_steps: int
    guides: tuple[str, ...]
    monitors: tuple[str, ...]
    processes: int
    precision: str
    device: str
    memory_estimate_bytes: int
    attention: str
    notes: tuple[str, ...]


class Measured:
    """Scalars that are copied to the host without stopping the device; reading them waits until they are there.

    Args:
        values: name -> scalar on the device.
        check: raises what is wrong with the numbers, once they are read.
    """

    def __init__(self, values: Mapping[str, Tensor], check: Callable[[Mapping[str, float]], None]) -> None:
        self._names, self._check = tuple(values), check
        self._values: dict[str, float] | None = None
        stacked = torch.stack([value.detach().float() for value in values.values()])
        self._copied = stacked.to("cpu", non_blocking=True)
        self._arrived = torch.cuda.Event() if stacked.is_cuda else None  # type: ignore[no-untyped-call]
        if self._arrived is not None:
            self._arrived.record()

    @property
    def ready(self) -> bool:
        """Whether they have been read, so that reading costs nothing."""
        return self._values is not None

    def read(self) -> Mapping[str, float]:
        """Every number by name.

        Raises:
            RunError: the check's.
        """
        if self._values is None:
            if self._arrived is not None:
                self._arrived.synchronize()
            values = dict(zip(self._names, self._copied.tolist(), strict=True))
            self._check(values)
            self._values = values
        return self._values


@dataclass(frozen=True, eq=False)
class StepReport:
    """One optimiser step. Its numbers may still be on their way from the GPU: reading one waits for it.

    Attributes:
        step: optimiser steps so far, this one included.
        epoch: passes over the data, 0-based.
        seconds: wall time since the step before.
        measured: `task`, `gradient_norm` and the terms' values.
        term_names: terms and monitors that were computed; one whose schedule is over was not.
        weights: term of the loss -> its weight in this step.
        shares: first step of a guided run only: `task` and each term -> norm of its own gradient on the first batch, at
            its full weight.
    """

    step: int
    epoch: int
    learning_rate: float
    examples: int
    tokens: int
    seconds: float
    measured: Measured
    term_names: tuple[str, ...] = ()
    weights: Mapping[str, float] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)

    @property
    def task_loss(self) -> float:
        """Mean task loss of the step's examples."""
        return self.measured.read()["task"]

    @property
    def gradient_norm(self) -> float:
        """Norm of the whole gradient before clipping."""
        return self.measured.read()["gradient_norm"]

    @property
    def guides(self) -> dict[str, float]:
        """Name of a guide or other term -> mean raw value over the step's examples, monitors included."""
        values = self.measured.read()
        return {name: values[name] for name in self.term_names}


class RunCallback:
    """Methods that a run calls as it goes on; each does nothing unless it is overridden."""

    def plan(self, plan: Plan) -> None:
        """Everything is loaded; training starts."""

    def message(self, text: str) -> None:
        """A line of log."""

    def warning(self, text: str) -> None:
        """A warning."""

    def training(self, done_steps: int, total_steps: int) -> None:
        """Training starts, or is resumed after `done_steps`."""

    def step(self, report: StepReport) -> None:
        """An optimiser step has ended."""

    def predicting(self, split: str, total_examples: int) -> None:
        """Prediction of a split starts."""

    def predicted(self, num_examples: int) -> None:
        """So many more examples are predicted."""

    def epoch(self, epoch: Mapping[str, Any]) -> None:
        """An epoch has ended; its entry in metrics.json."""


def gradient_shares(norms: Mapping[str, float]) -> str:
    """The first log line of a guided run: each guide's gradient beside the task's."""
    task = norms["task"]
    parts = [f"task {task:.3g}"]
    for name, value in norms.items():
        if name != "task":
            parts.append(f"{name} {value:.3g}" + (f" ({100 * value / task:.1f} % of it)" if task > 0 else ""))
    return "gradient norms on the first batch: " + ", ".join(parts)


def add_to_sums(sums: dict[str, Any], report: StepReport) -> None:
    """Add a step to an epoch's sums: name -> [sum over examples, examples] of the task loss and each guide."""
    for name, value in {"task_loss": report.task_loss, **report.guides}.items():
        total, examples = sums.get(name, (0.0, 0))
        sums[name] = [total + value * report.examples, examples + report.examples]


def idle_guides(means: Mapping[str, float]) -> list[str]:
    """Guides that were exactly 0 in an epoch, as one is whose targets are not in the data."""
    return [name for name, value in means.items() if name != "task_loss" and value == 0.0]


class StepTable:
    """A CSV that grows by rows with a leading `step`, and can be cut back to an earlier step."""

    def __init__(self, path: Path, header: Sequence[str]) -> None:
        self.path, self.header = path, list(header)

    def start(self, step: int) -> None:
        """Keep rows up to `step` (0: none) and go on from there; a half-written last line is dropped."""
        kept: list[str] = []
        if step and self.path.is_file():
            lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)[1:]
            kept = [line for line in lines if line.endswith("\n") and int(line.split(",", 1)[0]) <= step]
        write_text(self.path, csv_text([self.header]) + "".join(kept))
        with writing(self.path):
            self._file = self.path.open("a", encoding="utf-8", newline="", buffering=1)  # line by line

    def add(self, row: Sequence[object]) -> None:
        """Append a row; on the disk for certain after `sync`."""
        with writing(self.path):
            self._file.write(csv_text([row]))

    def sync(self) -> None:
        """Push all rows to the disk."""
        with writing(self.path):
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Flush and close."""
        with writing(self.path):
            self._file.close()


class History:
    """`history.csv`, and `timing.csv` with all that differs between repeats. Of several processes one writes them.

    Of a guide whose schedule is over the value is empty, as it is not computed, and the weighted value 0.
    """

    def __init__(self, folder: RunFolder, terms: LossTerms) -> None:
        self.guide_names = [term.name for term in [*terms.terms, *terms.monitors]]
        self._weighted = {term.name for term in terms.terms}
        columns: list[str] = []
        for name in self.guide_names:
            columns += [name, f"{name}_weighted"] if name in self._weighted else [name]
        steps = ["step", "epoch", "loss", "task_loss", *columns, "learning_rate", "gradient_norm"]
        times = ["step", "seconds", "examples", "tokens", "examples_per_second"]
        tables = StepTable(folder.path / "history.csv", steps), StepTable(folder.path / "timing.csv", times)
        self._tables = tables if folder.writes else ()

    def start(self, step: int, stack: ExitStack) -> None:
        """Go on after `step`; the stack closes the tables."""
        for table in self._tables:
            table.start(step)
            stack.callback(table.close)

    def loss(self, report: StepReport) -> float:
        """The whole loss of a step: task and weighted guides."""
        return report.task_loss + sum(weight * report.guides[name] for name, weight in report.weights.items())

    def add(self, report: StepReport) -> None:
        """Append a step."""
        guides: list[float | None] = []
        values, weights = report.guides, report.weights
        for name in self.guide_names:
            guides.append(values.get(name))
            if name in self._weighted:
                guides.append(weights[name] * values[name] if name in weights else 0.0)
        first = [report.step, report.epoch + 1, self.loss(report), report.task_loss]
        rate = round(report.examples / report.seconds, 3)
        rows: tuple[list[object], list[object]] = (
            [*first, *guides, report.learning_rate, report.gradient_norm],
            [report.step, round(report.seconds, 6), report.examples, report.tokens, rate],
        )
        for table, row in zip(self._tables, rows, strict=False):
            table.add(row)

    def sync(self) -> None:
        """Push all rows to the disk."""
        for table in self._tables:
            table.sync()
