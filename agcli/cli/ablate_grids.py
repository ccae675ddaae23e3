"""From the options of `ag ablate` and of a config file to the grids of a sweep."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agcli.cli.ablate_guides import ALL, GRID_OF, guide_grids, guides_and_weights, joined, listed, number
from agcli.cli.parameters import options_of_file
from agcli.config import COMMAND_LINE, make_config
from agcli.declare import flag
from agcli.errors import UsageError, did_you_mean
from agcli.guides.spec import parse_guide
from agcli.guides.variants import PAPER_VARIANTS, Weight, bare_weight, guides_in, is_variant
from agcli.options import OPTIONS
from agcli.sweep.grid import Grid, grid_flag

if TYPE_CHECKING:
    from agcli.paper.recipes import Recipe

MOST_SEEDS = 1000
"""More than anybody can train; a slip must not fill the memory with cells."""
AXES = ("variants", "guide", "guide_grid", *GRID_OF, "sizes", "layers", "seeds", "select_seeds", "set")
"""Options of the grid, which a config file may name as well."""
_BESIDE_RECIPE = {"variants", "guide", "guide_grid", *GRID_OF, "seeds", "select_seeds"}
_SAME = {
    **{grid: (guide,) for grid, guide in GRID_OF.items()},
    **{"sizes": ("train_limit", "train_fraction"), "layers": ("guide_layers",), "seeds": ("seed",)},
}
"""Axis of the grid -> the run options that it varies, which no cell can have besides."""


def grid_of(axes: dict[str, Any], given: dict[str, Any], config: Path | None) -> Grid:
    """The grid out of a file's options and those of the command line, which win.

    Raises:
        UsageError: an option that cannot be, or one beside the axis that varies it.
    """
    axes, options = _with_file(axes, given, config)
    shared = {name: value for name, value in options.items() if name not in ("model", "dataset")}
    make_config(shared, origin=str(config or COMMAND_LINE), from_command_line=given)  # checks them
    models, datasets = (_words(options.pop(name, OPTIONS[name].default)) for name in ("model", "dataset"))
    specs, weights = guides_and_weights(axes, options)
    names = _words(joined(axes.get("variants", list(PAPER_VARIANTS))))
    if axes.get("layers", "each") != "each":
        raise UsageError(f"layers: {axes['layers']!r} is neither all nor each.")
    others, known = weights.pop(ALL, ()), [name for name in names if is_variant(name)]  # the grid names what is wrong
    tied = bool(others) and not guides_in(known, sums_only=True).keys() & weights.keys()
    weights = dict.fromkeys(guides_in(known) if others else (), others) | weights
    _check_named(names, specs, weights, axes)
    searches = any(len(tried) > 1 for tried in weights.values())
    seeds, select_seeds = _seeds(axes, options, searches, 5)
    grid = Grid(
        models=models,
        datasets=datasets,
        variants=names,
        weights=weights,
        layers=_layers(models, options) if "layers" in axes else (),
        sizes=parse_sizes(joined(axes["sizes"])) if "sizes" in axes else (),
        seeds=seeds,
        select_seeds=select_seeds,
        axes=_axes(axes.get("set", ())),
        options=options,
        guide=specs,
        tied=tied,
    )
    _check_sizes(grid)
    return grid


def _check_named(
    variants: Sequence[str], guides: Sequence[str], weights: Mapping[str, Sequence[Weight]], axes: Mapping[str, Any]
) -> None:
    """Refuse a guide that is named and that no variant has, and one whose own layers go before each layer."""
    if not all(map(is_variant, variants)):
        return  # the grid names what is wrong
    present = guides_in(variants)
    named = [(f"--guide {name}", name) for name in (parse_guide(text).name for text in guides)]
    named += [(grid_flag(name), name) for name in guide_grids(axes.get("guide_grid") or ()) if name != ALL]
    named += [(grid_flag(name), name) for name, tried in weights.items() if len(tried) > 1]
    for option, name in named:
        if name not in present:
            wanted = ",".join([*variants, name])
            raise UsageError(f"{option}: no variant has this guide.", hint=f"--variants {wanted}")
    own = next((text for text in guides if "layers" in parse_guide(text).options), None)
    if "layers" in axes and own is not None:
        raise UsageError(
            f"--layers each beside --guide {own}: its own layers go before each layer, so its cells would be the same.",
            hint="leave out layers=, or --layers each",
        )


def _with_file(
    axes: dict[str, Any], given: dict[str, Any], config: Path | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of the grid and of its runs, those of the command line in place of a file's that say the same."""
    named = {name: axes[name] for name in ("guide",) if name in axes}
    filed = options_of_file(config, given | named) if config is not None else {}
    filed = {name: value for name, value in filed.items() if value is not None}
    unknown = next((name for name in filed if name not in OPTIONS and name not in AXES), None)
    if unknown:
        raise UsageError(f"{config}: unknown option {unknown!r}.{did_you_mean(unknown, (*OPTIONS, *AXES))}")
    if "output" in filed:
        raise UsageError(f"{config}: --output names the sweep's folder, and stands on the command line.")
    for axis, names in _SAME.items():
        if axis in axes:
            filed = {name: value for name, value in filed.items() if name not in names}
        elif any(name in given for name in names):
            filed.pop(axis, None)
    axes = {name: filed[name] for name in AXES if name in filed} | axes
    if axes.get("layers") == "all":
        del axes["layers"]
    options = {name: value for name, value in filed.items() if name in OPTIONS and name not in AXES} | given
    _check_axes(axes, options)
    return axes, options


