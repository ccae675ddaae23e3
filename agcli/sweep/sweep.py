"""A sweep on disk: cells that are run once, results that are the same however often it was killed.

sweep.json   grids and threads per cell           results.csv  a row per cell, in the order of the grids; no times
cells/       a run folder for each fingerprint    timing.csv   seconds of each cell
tokenised/   tokenised data that cells share; may be deleted
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from agcli.errors import DataError, RunError, UsageError, counted
from agcli.guides.variants import stated_guides
from agcli.runs.atomic import write_text
from agcli.runs.folder import RunFolder
from agcli.runs.launcher import check_launcher
from agcli.runs.signals import StopRequest, stop_on_signals
from agcli.sweep.cell import (
    CellJob,
    Outcome,
    columns,
    config_of,
    fingerprint,
    read_record,
    row,
)
from agcli.sweep.grid import Cell, Grid, Winners, cell_name, first_cells, report_cells, varied_options
from agcli.sweep.guide_check import check_guides
from agcli.sweep.results import results_of
from agcli.sweep.winners import winner
from agcli.tables.csv_json import csv_text, json_text

PLAN = "sweep.json"
FAILURES = "failures.json"
Runner = Callable[[Sequence[CellJob], StopRequest], Iterator[Outcome]]
"""Runs cells, yielding each as it ends."""


class SweepCallback:
    """Called as a sweep proceeds; does nothing."""

    def warning(self, text: str) -> None:
        """A warning for the user."""

    def planned(self, total: int, done: int) -> None:
        """The number of cells known so far, and of those that have finished."""

    def started(self, job: CellJob) -> None:
        """A cell starts, or waits for its turn on a cluster."""

    def ended(self, outcome: Outcome) -> None:
        """A cell has ended."""


@dataclass(eq=False)
class Sweep:
    """Grids and their folder.

    Attributes:
        threads: threads that each cell computes with; part of the plan, since they change sums in their last bits.
        recipe: name, title and notes of the table or figure of the paper that the sweep is for, if there is one.
    """

    grids: tuple[Grid, ...]
    folder: Path
    threads: int
    keep_models: bool = False
    recipe: Mapping[str, Any] | None = None
    _fingerprints: dict[str, str] = field(default_factory=dict)
    _winners: Winners | None = None

    @property
    def plan(self) -> dict[str, Any]:
        """The content of `sweep.json`."""
        grids = [grid.plan for grid in self.grids]
        plan = {"task": "ablation", "threads": self.threads, "recipe": self.recipe, "grids": grids}
        return dict(json.loads(json.dumps(plan)))

    @cached_property
    def first(self) -> list[Cell]:
        """The cells that depend on no result."""
        return [cell for grid in self.grids for cell in first_cells(grid)]

    def cells(self) -> list[Cell]:
        """All cells that are known by now: the winners' too, once there are winners."""
        winners = self.winners()
        searched = [grid for grid in self.grids if grid.searches] if winners else []
        return self.first + [cell for grid in searched for cell in report_cells(grid, winners or {})]

    def fingerprint(self, cell: Cell) -> str:
        """`cell.fingerprint` of the cell's settings, computed once."""
        key = json.dumps(dict(cell.options), sort_keys=True)
        if key not in self._fingerprints:
            self._fingerprints[key] = fingerprint(config_of(cell))
        return self._fingerprints[key]

    def run_folder(self, cell: Cell) -> RunFolder:
        """Where a cell runs; cells with the same fingerprint share it."""
        return RunFolder(self.folder / "cells" / self.fingerprint(cell))

    def is_finished(self, cell: Cell) -> bool:
        """Whether the cell has run to its end."""
        return read_record(self.run_folder(cell)) is not None

    def unfinished(self) -> dict[str, Cell]:
        """Fingerprint -> cell, of the known cells that have not run to their end; all cells of a seed come together."""
        cells = sorted(self.cells(), key=lambda cell: cell.options["seed"])
        return {self.fingerprint(cell): cell for cell in cells if not self.is_finished(cell)}

    def failures(self) -> dict[str, Outcome]:
        """Fingerprint -> how it failed when it last ran."""
        if not (self.folder / FAILURES).is_file():
            return {}
        try:
            return {name: Outcome(**fields) for name, fields in RunFolder(self.folder).read_json(FAILURES).items()}
        except TypeError as error:
            raise DataError(f"no list of failures ({error})", file=self.folder / FAILURES, hint="remove it") from None

    def note_failure(self, outcome: Outcome) -> None:
        """Remember how a cell failed, until the sweep is run again."""
        failures = {name: asdict(failure) for name, failure in self.failures().items()}
        failures[outcome.fingerprint] = asdict(outcome)
        write_text(self.folder / FAILURES, json_text(failures))

    def winners(self) -> Winners | None:
        """The choices of the select cells; None as long as one of them has to run, or where nothing is searched."""
        if self._winners is None:  # once chosen they stay: none of these cells is run again
            tried, failures = [cell for cell in self.first if cell.role == "select"], self.failures()
            if tried and all(self.is_finished(cell) or self.fingerprint(cell) in failures for cell in tried):
                self._winners = choose(tried, self.rows(tried))
        return self._winners

    def forget_failures(self) -> None:
        """Let failed cells be run again, and winners be chosen anew with them."""
        write_text(self.folder / FAILURES, "{}\n")
        self._winners = None

    def rows(self, cells: Sequence[Cell]) -> list[dict[str, object]]:
        """Their lines of the results."""
        failures, names = self.failures(), [self.fingerprint(cell) for cell in cells]
        lines = zip(cells, names, strict=True)
        return [row(cell, name, self.run_folder(cell), failures.get(name)) for cell, name in lines]

    def write_results(self) -> list[dict[str, object]]:
        """Write `results.csv` and `timing.csv` from the folders of the cells, and return the results."""
        cells = self.cells()
        rows = self.rows(cells)
        guides = stated_guides(name for cell in cells for name in cell.weights)
        header = columns(tuple(dict.fromkeys(name for grid in self.grids for name in grid.axes)), guides)
        lines = [[line.get(name, 0.0 if name in guides else None) for name in header] for line in rows]
        write_text(self.folder / "results.csv", csv_text([header, *lines]))
        times: list[Sequence[object]] = [["cell", "threads", "seconds"]]
        for cell in {self.fingerprint(cell): cell for cell in cells}.values():
            record = read_record(self.run_folder(cell))
            if record is not None:
                times.append([record["fingerprint"], record["threads"], record["seconds"]])
        write_text(self.folder / "timing.csv", csv_text(times))
        return rows


