"""The grid of a sweep, and its cells; a cell is one run.

Where several weights are tried, a sweep has two halves: `select` cells, whose dev metric picks a winner for each
variant, and `report` cells, in which the winners run with other seeds. Else every cell is `single`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any, Literal

from agcli.config import default_learning_rate, recipe_values
from agcli.declare import flag
from agcli.errors import UsageError, did_you_mean
from agcli.guides.registry import GUIDES
from agcli.guides.spec import GuideSpec, parse_guide
from agcli.guides.variants import (
    PAPER_VARIANTS,
    Weight,
    bare_weight,
    guides_in,
    run_options,
    stated_guides,
    variant_guides,
    variant_specs,
    weight_order,
    weight_text,
    weights_in,
    with_weight,
)
from agcli.options import OPTIONS

Role = Literal["single", "select", "report"]
_SIZES = ("train_limit", "train_fraction")
NOT_VARIED = (
    *("model", "dataset", "recipe", "guide_layers", "guide", *GUIDES, *_SIZES),
    *("seed", "data_seed", "output", "checkpoint_every", "keep_checkpoints", "track"),
)
"""Options that no `--set` may vary: the grid has an axis of its own for them, or they make no other run."""
WIDEST_RATE = 4.0
"""The unguided baseline's learning rates go up to four times the given one, and about as far below it."""


@dataclass(frozen=True)
class Cell:
    """One run of a sweep, with every run option that the sweep sets; `axes` are those that `--set` varies."""

    variant: str
    role: Role
    options: Mapping[str, Any]
    axes: tuple[str, ...] = ()

    @property
    def setting(self) -> tuple[tuple[str, Any], ...]:
        """All options but weights, learning rate, guided layer and seed: variants are compared within one setting."""
        free = {*GUIDES, "guide", "learning_rate", "seed", "guide_layers"} - set(self.axes)
        return tuple(sorted((name, value) for name, value in self.options.items() if name not in free))

    @property
    def weights(self) -> dict[str, Weight]:
        """Guide -> its weight, of the guides whose weight the options state; 0: off."""
        return weights_in(self.options)


