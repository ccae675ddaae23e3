"""`ag ablate`: a grid of runs, restartable and parallel, and what it says."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from agcli.commands import display
from agcli.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from agcli.ablation.grid import Grid
    from agcli.ablation.sweep import Runner
    from agcli.paper.recipes import Recipe

_GRID, _RUNNING, _OUTPUT = "Grid", "Running", "Output"
NOT_HERE = (
    *("recipe", "seed", "data_seed", "output", "train_limit", "train_fraction"),
    *("checkpoint_every", "keep_checkpoints", "track", "guide_layers"),
)
"""Options of a run that a sweep decides itself, or has no use for."""
MOST_SEEDS = 1000
"""More than anybody can train; a slip must not fill the memory with cells."""
_LISTS = ("variants", "mdg_grid", "pdg_grid", "sizes")
_OWN = (*_LISTS, "layers", "seeds", "select_seeds", "set")
"""Options of the grid, as a config file may name them."""


def ablate(
    *,
    given: dict[str, Any],
    config: Annotated[
        Path | None, typer.Option(help="Grid and run options from a TOML or JSON file.", rich_help_panel=_GRID)
    ] = None,
    variants: Annotated[
        str | None, typer.Option(help="Of none, mdg, pdg, both.  [default: all four]", rich_help_panel=_GRID)
    ] = None,
    mdg_grid: Annotated[
        str | None,
        typer.Option(help="Weights of MDG to try, or `paper`: 0.1,0.01,0.001,0.0001.", rich_help_panel=_GRID),
    ] = None,
    pdg_grid: Annotated[
        str | None, typer.Option(help="Weights of PDG to try, likewise.", rich_help_panel=_GRID)
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
            help="A table or figure of the paper: table1 to table4 (seconds an epoch, timed), figure3, figure6.",
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
    from agcli.commands.ablation_display import SweepProgress, show_plan, show_report

    if report is not None:
        if given or output is not None:
            raise UsageError("--report reads a sweep that is there: leave out the options of a new one.")
        show_report(report.expanduser(), json)
        return
    own: dict[str, Any] = {
        "variants": variants,
        "mdg_grid": mdg_grid,
        "pdg_grid": pdg_grid,
        "layers": layers,
        "sizes": sizes,
    }
    own |= {"seeds": seeds, "select_seeds": select_seeds, "set": set_axis}
    own = {name: value for name, value in own.items() if value is not None}
    if output is None:
        raise UsageError("--output: a sweep needs a folder.", hint="--output sweeps/NAME")
    from agcli.ablation.sweep import Sweep, run_sweep

    folder = output.expanduser()
    told: dict[str, Any] | None = None
    grids: tuple[Grid, ...]
    if recipe is None:
        grids = (_grid(own, given, config),)
    else:
        asked, options = _recipe(recipe, scale, own, given, config)
        if asked.timed:
            from agcli.commands.timing_recipe import time_recipe

            time_recipe(asked, options, folder, dry_run=dry_run, json=json)
            return
        grids, told = _recipe_grids(asked, own, options)
        for note in told["notes"]:
            display.note(note)
    sweep = Sweep(grids, folder, threads or _threads(folder, workers), keep_models, told)
    if dry_run:
        show_plan(sweep, workers, json)
        return
    with SweepProgress(sweep.axes) as watch:
        runner = _runner(engine, workers, address, gpus, watch.started)
        run_sweep(sweep, runner, fail_fast=fail_fast, watch=watch)
    show_report(sweep.folder, json)


def _grid(own: dict[str, Any], given: dict[str, Any], config: Path | None) -> Grid:
    """The grid out of a file's options and those of the command line, which win."""
    from agcli.ablation import grid as room
    from agcli.config import make_config, read_config_file
    from agcli.options import OPTIONS, flag

    filed = read_config_file(config) if config is not None else {}
    unknown = [name for name in filed if name not in OPTIONS and name not in _OWN]
    if unknown:
        near = did_you_mean(unknown[0], (*OPTIONS, *_OWN))
        raise UsageError(f"{config}: unknown option {unknown[0]!r}.{near}")
    own = {name: filed[name] for name in _OWN if name in filed} | own
    options = {name: value for name, value in filed.items() if name in OPTIONS} | given
    misplaced = [flag(name) for name in NOT_HERE if name in options]
    if misplaced:
        raise UsageError(f"{', '.join(misplaced)}: a sweep decides that itself.", hint="--sizes, --layers, --seeds")
    make_config({name: value for name, value in options.items() if name not in ("model", "dataset")})  # checks them
    models, datasets = (_words(options.pop(name, OPTIONS[name].default)) for name in ("model", "dataset"))
    mdg, pdg = (
        room.parse_weights(_joined(own[f"{name}_grid"]), f"--{name}-grid")
        if f"{name}_grid" in own
        else (float(options.get(name, OPTIONS[name].default)),)
        for name in ("mdg", "pdg")
    )
    for name in ("mdg", "pdg"):
        options.pop(name, None)
    searches = len(mdg) > 1 or len(pdg) > 1
    count = _count(own, "seeds", 5)
    picking = _count(own, "select_seeds", 3) if searches or "select_seeds" in own else 0
    return room.Grid(
        models=models,
        datasets=datasets,
        variants=room.parse_variants(_joined(own["variants"])) if "variants" in own else room.VARIANTS,
        mdg=mdg,
        pdg=pdg,
        layers=_layers(models, options) if own.get("layers") == "each" else (),
        sizes=room.parse_sizes(_joined(own["sizes"])) if "sizes" in own else (),
        seeds=tuple(range(1, count + 1)),
        select_seeds=tuple(range(count + 1, count + picking + 1)),
        axes=dict(room.parse_axis(text) for text in _axes(own.get("set", ()))),
        options=options,
    )


