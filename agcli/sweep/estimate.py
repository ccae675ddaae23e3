"""What a sweep will take, from a few measured steps: cells, optimiser steps, disk, time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

from agcli.runs.folder import RunFolder
from agcli.runs.processes import pinned_threads
from agcli.sweep.cell import config_of
from agcli.sweep.grid import Cell
from agcli.sweep.naming import duration
from agcli.sweep.sweep import Sweep
from agcli.training.assemble import Assembly

MEASURED_STEPS = 4
"""Steps that are measured of each kind of cell; the first, which allocates, does not count."""
STATE_BYTES = 12
"""Bytes of a checkpoint a weight: the weight and two moments in float32. Three may lie there while a cell runs."""


@dataclass(frozen=True)
class Estimate:
    """What is left to do of a sweep.

    Attributes:
        cells: cells that have to run.
        steps: their optimiser steps.
        seconds: of training, cells one after another on the threads of a cell.
        workers: cells at a time.
        disk_bytes: most that checkpoints take while cells run, and kept models at the end.
    """

    cells: int
    steps: int
    seconds: float
    workers: int
    disk_bytes: int

    def rows(self) -> list[list[object]]:
        """For a table."""
        time = duration(self.seconds / self.workers)
        return [
            ["cells to run now", self.cells],
            ["optimiser steps", self.steps],
            [f"training time, {self.workers} at a time", f"{time} (from {MEASURED_STEPS} steps a kind of cell)"],
            ["not in it", "evaluation, and what workers take from each other"],
            ["disk, at most", f"{self.disk_bytes / 1e9:.1f} GB"],
        ]

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {"cells_to_run": self.cells, "steps": self.steps, "training_seconds": self.seconds,
                "workers": self.workers, "disk_bytes": self.disk_bytes}  # fmt: skip


def estimate(sweep: Sweep, workers: int) -> Estimate:
    """Measure a few steps of each kind of cell that has to run: of each setting, guided and unguided.

    Raises:
        AgError: settings, data or models that cannot be: better now than in a worker.
    """
    with pinned_threads(sweep.threads):
        return _estimate(sweep, workers)


def _estimate(sweep: Sweep, workers: int) -> Estimate:
    left = {sweep.mark(cell): cell for cell in sweep.cells() if not sweep.is_finished(cell)}
    kinds: dict[object, tuple[int, float, int]] = {}
    steps, seconds, disk = 0, 0.0, 0
    for cell in left.values():
        kind = (cell.setting, cell.variant == "none")
        if kind not in kinds:
            kinds[kind] = _measured(cell, sweep.folder)
        cell_steps, step_seconds, weights = kinds[kind]
        steps += cell_steps
        seconds += cell_steps * step_seconds
        disk = max(disk, 3 * STATE_BYTES * weights * min(workers, len(left)))
    kept = 4 * max((weights for _, _, weights in kinds.values()), default=0) * len(left) if sweep.keep_models else 0
    return Estimate(len(left), steps, seconds, workers, disk + kept)


def _measured(cell: Cell, folder: Path) -> tuple[int, float, int]:
    """Optimiser steps of a cell, seconds of one, and weights of its model."""
    parts = Assembly(config_of(cell), RunFolder(folder / "cells" / "none"))
    engine, plan = parts.engine, parts.plan
    times = [report.seconds for report in islice(engine.train_epoch(), MEASURED_STEPS)]
    return plan.total_steps, median(times[1:] or times) if times else math.nan, plan.num_parameters
