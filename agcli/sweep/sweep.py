"""A sweep on disk: cells that are run once, results that are the same however often it was killed.

sweep.json   what was asked, threads a cell       results.csv  a row a cell, in the order of the plan; no times
cells/       a run folder for each fingerprint    timing.csv   what each cell took
tokenised/   the data as cells share them; may be deleted
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from agcli.errors import DataError, RunError, UsageError, counted
from agcli.runs import signals as interruption
from agcli.runs.atomic import write_text
from agcli.runs.folder import RunFolder
from agcli.runs.launcher import check_launcher
from agcli.sweep.cell import CellJob, Outcome, columns, config_of, fingerprint, read_record, row
from agcli.sweep.grid import Cell, Grid, Winners, first_cells, report_cells
from agcli.sweep.naming import cell_name, varied_options
from agcli.sweep.plan import PLAN, read_plan
from agcli.sweep.selection import winner
from agcli.sweep.table import CHOICE
from agcli.tables.records import csv_text

FAILURES = "failures.json"
Runner = Callable[[Sequence[CellJob], interruption.StopRequest], Iterator[Outcome]]
"""Runs cells somehow, yielding each as it ends."""


class SweepWatch:
    """What a caller may want to see of a sweep as it goes. This one looks away."""

    def warning(self, text: str) -> None:
        """Something the user should know of."""

    def planned(self, total: int, done: int) -> None:
        """So many cells are known by now, so many of them finished."""

    def started(self, job: CellJob) -> None:
        """A cell runs."""

    def ended(self, outcome: Outcome) -> None:
        """A cell has ended."""


@dataclass(eq=False)
class Sweep:
    """Grids and their folder.

    Attributes:
        grids: what is compared; several where a table of the paper has several.
        folder: where everything lies.
        threads: threads that each cell computes with; part of the plan, since they change sums in their last bits.
        keep_models: whether cells keep their models.
        recipe: name, title and notes of the table or figure of the paper that this is, if it is one.
    """

    grids: tuple[Grid, ...]
    folder: Path
    threads: int
    keep_models: bool = False
    recipe: Mapping[str, Any] | None = None
    _marks: dict[str, str] = field(default_factory=dict)
    _winners: Winners | None = None

    @property
    def plan(self) -> dict[str, Any]:
        """What `sweep.json` holds."""
        grids = [{**asdict(grid), "axes": dict(grid.axes), "options": dict(grid.options)} for grid in self.grids]
        told = {"task": "ablation", "threads": self.threads, "recipe": self.recipe, "grids": grids}
        return dict(json.loads(json.dumps(told)))

    @property
    def axes(self) -> tuple[str, ...]:
        """The options that `--set` varies, each once."""
        return tuple(dict.fromkeys(name for grid in self.grids for name in grid.axes))

    @cached_property
    def first(self) -> list[Cell]:
        """The cells that depend on no result."""
        return [cell for grid in self.grids for cell in first_cells(grid)]

    def cells(self) -> list[Cell]:
        """All cells that are known by now: the winners' too, once there are winners."""
        winners = self.winners()
        searched = [grid for grid in self.grids if grid.searches] if winners else []
        return self.first + [cell for grid in searched for cell in report_cells(grid, winners or {})]

    @cached_property
    def _varied(self) -> tuple[str, ...]:
        return varied_options(self.first)

    def name(self, cell: Cell) -> str:
        """The cell in words: `both, size 300, seed 1`."""
        return cell_name(cell, self._varied)

    def mark(self, cell: Cell) -> str:
        """The cell's fingerprint."""
        key = json.dumps(dict(cell.options), sort_keys=True)
        if key not in self._marks:
            self._marks[key] = fingerprint(config_of(cell))
        return self._marks[key]

    def run_folder(self, cell: Cell) -> RunFolder:
        """Where a cell runs; cells that come to the same share it."""
        return RunFolder(self.folder / "cells" / self.mark(cell))

    def is_finished(self, cell: Cell) -> bool:
        """Whether it needs no running any more."""
        return read_record(self.run_folder(cell)) is not None

    def failures(self) -> dict[str, Outcome]:
        """Fingerprint -> how it failed when it last ran."""
        if not (self.folder / FAILURES).is_file():
            return {}
        try:
            return {mark: Outcome(**each) for mark, each in RunFolder(self.folder).read_json(FAILURES).items()}
        except TypeError as error:
            raise DataError(f"no list of failures ({error})", file=self.folder / FAILURES, hint="remove it") from None

    def note_failure(self, outcome: Outcome) -> None:
        """Remember how a cell failed, until the sweep is run again."""
        failures = {mark: asdict(each) for mark, each in self.failures().items()}
        failures[outcome.fingerprint] = asdict(outcome)
        write_text(self.folder / FAILURES, json.dumps(failures, indent=2, ensure_ascii=False) + "\n")

    def winners(self) -> Winners | None:
        """What the select cells chose; None as long as one of them has to run, or where nothing is searched."""
        if self._winners is None:  # once chosen they stay: none of these cells is run again
            tried, failures = [cell for cell in self.first if cell.role == "select"], self.failures()
            if tried and all(self.is_finished(cell) or self.mark(cell) in failures for cell in tried):
                self._winners = choose(tried, self.rows(tried))
        return self._winners

    def forget_failures(self) -> None:
        """Let failed cells be run again, and winners be chosen anew with them."""
        write_text(self.folder / FAILURES, "{}\n")
        self._winners = None

    def rows(self, cells: Sequence[Cell]) -> list[dict[str, object]]:
        """Their lines of the results."""
        failures = self.failures()
        return [row(cell, self.mark(cell), self.run_folder(cell), failures.get(self.mark(cell))) for cell in cells]

    def write_results(self) -> list[dict[str, object]]:
        """Write `results.csv` and `timing.csv` from what the cells left, and return the results."""
        cells = self.cells()
        rows = self.rows(cells)
        header = columns(self.axes)
        lines = [[each.get(name) for name in header] for each in rows]
        write_text(self.folder / "results.csv", csv_text([header, *lines]))
        times: list[Sequence[object]] = [["cell", "threads", "seconds"]]
        for cell in {self.mark(cell): cell for cell in cells}.values():
            record = read_record(self.run_folder(cell))
            if record is not None:
                times.append([record["fingerprint"], record["threads"], record["seconds"]])
        write_text(self.folder / "timing.csv", csv_text(times))
        return rows