def _recipe(
    name: str, scale: str, own: dict[str, Any], given: dict[str, Any], config: Path | None
) -> tuple[Recipe, dict[str, Any]]:
    """A table or figure of the paper, and the run options that win over its own.

    `--model`, `--dataset` and weights narrow it.
    """
    from agcli.ablation.cell import training_examples
    from agcli.config import make_config
    from agcli.paper.recipes import recipe

    if config is not None or set(own) - {"seeds", "select_seeds"}:
        raise UsageError("--recipe brings its own grid: beside it only --seeds, --select-seeds and run options.")
    options = dict(given)
    models, datasets = _words(options.pop("model", "")), _words(options.pop("dataset", ""))
    make_config(options)
    at_hand = {dataset: training_examples(dataset) for dataset in datasets} if scale == "small" else {}
    asked = recipe(name, scale, at_hand)
    asked = asked.narrowed(models, datasets if scale == "full" else ())
    mdg, pdg = (
        (float(options.pop(name)),) if name in options else tried
        for name, tried in (("mdg", asked.mdg), ("pdg", asked.pdg))
    )
    return replace(asked, mdg=mdg, pdg=pdg), options


def _recipe_grids(
    asked: Recipe, own: dict[str, Any], options: dict[str, Any]
) -> tuple[tuple[Grid, ...], dict[str, Any]]:
    """The grids behind a table or figure of the paper, and what must be said of them."""
    from agcli.ablation.grid import Grid

    count = _count(own, "seeds", asked.seeds)
    picking = _count(own, "select_seeds", 3) if asked.searches else 0
    grids = tuple(
        Grid(
            models=part.models,
            datasets=part.datasets,
            variants=cast("tuple[Any, ...]", asked.variants),
            mdg=asked.mdg,
            pdg=asked.pdg,
            layers=_layers(part.models, options) if asked.each_layer else (),
            sizes=part.sizes,
            seeds=tuple(range(1, count + 1)),
            select_seeds=tuple(range(count + 1, count + picking + 1)),
            options={**part.options, **options},
        )
        for part in asked.parts
    )
    told = {"name": asked.name, "scale": asked.scale, "title": asked.title, "notes": list(asked.notes)}
    return grids, told


def _count(own: dict[str, Any], name: str, default: int) -> int:
    """A number of seeds, from the command line or a file."""
    count = own.get(name, default)
    if type(count) is not int or not 1 <= count <= MOST_SEEDS:
        raise UsageError(f"--{name.replace('_', '-')}: {count!r} is no whole number from 1 to {MOST_SEEDS}.")
    return count


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in str(text).split(",") if word.strip())


def _joined(value: Any) -> str:
    """A list of a config file as the command line writes it."""
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _axes(value: Any) -> list[str]:
    """What `--set` says, or `set` in a file: one text, several, or a table `dropout = [0.0, 0.1]`."""
    if isinstance(value, dict):
        return [f"{name}={_joined(values)}" for name, values in value.items()]
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
        raise UsageError(f'set: {value!r} is none of "OPTION=V1,V2", a list of such, and a table of lists.')
    return list(value)


def _layers(models: tuple[str, ...], options: dict[str, Any]) -> tuple[int, ...]:
    """The layers that every model of the grid has."""
    from agcli.ablation.cell import num_layers

    return tuple(range(min(num_layers(model, bool(options.get("offline"))) for model in models)))


def _threads(folder: Path, workers: int) -> int:
    """The threads that the sweep was begun with; else the cores, shared out."""
    from agcli.ablation.sweep import threads_begun_with

    return threads_begun_with(folder) or max(1, (os.cpu_count() or 1) // workers)


def _runner(engine: str, workers: int, address: str | None, gpus: float, on_start: Any) -> Runner:
    from agcli.ablation.local import run_local
    from agcli.ablation.on_ray import run_on_ray

    if engine == "ray":
        return lambda jobs, stop: run_on_ray(jobs, stop, address=address, gpus=gpus, on_start=on_start)
    if address is not None or gpus:
        raise UsageError("--address and --gpus belong to --engine ray.")
    return lambda jobs, stop: run_local(jobs, workers, stop, on_start)
