"""`ag ablate`: a grid of runs, restartable and parallel, and what it says."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from agcli.cli import display
from agcli.cli.ablate_grids import AXES, MOST_SEEDS, grid_of, recipe_grids, recipe_of
from agcli.cli.ablate_guides import GRID_OF
from agcli.cli.parameters import JsonOption, PlanOptions, refuse, with_options
from agcli.declare import Declared, Option, declared_options, option, out_of_range
from agcli.errors import RunError, UsageError
from agcli.guides.registry import GUIDES
from agcli.guides.variants import PAPER_VARIANTS, variant_names
from agcli.options import OPTIONS
from agcli.runs.paths import expanded

if TYPE_CHECKING:
    from agcli.sweep.grid import Grid
    from agcli.sweep.sweep import Runner, Sweep

_RUN_RECIPES = OPTIONS["recipe"].spec.choices or ()


@dataclass(frozen=True)
class GridOptions:
    """Which runs there are."""

    variants: str | None = option(
        None,
        f"Of {', '.join(variant_names())}, and sums of these such as mdg+next.",
        default_text=",".join(PAPER_VARIANTS),
    )
    guide: tuple[str, ...] | None = option(
        None,
        "NAME=WEIGHT[,option=value...]: weight and options of a guide in every variant that has it; once for each.",
        repeated=True,
    )
    guide_grid: tuple[str, ...] | None = option(
        None,
        "NAME=W1,W2: weights of a guide to try, or NAME=paper; once for each. `all`: every guide without its own, "
        "together in a sum in the ratio of their defaults.",
        repeated=True,
    )
    layers: Literal["all", "each"] | None = option(None, "each: guide one layer at a time.")
    sizes: str | None = option(None, "Training sizes: shares (0.2,1.0) or numbers (500,2000).")
    seeds: int | None = option(None, "Seeds 1 to N are reported.", minimum=1, maximum=MOST_SEEDS, default_text="5")
    select_seeds: int | None = option(
        None,
        "Seeds N+1 to N+M pick the winner of several weights.",
        minimum=1,
        maximum=MOST_SEEDS,
        default_text="3",
    )
    set: list[str] | None = option(None, "OPTION=V1,V2: vary any other option of a run.")
    recipe: str | None = option(
        None,
        "A table or figure of the paper: table1 to table4 (seconds an epoch, timed), figure3, figure6; or named "
        f"defaults of a run: {', '.join(_RUN_RECIPES)}.",
    )
    scale: Literal["full", "small"] = option("full", "small: a recipe on the model and data at hand, with fewer steps.")


@dataclass(frozen=True)
class ResultOptions(JsonOption):
    """What is written and shown."""

    output: Path | None = option(None, "Folder of the sweep.")
    keep_models: bool = option(False, "Keep every cell's model.")
    report: Path | None = option(None, "Only report on this sweep; nothing is trained.")


@dataclass(frozen=True)
class RunningOptions(PlanOptions):
    """How cells run."""

    workers: int = option(1, "Cells that run at a time here.", minimum=1)
    threads: int | None = option(None, "Threads of a cell.", minimum=1, default_text="the cores, shared out; kept")
    engine: Literal["local", "ray"] = option("local", "Where cells run.")
    address: str | None = option(None, "Ray cluster to join.", default_text="one here")
    gpus: float = option(0.0, "GPUs of a cell, with --engine ray; 0.5: two share one.", minimum=0.0)
    fail_fast: bool = option(False, "Stop at the first cell that fails.")


@dataclass(frozen=True)
class AblateOptions(GridOptions, ResultOptions, RunningOptions):
    """One call of `ag ablate`, the weights to try and the options of its runs aside."""


_WEIGHT_GRIDS = {
    name: Declared(
        "Grid",
        str,
        optional=True,
        default=None,
        spec=Option(f"Weights of {GUIDES[guide].title} to try: 0.1,0.01, or `paper`: 0.1,0.01,0.001,0.0001."),
    )
    for name, guide in GRID_OF.items()
}
OWN = {
    **declared_options({"Grid": GridOptions}),
    **_WEIGHT_GRIDS,
    **declared_options({"Output": ResultOptions, "Running": RunningOptions}),
}
"""The command's own options. `--recipe` and `--output` mean more here than in a run."""