def _check_axes(axes: Collection[str], options: Mapping[str, Any]) -> None:
    """Refuse a run option beside the axis that varies it."""
    for axis in axes:
        for name in _SAME.get(axis, ()):
            if name in options:
                raise UsageError(f"{flag(name)} beside {flag(axis)}, which varies it: give one of them.")


def _seeds(
    axes: Mapping[str, Any], options: dict[str, Any], searches: bool, default: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Seeds that are reported, and those after them, which pick winners; takes `seed` out of the run options."""
    first, count = (int(options.pop("seed")), 1) if "seed" in options else (1, _count(axes, "seeds", default))
    picking = _count(axes, "select_seeds", 3) if searches or "select_seeds" in axes else 0
    last = first + count
    return tuple(range(first, last)), tuple(range(last, last + picking))


def _check_sizes(grid: Grid) -> None:
    """Refuse, before anything runs, a number of training examples that some data have not."""
    from agcli.sweep.cell import training_examples

    name = "--sizes" if grid.sizes else "--train-limit"
    sizes = grid.sizes or (grid.options.get("train_limit", 0),)
    largest = max((size for size in sizes if isinstance(size, int)), default=0)
    for dataset in grid.datasets if largest else ():
        available = training_examples(dataset)
        if largest > available:
            raise UsageError(
                f"{name} {largest}: {dataset} has {available} training examples.",
                hint=f"{name} {available} at most, or shares such as 0.5,1.0",
            )


def recipe_of(
    name: str, scale: str, axes: dict[str, Any], given: dict[str, Any], config: Path | None
) -> tuple[Recipe, dict[str, Any]]:
    """A table or figure of the paper, and the run options that win over its own.

    `--model`, `--dataset` and weights narrow it.
    """
    from agcli.paper.recipes import recipe
    from agcli.sweep.cell import training_examples

    if config is not None or set(axes) - _BESIDE_RECIPE:
        raise UsageError(
            "--recipe brings its own grid: beside it only --variants, weights and options of guides, --seeds, "
            "--select-seeds and run options."
        )
    options = dict(given)
    models, datasets = _words(options.pop("model", "")), _words(options.pop("dataset", ""))
    make_config(options)
    sizes = {dataset: training_examples(dataset) for dataset in datasets} if scale == "small" else {}
    narrowed = recipe(name, scale, sizes).narrowed(models, datasets if scale == "full" else ())
    if "variants" in axes:
        narrowed = narrowed.with_variants(_words(axes["variants"]))
    specs, weights = guides_and_weights(axes, options)
    others = weights.pop(ALL, ())
    fixed = {} if others else {spec.name: (bare_weight(spec),) for spec in map(parse_guide, specs)}
    return narrowed.with_guides(specs, fixed | weights, others), options


def recipe_grids(
    paper_recipe: Recipe, axes: dict[str, Any], options: dict[str, Any]
) -> tuple[tuple[Grid, ...], dict[str, Any]]:
    """The grids behind a table or figure of the paper, and its name, scale, title and notes."""
    sized = ["sizes"] if any(part.sizes for part in paper_recipe.parts) else []
    _check_axes([*axes, *sized, *(["layers"] if paper_recipe.each_layer else [])], options)
    seeds, select_seeds = _seeds(axes, options, paper_recipe.searches, paper_recipe.seeds)
    replaced = {"train_limit"} if "train_fraction" in options else set()
    grids = tuple(
        Grid(
            models=part.models,
            datasets=part.datasets,
            variants=paper_recipe.variants,
            weights=paper_recipe.weights,
            guide=paper_recipe.guide,
            tied=paper_recipe.tied,
            layers=_layers(part.models, options) if paper_recipe.each_layer else (),
            sizes=part.sizes,
            seeds=seeds,
            select_seeds=select_seeds,
            options={name: value for name, value in part.options.items() if name not in replaced} | options,
        )
        for part in paper_recipe.parts
    )
    return grids, {
        "name": paper_recipe.name,
        "scale": paper_recipe.scale,
        "title": paper_recipe.title,
        "notes": list(paper_recipe.notes),
    }


def _count(axes: Mapping[str, Any], name: str, default: int) -> int:
    """A number of seeds, from the command line or a file."""
    count = axes.get(name, default)
    if type(count) is not int or not 1 <= count <= MOST_SEEDS:
        raise UsageError(f"{flag(name)}: {count!r} is no whole number from 1 to {MOST_SEEDS}.")
    return count


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in str(text).split(",") if word.strip())


def _axes(value: Any) -> dict[str, tuple[Any, ...]]:
    """The options of `--set` with the values that each takes."""
    axes: dict[str, tuple[Any, ...]] = {}
    for text in listed(value, "set"):
        name, values = parse_axis(text)
        if name in axes:
            raise UsageError(f"--set {name} is given twice: name all its values at once.")
        axes[name] = values
    return axes


def _layers(models: tuple[str, ...], options: dict[str, Any]) -> tuple[int, ...]:
    """The layers that every model of the grid has."""
    from agcli.models import load_config

    configs = [load_config(model, offline=bool(options.get("offline"))) for model in models]
    return tuple(range(min(config.num_hidden_layers for config in configs)))


def parse_axis(text: str) -> tuple[str, tuple[Any, ...]]:
    """`dropout=0.0,0.1` -> the option and its values, in the option's own type.

    Raises:
        UsageError: no such option, or values of another type.
    """
    name, equals, listed = text.partition("=")
    name = name.strip().replace("-", "_")
    if not equals or not listed.strip():
        raise UsageError(f"--set {text}: give an option and one or more values.", hint="--set dropout=0.0,0.1")
    if name not in OPTIONS:
        raise UsageError(f"--set {text}: there is no option {name!r}.{did_you_mean(name, OPTIONS)}")
    return name, tuple(_value(name, word.strip()) for word in listed.split(","))


def _value(name: str, word: str) -> Any:
    kind = OPTIONS[name].type
    truth = {"true": True, "false": False, "yes": True, "no": False}
    try:
        return truth[word.lower()] if kind is bool else kind(word)
    except (KeyError, ValueError):
        raise UsageError(f"--set {name}: {word!r} is no value of {flag(name)}.") from None


def parse_sizes(text: str) -> tuple[float | int, ...]:
    """`0.2,1.0` -> shares, `500,2000` -> numbers of examples.

    Raises:
        UsageError: a word that is no number.
    """
    return tuple(int(word) if word.strip().isdecimal() else number(word, "--sizes") for word in text.split(","))
