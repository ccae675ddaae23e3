"""A sweep on the terminal: what runs while it goes, the plan before it, the tables after it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from rich.live import Live
from rich.table import Table as Grid
from rich.text import Text

from agcli.cli import display
from agcli.errors import counted
from agcli.guides.registry import GUIDES
from agcli.sweep.cell import CellJob, Outcome
from agcli.sweep.estimate import MEASURED_STEPS, duration, estimate
from agcli.sweep.grid import Cell
from agcli.sweep.sweep import Sweep, SweepCallback
from agcli.tables.table import Table

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 20
"""Running cells that the live table has room for; on a cluster those that wait for their place count among them."""


class SweepProgress(display.Followed, SweepCallback):
    """A live table of what runs."""

    def __init__(self) -> None:
        self.table = Live(console=display.stderr(), refresh_per_second=2, transient=True)
        super().__init__(self.table)
        self.total = self.done = self.failed = self.ended_here = 0
        self.running: dict[str, tuple[CellJob, float]] = {}
        self.began = perf_counter()

    def planned(self, total: int, done: int) -> None:
        """So many cells are known by now."""
        self.total, self.done = total, done
        self.message(f"{counted(total, 'cell')}, {done} of them finished")

    def started(self, job: CellJob) -> None:
        """A cell runs, or waits for its place on a cluster."""
        self.running[job.fingerprint] = (job, perf_counter())
        self._show()

    def ended(self, outcome: Outcome) -> None:
        """A cell has ended; a failure gets a line of its own."""
        job, _ = self.running.pop(outcome.fingerprint)
        self.ended_here += 1
        if outcome.state == "failed":
            self.failed += 1
            self.warning(f"{job.name} (cell {outcome.fingerprint}) failed: {outcome.reason}")
        else:
            self.done += 1
            took = f"finished in {outcome.seconds:.0f} s ({self.done} of {self.total})"
            self.message(f"{job.name} (cell {outcome.fingerprint}) {took}")
        self._show()

    def _show(self) -> None:
        left = self.total - self.done - self.failed
        pace = (perf_counter() - self.began) / self.ended_here if self.ended_here else None
        rest = "" if pace is None else f", about {duration(pace * left)} left"
        title = f"{self.done} done, {self.failed} failed, {left} to go{rest}"
        table = Grid("cell", "what", "seconds", title=title, title_justify="left")
        for name, (job, since) in list(self.running.items())[:SHOWN]:
            table.add_row(Text(name), Text(job.name), f"{perf_counter() - since:.0f}")
        self.table.update(table)


def show_plan(sweep: Sweep, workers: int, json: bool) -> None:
    """What a sweep would run: cells, steps, disk and time, the latter from a few measured steps."""
    cells, left = sweep.cells(), estimate(sweep, workers)
    if json:
        cells_json = [
            {"cell": sweep.fingerprint(cell), "variant": cell.variant, "role": cell.role, **cell.options}
            for cell in cells
        ]
        numbers = {"cells_to_run": left.cells, "steps": left.steps, "training_seconds": left.seconds}
        display.show_json({"cells": cells_json, **numbers, "workers": workers, "disk_bytes": left.disk_bytes})
        return
    counts = Counter((cell.role, cell.variant) for cell in cells)
    time = f"{duration(left.seconds / workers)} (from {MEASURED_STEPS} steps a kind of cell)"
    rows: list[list[object]] = [
        *([f"{role} cells, {variant}", count] for (role, variant), count in counts.items()),
        ["cells to run now", left.cells],
        ["optimiser steps", left.steps],
        [f"training time, {workers} at a time", time],
        ["not in it", "evaluation, and what workers take from each other"],
        ["disk, at most", f"{left.disk_bytes / 1e9:.1f} GB"],
    ]
    for grid in sweep.grids:
        if grid.searches:
            reported = counted(len(grid.seeds) * len(grid.variants), "report cell")
            rows.append(["then, with the winners", f"{reported} for each model, data set and size"])
    shown = [[sweep.fingerprint(cell), cell.variant, cell.role, _settings(cell)] for cell in cells[:40]]
    caption = f"and {len(cells) - 40} more" if len(cells) > 40 else ""
    display.show(Table("Cells", ["cell", "variant", "role", "settings"], shown, caption))
    display.show(Table("Plan (nothing was written)", ["what", "value"], rows))


def _settings(cell: Cell) -> str:
    varied = (*GUIDES, "guide", "guide_layers", "train_fraction", "train_limit", "learning_rate", "seed")
    names = dict.fromkeys(("model", "dataset", *cell.axes, *varied))
    options = {**cell.options, "guide": " ".join(cell.options.get("guide", ()))}
    return ", ".join(f"{name} {Path(str(options[name])).name}" for name in names if options.get(name, "") != "")


def draw_figures(
    folder: Path, results: pd.DataFrame, contrasts: Sequence[Mapping[str, Any]], recipe: str
) -> list[Path]:
    """Draw the pictures of a sweep; those of a recipe for a figure of the paper beside the paper's numbers."""
    from agcli.figures.curves import layer_curve, size_curve
    from agcli.figures.forest import forest
    from agcli.figures.paper_points import PaperPoints
    from agcli.figures.weight_heatmap import weight_heatmap
    from agcli.paper.published import figure_points

    points = {recipe: PaperPoints(*figure_points(recipe, results))} if recipe in ("figure3", "figure6") else {}
    drawn = forest(contrasts, folder)
    drawn += layer_curve(results, folder, points.get("figure3"))
    drawn += size_curve(results, folder, points.get("figure6"))
    if (results["role"] == "select").any():
        drawn += weight_heatmap(results, folder)
    return drawn


def show_report(folder: Path, json: bool) -> None:
    """The tables of a sweep, written to `report/` as well; pictures beside them."""
    from agcli.paper.paper_table import recipe_table
    from agcli.sweep.report import write_report

    report = write_report(folder, draw_figures, recipe_table)
    if json:
        display.show_json(report.as_json())
        return
    for table in report.tables:
        display.show(table)
    if report.paper_table is not None:
        display.show(report.paper_table.table)
    for line in report.lines:
        display.show_text(line)
    display.show_path("report", folder / "report")
