"""From what the command line and a file say of a sweep to its grids."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from agcli.errors import UsageError, did_you_mean
from agcli.sweep.grid import DECIDED

if TYPE_CHECKING:
    from agcli.paper.recipes import Recipe
    from agcli.sweep.grid import Grid

NOT_HERE = ("recipe", *DECIDED)
"""Options of a run that `ag ablate` has not; its own `--recipe` is another."""
MOST_SEEDS = 1000
"""More than anybody can train; a slip must not fill the memory with cells."""
_LISTS = ("variants", "mdg_grid", "pdg_grid", "sizes")
_OWN = (*_LISTS, "layers", "seeds", "select_seeds", "set")
"""Options of the grid, as a config file may name them."""


def grid_of(own: dict[str, Any], given: dict[str, Any], config: Path | None) -> Grid:
    """The grid out of a file's options and those of the command line, which win."""
    from agcli.config import COMMAND_LINE, make_config, read_config_file
    from agcli.options import OPTIONS, flag
    from agcli.sweep import grid as room

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
    rest = {name: value for name, value in options.items() if name not in ("model", "dataset")}
    make_config(rest, origin=str(config or COMMAND_LINE), from_command_line=given)  # checks them
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
    if own.get("layers", "all") not in ("all", "each"):
        raise UsageError(f"layers: {own['layers']!r} is neither all nor each.")
    count = _count(own, "seeds", 5)
    picking = _count(own, "select_seeds", 3) if searches or "select_seeds" in own else 0
    grid = room.Grid(
        models=models,
        datasets=datasets,
        variants=room.parse_variants(_joined(own["variants"])) if "variants" in own else room.VARIANTS,
        mdg=mdg,
        pdg=pdg,
        layers=_layers(models, options) if own.get("layers") == "each" else (),
        sizes=room.parse_sizes(_joined(own["sizes"])) if "sizes" in own else (),
        seeds=tuple(range(1, count + 1)),
        select_seeds=tuple(range(count + 1, count + picking + 1)),
        axes=_distinct(room.parse_axis(text) for text in _axes(own.get("set", ()))),
        options=options,
    )
    _check_sizes(grid)
    return grid


def _check_sizes(grid: Grid) -> None:
    """Refuse, before anything runs, a number of training examples that some data have not."""
    from agcli.sweep.cell import training_examples

    largest = max((size for size in grid.sizes if isinstance(size, int)), default=0)
    for dataset in grid.datasets if largest else ():
        available = training_examples(dataset)
        if largest > available:
            raise UsageError(
                f"--sizes {largest}: {dataset} has {available} training examples.",
                hint=f"--sizes {available} at most, or shares such as 0.5,1.0",
            )


def recipe_of(
    name: str, scale: str, own: dict[str, Any], given: dict[str, Any], config: Path | None
) -> tuple[Recipe, dict[str, Any]]:
    """A table or figure of the paper, and the run options that win over its own.

    `--model`, `--dataset` and weights narrow it.
    """
    from agcli.config import make_config
    from agcli.paper.recipes import recipe
    from agcli.sweep.cell import training_examples

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


def recipe_grids(
    asked: Recipe, own: dict[str, Any], options: dict[str, Any]
) -> tuple[tuple[Grid, ...], dict[str, Any]]:
    """The grids behind a table or figure of the paper, and what must be said of them."""
    from agcli.sweep.grid import Grid

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


def _distinct(axes: Iterable[tuple[str, tuple[Any, ...]]]) -> dict[str, tuple[Any, ...]]:
    found: dict[str, tuple[Any, ...]] = {}
    for name, values in axes:
        if name in found:
            raise UsageError(f"--set {name} is given twice: name all its values at once.")
        found[name] = values
    return found


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
    from agcli.sweep.cell import num_layers

    return tuple(range(min(num_layers(model, bool(options.get("offline"))) for model in models)))