def choose(cells: Sequence[Cell], rows: Sequence[Mapping[str, object]]) -> Winners:
    """The winner of each setting and variant, on dev (see `winner`); none where every trial lacks a seed."""
    trials: dict[tuple[Any, Any], list[tuple[Cell, Mapping[str, object]]]] = {}
    for cell, line in zip(cells, rows, strict=True):
        trials.setdefault((cell.setting, cell.variant), []).append((cell, line))
    winners = {}
    for key, tried in trials.items():
        chosen = winner(results_of([line for _, line in tried])).chosen
        if chosen is None:
            continue
        choice = {**chosen.weights, "learning_rate": chosen.learning_rate}
        names = ("guide", *choice)
        for cell, line in tried:
            if all(line.get(name, 0.0) == value for name, value in choice.items()):
                winners[key] = {name: cell.options[name] for name in names if name in cell.options}
    return winners


def run_sweep(sweep: Sweep, runner: Runner, *, fail_fast: bool = False, callback: SweepCallback | None = None) -> None:
    """Run what is not finished, and write the results after every cell.

    Args:
        fail_fast: stop at the first cell that fails.

    Raises:
        UsageError: the folder holds something else than a sweep, or one begun with other threads.
        RunError: another process works on this sweep; or, with `fail_fast`, a cell failed.
        InterruptedRunError: SIGINT or SIGTERM; finished cells are kept, unfinished ones go on next time.
    """
    callback = callback or SweepCallback()
    check_launcher()
    _check_plan(sweep)
    check_guides(sweep.first)
    with RunFolder(sweep.folder).locked(callback.warning), stop_on_signals() as stop:
        write_text(sweep.folder / PLAN, json_text(sweep.plan))
        sweep.forget_failures()
        while jobs := _jobs(sweep):
            known = {sweep.fingerprint(cell) for cell in sweep.cells()}
            callback.planned(len(known), len(known - sweep.unfinished().keys()))
            for outcome in runner(jobs, stop):
                callback.ended(outcome)
                if outcome.state == "failed":
                    sweep.note_failure(outcome)
                sweep.write_results()
                if outcome.state == "failed" and fail_fast:
                    name = next(job.name for job in jobs if job.fingerprint == outcome.fingerprint)
                    raise RunError(
                        f"{name} (cell {outcome.fingerprint}): {outcome.reason}", hint="--fail-fast ended the sweep"
                    )
        sweep.write_results()


def _jobs(sweep: Sweep) -> list[CellJob]:
    """The cells that have to run now. All cells of a seed run before the next seed's: a sweep that ends early can then
    be compared.
    """
    failures, varied = sweep.failures(), varied_options(sweep.first)
    return [
        CellJob(
            name,
            dict(cell.options),
            str(sweep.run_folder(cell).path),
            sweep.keep_models,
            sweep.threads,
            str(sweep.folder / "tokenised"),
            cell.role != "select",
            cell_name(cell, varied),
        )
        for name, cell in sweep.unfinished().items()
        if name not in failures
    ]


def read_plan(folder: Path) -> dict[str, Any] | None:
    """The plan of the sweep in a folder: `threads`, `recipe`, `grids`; None where there is no sweep.

    Raises:
        DataError: it is damaged.
    """
    if not (folder / PLAN).is_file():
        return None
    plan = RunFolder(folder).read_json(PLAN)
    recipe = plan.get("recipe")
    whole = type(plan.get("threads")) is int and isinstance(plan.get("grids"), list)
    if not whole or not (recipe is None or (isinstance(recipe, dict) and {"name", "scale", "title"} <= recipe.keys())):
        raise DataError("not the plan of a sweep: it lacks threads, recipe or grids", file=folder / PLAN)
    return plan


def _check_plan(sweep: Sweep) -> None:
    """Check that the folder is empty or holds a sweep, perhaps with another grid: its cells are kept.

    Raises:
        UsageError: it holds something else, or a sweep begun with other threads.
        DataError: the plan is damaged.
    """
    plan = read_plan(sweep.folder)
    if plan is None:
        free = sweep.folder.is_dir() and all(path.name.startswith(".") for path in sweep.folder.iterdir())
        if sweep.folder.exists() and not free:
            raise UsageError(f"--output {sweep.folder} exists and is no sweep; it is left alone.")
    elif (threads := plan["threads"]) != sweep.threads:
        raise UsageError(
            f"{sweep.folder} was begun with {counted(threads, 'thread')} a cell; now it is {sweep.threads}: sums "
            "would differ in their last bits.",
            hint=f"--threads {threads}",
        )
