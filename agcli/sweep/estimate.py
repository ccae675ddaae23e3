"""The cost of a sweep, from a few measured steps: cells, optimiser steps, disk, time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import islice
from statistics import median

from agcli.runs.folder import RunFolder
from agcli.runs.processes import pinned_threads
from agcli.sweep.cell import config_of
from agcli.sweep.sweep import Sweep
from agcli.training.assemble import Assembly

MEASURED_STEPS = 4
"""Steps that are measured of each kind of cell; the first, which allocates, does not count."""
STATE_BYTES = 12
"""Bytes of a checkpoint per weight: the weight and two moments in float32. Three may be on disk while a cell runs."""


@dataclass(frozen=True)
class Estimate:
    """The cells of a sweep that have to run.

    Attributes:
        steps: optimiser steps of all of them.
        seconds: of training, cells one after another on the threads of a cell.
        disk_bytes: most that checkpoints take while cells run, and kept models at the end.
    """

    cells: int
    steps: int
    seconds: float
    disk_bytes: int


def estimate(sweep: Sweep, workers: int) -> Estimate:
    """Measure a few steps of each kind of cell that has to run: of each setting and variant.

    Raises:
        AgError: wrong settings, data or models, which would fail in a worker.
    """
    left = sweep.unfinished()
    kinds: dict[object, tuple[int, float, int]] = {}
    steps, seconds = 0, 0.0
    parts: Assembly | None = None
    data: object = None
    with pinned_threads(sweep.threads):
        for cell in left.values():
            kind = (cell.setting, cell.variant)
            if kind not in kinds:
                config = config_of(cell)
                before, data = data, (cell.setting, config.guides.knowledge)
                if parts is None or data != before:
                    parts = Assembly(config, RunFolder(sweep.folder / "cells" / "none"))
                else:  # tokenised data last longer than the steps
                    parts = parts.with_config(config)
                kinds[kind] = _measured(parts)
            cell_steps, step_seconds, _ = kinds[kind]
            steps += cell_steps
            seconds += cell_steps * step_seconds
    largest = max((weights for _, _, weights in kinds.values()), default=0)
    kept = 4 * len(left) if sweep.keep_models else 0
    return Estimate(len(left), steps, seconds, largest * (3 * STATE_BYTES * min(workers, len(left)) + kept))


def _measured(parts: Assembly) -> tuple[int, float, int]:
    """Optimiser steps of a cell, seconds of one, and weights of its model."""
    engine, plan = parts.engine, parts.plan
    times = [report.seconds for report in islice(engine.train_epoch(), MEASURED_STEPS)]
    return plan.total_steps, median(times[1:] or times) if times else math.nan, plan.num_parameters


def duration(seconds: float) -> str:
    """`40 s`, `12 min` or `3.5 h`; `unknown` where nothing was measured."""
    if math.isnan(seconds):
        return "unknown"
    if seconds < 90:
        return f"{math.ceil(seconds)} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