def choose(cells: Sequence[Cell], rows: Sequence[Mapping[str, object]]) -> Winners:
    """The winner of each setting and variant, on dev (see `selection.winner`); none where every trial lacks a seed."""
    found: dict[tuple[Any, Any], list[tuple[Cell, Mapping[str, object]]]] = {}
    for cell, line in zip(cells, rows, strict=True):
        found.setdefault((cell.setting, cell.variant), []).append((cell, line))
    winners = {}
    for key, tried in found.items():
        chosen = winner(pd.DataFrame([line for _, line in tried])).chosen
        for cell, line in tried:
            if chosen is not None and all(line[name] == getattr(chosen, name) for name in CHOICE):
                winners[key] = {name: cell.options[name] for name in CHOICE if name in cell.options}
    return winners


def run_sweep(
    sweep: Sweep, runner: Runner, *, fail_fast: bool = False, watch: SweepWatch | None = None
) -> pd.DataFrame:
    """Run what is not finished, and write the results after every cell.

    Args:
        sweep: the sweep.
        runner: how cells are run.
        fail_fast: stop at the first cell that fails.
        watch: who looks on.

    Raises:
        UsageError: the folder holds something else than a sweep, or one begun with other threads.
        RunError: another process works on this sweep; or, with `fail_fast`, a cell failed.
        InterruptedRunError: SIGINT or SIGTERM; finished cells are kept, unfinished ones go on next time.
    """
    watch = watch or SweepWatch()
    check_launcher()
    _check_plan(sweep)
    with RunFolder(sweep.folder).locked(watch.warning), interruption.stop_on_signals() as stop:
        write_text(sweep.folder / PLAN, json.dumps(sweep.plan, indent=2, ensure_ascii=False) + "\n")
        sweep.forget_failures()
        while jobs := _jobs(sweep):
            watch.planned(len({sweep.mark(cell) for cell in sweep.cells()}), _finished(sweep))
            for outcome in runner(jobs, stop):
                watch.ended(outcome)
                if outcome.state == "failed":
                    sweep.note_failure(outcome)
                sweep.write_results()
                if outcome.state == "failed" and fail_fast:
                    name = next(job.name for job in jobs if job.fingerprint == outcome.fingerprint)
                    raise RunError(
                        f"{name} (cell {outcome.fingerprint}): {outcome.reason}", hint="--fail-fast ended the sweep"
                    )
        return pd.DataFrame(sweep.write_results())


def _finished(sweep: Sweep) -> int:
    return len({sweep.mark(cell) for cell in sweep.cells() if sweep.is_finished(cell)})


def _jobs(sweep: Sweep) -> list[CellJob]:
    """What has to run now, each fingerprint once; all cells of a seed before the next one's.

    A sweep that ends early then leaves what can be compared.
    """
    failures = sweep.failures()
    found = {
        sweep.mark(cell): CellJob(
            sweep.mark(cell),
            dict(cell.options),
            str(sweep.run_folder(cell).path),
            sweep.keep_models,
            sweep.threads,
            str(sweep.folder / "tokenised"),
            cell.role != "select",
            sweep.name(cell),
        )
        for cell in sorted(sweep.cells(), key=lambda cell: cell.options["seed"])
        if not sweep.is_finished(cell) and sweep.mark(cell) not in failures
    }
    return list(found.values())


def threads_begun_with(folder: Path) -> int | None:
    """Threads a cell of the sweep in this folder, if there is one."""
    plan = read_plan(folder)
    return int(plan["threads"]) if plan else None


def _check_plan(sweep: Sweep) -> None:
    """Whether the folder is free or holds a sweep, which may have been another grid: its cells are kept.

    Raises:
        UsageError: it holds something else, or a sweep begun with other threads.
        DataError: the plan is damaged.
    """
    threads = threads_begun_with(sweep.folder)
    if threads is None:
        free = sweep.folder.is_dir() and all(each.name.startswith(".") for each in sweep.folder.iterdir())
        if sweep.folder.exists() and not free:
            raise UsageError(f"--output {sweep.folder} exists and is no sweep; it is left alone.")
    elif threads != sweep.threads:
        raise UsageError(
            f"{sweep.folder} was begun with {counted(threads, 'thread')} a cell; now it is {sweep.threads}: sums "
            "would differ in their last bits.",
            hint=f"--threads {threads}",
        )