def _ablate(*, given: dict[str, Any], run_options: dict[str, Any]) -> None:
    """Run a grid of cells, each once, and report it with honest statistics.

    Killed, it goes on where it stopped when the same command is given again. Finished cells are never run again.
    """
    if problems := out_of_range(given, OWN):  # those of a run alone are reported with those of the config file
        refuse([*problems, *out_of_range(run_options, OPTIONS)], "ablate")
    options = AblateOptions(**{name: value for name, value in given.items() if name not in _WEIGHT_GRIDS})
    if options.report is not None:
        from agcli.cli.ablate_display import show_report

        if run_options or options.output is not None:
            raise UsageError("--report reads a sweep that is there: leave out the options of a new one.")
        show_report(expanded(options.report), options.json)
        return
    if options.output is None:
        raise UsageError("--output: a sweep needs a folder.", hint="--output sweeps/NAME")
    folder = expanded(options.output)
    axes = {name: given[name] for name in AXES if name in given}
    if options.recipe is None or options.recipe in _RUN_RECIPES:
        if options.recipe is not None:
            run_options = run_options | {"recipe": options.recipe}
        _sweep((grid_of(axes, run_options, options.config),), None, folder, options)
        return
    recipe, run_options = recipe_of(options.recipe, options.scale, axes, run_options, options.config)
    if recipe.timed:
        from agcli.cli.timing_recipe import time_recipe

        time_recipe(recipe, run_options, folder, dry_run=options.dry_run, json=options.json)
        return
    grids, description = recipe_grids(recipe, axes, run_options)
    for note in description["notes"]:
        display.note(note)
    _sweep(grids, description, folder, options)


def _sweep(grids: tuple[Grid, ...], description: dict[str, Any] | None, folder: Path, options: AblateOptions) -> None:
    """Run what is not finished of a sweep, and report it; or show its plan."""
    from agcli.cli.ablate_display import SweepProgress, show_plan, show_report
    from agcli.sweep.guide_check import check_guides
    from agcli.sweep.sweep import Sweep, read_plan, run_sweep

    before = read_plan(folder)
    threads = options.threads or (before["threads"] if before else max(1, (os.cpu_count() or 1) // options.workers))
    sweep = Sweep(grids, folder, threads, options.keep_models, description)
    check_guides(sweep.first)
    if options.dry_run:
        show_plan(sweep, options.workers, options.json)
        return
    if before is not None and before["grids"] != sweep.plan["grids"]:
        display.note(f"{folder} was begun with another grid: its cells are kept, the results become those of this one.")
    with SweepProgress() as progress:
        runner = _runner(sweep, options, progress.started)
        run_sweep(sweep, runner, fail_fast=options.fail_fast, callback=progress)
    show_report(sweep.folder, options.json)
    failed = len(sweep.failures())
    if failed:
        raise RunError(f"{failed} of the cells failed; they are listed.", hint="the same command tries them again")


def _runner(sweep: Sweep, options: AblateOptions, on_start: Any) -> Runner:
    from agcli.sweep.local import run_local
    from agcli.sweep.on_ray import join, run_on_ray

    address, gpus = options.address, options.gpus
    if options.engine == "ray":
        join(address, sweep.threads, gpus)  # before anything is written
        return lambda jobs, stop: run_on_ray(jobs, stop, address=address, gpus=gpus, on_start=on_start)
    if address is not None or gpus:
        raise UsageError("--address and --gpus belong to --engine ray.")
    return lambda jobs, stop: run_local(jobs, options.workers, stop, on_start)


ablate = with_options(_ablate, OWN, run_options=OPTIONS)
