"""`ag ablate`: a grid of runs, restartable and parallel, and what it says."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from agcli.cli import display
from agcli.cli.ablation_grids import grid_of, recipe_grids, recipe_of
from agcli.errors import RunError, UsageError
from agcli.guides.registry import GUIDES, PAPER_VARIANTS
from agcli.guides.registry import variants as all_variants
from agcli.options import OPTIONS
from agcli.runs.home import expanded

if TYPE_CHECKING:
    from agcli.sweep.grid import Grid
    from agcli.sweep.sweep import Runner

_GRID, _RUNNING, _OUTPUT = "Grid", "Running", "Output"
OWN_NAMES = ("recipe", "output")
"""Run options that the command declares itself, since they mean more here than in a run."""


def _with_weight_grids(command: Callable[..., None]) -> Callable[..., None]:
    """Give the command an option `--NAME-grid` for each guide; it is called with those that were given."""
    own = inspect.signature(command, eval_str=True).parameters.values()
    grids = {
        f"{name}_grid": typer.Option(
            help=f"Weights of {entry.title} to try: 0.1,0.01, or `paper`: 0.1,0.01,0.001,0.0001.", rich_help_panel=_GRID
        )
        for name, entry in GUIDES.items()
    }

    def wrapper(**values: Any) -> None:
        chosen = {name: values.pop(name) for name in grids}
        command(weight_grids={name: text for name, text in chosen.items() if text is not None}, **values)

    parameters = [parameter for parameter in own if parameter.name != "weight_grids"]
    parameters[2:2] = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[str | None, option])
        for name, option in grids.items()
    ]
    wrapper.__name__, wrapper.__doc__ = command.__name__, command.__doc__
    wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return wrapper


@_with_weight_grids
def ablate(
    *,
    given: dict[str, Any],
    weight_grids: dict[str, str],
    config: Annotated[
        Path | None, typer.Option(help="Grid and run options from a TOML or JSON file.", rich_help_panel=_GRID)
    ] = None,
    variants: Annotated[
        str | None,
        typer.Option(
            help=f"Of {', '.join(all_variants())}.  [default: {','.join(PAPER_VARIANTS)}]", rich_help_panel=_GRID
        ),
    ] = None,
    layers: Annotated[
        Literal["all", "each"] | None, typer.Option(help="each: guide one layer at a time.", rich_help_panel=_GRID)
    ] = None,
    sizes: Annotated[
        str | None,
        typer.Option(help="Training sizes: shares (0.2,1.0) or numbers (500,2000).", rich_help_panel=_GRID),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Seeds 1 to N are reported.  [default: 5]", rich_help_panel=_GRID)
    ] = None,
    select_seeds: Annotated[
        int | None,
        typer.Option(
            min=1, help="Seeds N+1 to N+M pick the winner of several weights.  [default: 3]", rich_help_panel=_GRID
        ),
    ] = None,
    set_axis: Annotated[
        list[str] | None,
        typer.Option("--set", help="OPTION=V1,V2: vary any other option of a run.", rich_help_panel=_GRID),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Folder of the sweep.", rich_help_panel=_OUTPUT)] = None,
    workers: Annotated[int, typer.Option(min=1, help="Cells that run at a time here.", rich_help_panel=_RUNNING)] = 1,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1, help="Threads of a cell.  [default: the cores, shared out; kept]", rich_help_panel=_RUNNING
        ),
    ] = None,
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="Where cells run.", rich_help_panel=_RUNNING)
    ] = "local",
    address: Annotated[
        str | None, typer.Option(help="Ray cluster to join.  [default: one here]", rich_help_panel=_RUNNING)
    ] = None,
    gpus: Annotated[
        float,
        typer.Option(min=0.0, help="GPUs of a cell, with --engine ray; 0.5: two share one.", rich_help_panel=_RUNNING),
    ] = 0.0,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Stop at the first cell that fails.", rich_help_panel=_RUNNING)
    ] = False,
    keep_models: Annotated[
        bool, typer.Option("--keep-models", help="Keep every cell's model.", rich_help_panel=_OUTPUT)
    ] = False,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="A table or figure of the paper: table1 to table4 (seconds an epoch, timed), figure3, figure6; or "
            f"named defaults of a run: {OPTIONS['recipe'].spec.allowed().removeprefix('one of ')}.",
            rich_help_panel=_GRID,
        ),
    ] = None,
    scale: Annotated[
        Literal["full", "small"],
        typer.Option(help="small: a recipe on the model and data at hand, with fewer steps.", rich_help_panel=_GRID),
    ] = "full",
    report: Annotated[
        Path | None, typer.Option(help="Only report on this sweep; nothing is trained.", rich_help_panel=_OUTPUT)
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan, and stop.", rich_help_panel=_RUNNING)
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.", rich_help_panel=_OUTPUT)] = False,
) -> None:
    """Run a grid of cells, each once, and report it with honest statistics.

    Killed, it goes on where it stopped when the same command is given again. Finished cells are never run again.
    """
    from agcli.cli.ablation_display import SweepProgress, show_plan, show_report

    if report is not None:
        if given or output is not None:
            raise UsageError("--report reads a sweep that is there: leave out the options of a new one.")
        show_report(expanded(report), json)
        return
    own: dict[str, Any] = {"variants": variants, "layers": layers, "sizes": sizes, **weight_grids}
    own |= {"seeds": seeds, "select_seeds": select_seeds, "set": set_axis}
    own = {name: value for name, value in own.items() if value is not None}
    if recipe in (OPTIONS["recipe"].spec.choices or ()):
        given, recipe = given | {"recipe": recipe}, None
    if output is None:
        raise UsageError("--output: a sweep needs a folder.", hint="--output sweeps/NAME")
    from agcli.sweep.sweep import Sweep, read_plan, run_sweep

    folder = expanded(output)
    grids: tuple[Grid, ...]
    description: dict[str, Any] | None = None
    if recipe is None:
        grids = (grid_of(own, given, config),)
    else:
        paper_recipe, options = recipe_of(recipe, scale, own, given, config)
        if paper_recipe.timed:
            from agcli.cli.timing_recipe import time_recipe

            time_recipe(paper_recipe, options, folder, dry_run=dry_run, json=json)
            return
        grids, description = recipe_grids(paper_recipe, own, options)
        for note in description["notes"]:
            display.note(note)
    before = read_plan(folder)
    threads = threads or (before["threads"] if before else max(1, (os.cpu_count() or 1) // workers))
    sweep = Sweep(grids, folder, threads, keep_models, description)
    if dry_run:
        show_plan(sweep, workers, json)
        return
    if before is not None and before["grids"] != sweep.plan["grids"]:
        display.note(f"{folder} was begun with another grid: its cells are kept, the results become those of this one.")
    with SweepProgress() as progress:
        runner = _runner(engine, workers, sweep.threads, address, gpus, progress.started)
        run_sweep(sweep, runner, fail_fast=fail_fast, callback=progress)
    show_report(sweep.folder, json)
    failed = len(sweep.failures())
    if failed:
        raise RunError(f"{failed} of the cells failed; they are listed.", hint="the same command tries them again")


def _runner(engine: str, workers: int, threads: int, address: str | None, gpus: float, on_start: Any) -> Runner:
    from agcli.sweep.local import run_local
    from agcli.sweep.on_ray import join, run_on_ray

    if engine == "ray":
        join(address, threads, gpus)  # before anything is written
        return lambda jobs, stop: run_on_ray(jobs, stop, address=address, gpus=gpus, on_start=on_start)
    if address is not None or gpus:
        raise UsageError("--address and --gpus belong to --engine ray.")
    return lambda jobs, stop: run_local(jobs, workers, stop, on_start)