@dataclass(frozen=True)
class Grid:
    """The options that are varied, and those that all cells share.

    Attributes:
        weights: guide -> weights that are tried, numbers or `share:0.05`; of a guide that is not named its default.
        guide: texts such as `next=0.05,heads=2`: default weight and options of a guide, where a variant has it.
        tied: whether the weights of a variant of several guides move together, in the ratio of the registry's: those of
            its first guide are tried, so that it has as many trials as a guide alone.
        layers: guided layers, each on its own; empty: all together.
        sizes: shares (up to 1.0) or numbers of training examples; empty: all.
        seeds: seeds whose metrics are reported; the order of examples follows them too.
        select_seeds: seeds that pick a winner, where several weights are tried.
        axes: option -> values, for any other run option.
    """

    models: tuple[str, ...]
    datasets: tuple[str, ...]
    variants: tuple[str, ...] = PAPER_VARIANTS
    weights: Mapping[str, tuple[Weight, ...]] = field(default_factory=dict)
    layers: tuple[int, ...] = ()
    sizes: tuple[float | int, ...] = ()
    seeds: tuple[int, ...] = (1, 2, 3, 4, 5)
    select_seeds: tuple[int, ...] = ()
    axes: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    guide: tuple[str, ...] = ()
    tied: bool = False

    def __post_init__(self) -> None:
        """Check all values without reading data or model.

        Raises:
            UsageError: the problems, all in one message.
        """
        problems = list(self._wrong_values()) or list(self._wrong_together())
        if problems:
            raise UsageError(" ".join(problems), hint="ag ablate --help")

    def _wrong_values(self) -> Iterator[str]:
        for name, values in (("--model", self.models), ("--dataset", self.datasets), ("--seeds", self.seeds)):
            if not values or len(set(values)) < len(values):
                yield f"{name} needs one or more different values, not {', '.join(map(str, values)) or 'none'}."
        yield from self._wrong_guides()
        chosen = (("--variants", self.variants), ("--sizes", self.sizes))
        for name, values in (*chosen, *((f"--set {axis}", tried) for axis, tried in self.axes.items())):
            if len(set(values)) < len(values):
                yield f"{name}: {', '.join(map(str, values))} names one of them twice."
        if len({Path(each).name for each in self.datasets}) < len(set(self.datasets)):
            yield "--dataset: results know data by the folder's name, and two of these have the same."
        for size in self.sizes:
            if not size > 0 or (isinstance(size, float) and size > 1):
                yield f"--sizes: {size} is neither a share above 0 and up to 1.0 nor a number of examples."
        if len({type(size) for size in self.sizes}) > 1:
            listed = ", ".join(map(str, self.sizes))
            yield f"--sizes: {listed} mixes shares (1.0 is all) and numbers of examples (1 is one): give one kind."
        for name in self.axes:
            if name not in OPTIONS or name in NOT_VARIED:
                near = did_you_mean(name, set(OPTIONS) - set(NOT_VARIED))
                yield f"--set {name}: not an option that can be varied so.{near}"

    def _wrong_guides(self) -> Iterator[str]:
        """Problems of variants and weights."""
        known: dict[frozenset[str], str] = {}
        for variant in self.variants:
            try:
                guides = frozenset(variant_guides(variant))
            except ValueError as error:
                yield f"--variants: {error}"
                continue
            if (other := known.setdefault(guides, variant)) != variant:
                yield f"--variants: {other} and {variant} have the same guides."
        for guide, weights in self.weights.items():
            allowed = all(0 < weight_order(weight)[1] < math.inf for weight in weights)
            if not weights or not allowed or len(set(weights)) < len(weights):
                yield f"{grid_flag(guide)} needs different weights above 0; a variant without the guide is `none`."

    def _wrong_together(self) -> Iterator[str]:
        both = sorted(set(self.seeds) & set(self.select_seeds))
        if both:
            yield f"--select-seeds and --seeds share {', '.join(map(str, both))}: a winner is reported on others."
        if self.searches and not self.select_seeds:
            yield "--select-seeds: several weights are tried, so some seeds must pick the winner."
        if not self.searches and self.select_seeds:
            yield "--select-seeds: with one weight of each guide there is nothing to pick."
        if self.searches and self.layers:
            yield "--layers each beside several weights: choose the weights first, then look at layers."
        if self.searches and "learning_rate" in self.axes:
            yield "--set learning_rate beside several weights: the unguided baseline is given its own rates."

    @property
    def searches(self) -> bool:
        """Whether weights are tried against each other."""
        return any(len(self._weights(variant)) > 1 for variant in self.variants)

    @property
    def plan(self) -> dict[str, Any]:
        """The fields as `sweep.json` holds them: a list of weights for each guide, under the guide's name."""
        fields = asdict(self)
        del fields["weights"]
        for added in ("guide", "tied"):  # stated where they say something, as earlier plans have neither
            if not fields[added]:
                del fields[added]
        return {**fields, **{guide: self.weights_of(guide) for guide in stated_guides(guides_in(self.variants))}}

    def weights_of(self, guide: str) -> tuple[Weight, ...]:
        """The weights that are tried of a guide."""
        if guide in self.weights:
            return tuple(self.weights[guide])
        given = [spec for spec in map(parse_guide, self.guide) if spec.name == guide]
        return (bare_weight(given[0]) if given else GUIDES[guide].weight,)

    def trials(self, variant: str, model: str) -> list[dict[str, Any]]:
        """The trials of a variant, as run options: weights; where there is no guide, as many learning rates."""
        weights = self._weights(variant)
        if variant_guides(variant):
            return weights
        most = max(len(self._weights(other)) for other in self.variants)
        return [{**weights[0], **rate} for rate in self._rates(most, model)]

    def _weights(self, variant: str) -> list[dict[str, Any]]:
        """Run options of every combination of weights of a variant."""
        specs = variant_specs(variant, self.guide)
        tried = [self.weights_of(spec.name) for spec in specs]
        combined = _moved_together(specs, tried[0]) if self.tied and len(specs) > 1 else product(*tried)
        return [run_options([with_weight(*pair) for pair in zip(specs, weights, strict=True)]) for weights in combined]

    def _rates(self, count: int, model: str) -> list[dict[str, float]]:
        """`count` learning rates around the model's own and with it, evenly spaced in their logarithm."""
        if count == 1:
            return [{}]
        implied = recipe_values(self.options, {**self.options, "model": model})
        given = float({**implied, **self.options}.get("learning_rate") or default_learning_rate(model))
        exponents = [(place - (count - 1) // 2) / (count // 2) for place in range(count)]
        return [{"learning_rate": float(f"{given * WIDEST_RATE**exponent:.3g}")} for exponent in exponents]


def _moved_together(specs: Sequence[GuideSpec], weights: Sequence[Weight]) -> Iterator[tuple[Weight, ...]]:
    """For each weight of the first guide one of every guide, in the ratio of their default weights."""
    defaults = [spec.entry.weight for spec in specs]
    for weight in weights:
        share, number = weight_order(weight)
        moved = [float(f"{number * default / defaults[0]:.10g}") for default in defaults]
        yield tuple(f"share:{each:.10g}" if share else each for each in moved)


def grid_flag(guide: str) -> str:
    """`--mdg-grid`, or `--guide-grid next`."""
    return flag(f"{guide}_grid") if GUIDES[guide].has_flag else f"--guide-grid {guide}"


def first_cells(grid: Grid) -> list[Cell]:
    """The cells that do not depend on any result: all of them, or those that pick the winners."""
    role: Role = "select" if grid.searches else "single"
    seeds = grid.select_seeds if grid.searches else grid.seeds
    return [
        Cell(variant, role, {**shared, **trial, **layer, "seed": seed}, tuple(grid.axes))
        for shared in _shared(grid)
        for variant in grid.variants
        for layer in _layers(grid, variant)
        for trial in grid.trials(variant, shared["model"])
        for seed in seeds
    ]


Winners = Mapping[tuple[tuple[tuple[str, Any], ...], str], Mapping[str, float]]
"""Setting and variant -> the options that were chosen for it."""


def report_cells(grid: Grid, winners: Winners) -> list[Cell]:
    """The winners with the seeds that are reported; a variant without a winner has none."""
    cells = []
    for shared, variant, seed in product(_shared(grid), grid.variants, grid.seeds):
        cell = Cell(variant, "report", {**shared, "seed": seed}, tuple(grid.axes))
        chosen = winners.get((cell.setting, variant))
        if chosen is not None:
            cells.append(replace(cell, options={**cell.options, **chosen}))
    return cells


def _shared(grid: Grid) -> Iterator[dict[str, Any]]:
    """Options of every combination of model, data, size and other axes."""
    for model, dataset, size in product(grid.models, grid.datasets, grid.sizes or (None,)):
        sized = {} if size is None else {"train_limit" if isinstance(size, int) else "train_fraction": size}
        for values in product(*grid.axes.values()):
            axes = dict(zip(grid.axes, values, strict=True))
            yield {**grid.options, "model": model, "dataset": dataset, **sized, **axes}


def _layers(grid: Grid, variant: str) -> list[dict[str, Any]]:
    guided = variant_guides(variant) and grid.layers
    return [{"guide_layers": str(layer)} for layer in grid.layers] if guided else [{}]


def varied_options(cells: Sequence[Cell]) -> tuple[str, ...]:
    """The options that set cells apart beside variant and seed; sizes always, the presence of a guide never."""
    names = dict.fromkeys(name for cell in cells for name in _choices(cell) if name != "seed")
    return tuple(name for name in names if name in _SIZES or len(_values(cells, name)) > 1)


def _values(cells: Sequence[Cell], name: str) -> set[Any]:
    """The values of an option; of a weight those above 0, of guided layers those of guided cells."""
    values = {_choices(cell).get(name) for cell in cells if name != "guide_layers" or variant_guides(cell.variant)}
    return values - {0.0, None} if name in GUIDES else values


def _choices(cell: Cell) -> dict[str, Any]:
    """A cell's options, and in place of its guides' texts each guide's weight."""
    choices: dict[str, Any] = {}
    for name, value in cell.options.items():
        choices |= cell.weights if name == "guide" else {name: cell.weights.get(name, value)}
    return choices


def cell_name(cell: Cell, varied: Sequence[str]) -> str:
    """`both, size 300, seed 1`, which names the options that `varied_options` gives."""
    words = {**dict.fromkeys(_SIZES, "size"), "guide_layers": "layer"}
    own = _choices(cell)
    named = [name for name in varied if name in own and (name not in GUIDES or own[name])]
    choices = [f"{words.get(name, name)} {_value_text(name, own[name])}" for name in named]
    return ", ".join([cell.variant, *choices, f"seed {cell.options['seed']}"])


def _value_text(name: str, value: Any) -> str:
    if name == "train_fraction":
        return f"{100 * value:g} %"
    if name in GUIDES:
        return weight_text(value) if isinstance(value, str) else str(value)
    return Path(str(value)).name if name in ("model", "dataset") else str(value)
