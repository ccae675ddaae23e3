"""A row for each step of a run: `history.csv`, and `timing.csv`, which has all that differs between repeats."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from agcli.runs.atomic import write_text, writing
from agcli.runs.folder import RunFolder
from agcli.tables.records import csv_text
from agcli.training.report import StepReport
from agcli.training.terms import LossTerms


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
    """The two tables of a run; of several processes that share it, one has them."""

    def __init__(self, folder: RunFolder, terms: LossTerms) -> None:
        self.guide_names = [term.name for term in [*terms.terms, *terms.monitors]]
        self._weights = {term.name: term.weight for term in terms.terms}
        columns: list[str] = []
        for name in self.guide_names:
            columns += [name, *([f"{name}_weighted"] if name in self._weights else [])]
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
        return report.task_loss + sum(weight * report.guides[name] for name, weight in self._weights.items())

    def add(self, report: StepReport) -> None:
        """Append a step."""
        guides: list[float] = []
        for name in self.guide_names:
            value = report.guides[name]
            guides += [value, self._weights[name] * value] if name in self._weights else [value]
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
