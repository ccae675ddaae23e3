"""The grid of a sweep, and its cells; a cell is one run.

Where several weights are tried, a sweep has two halves: `select` cells, whose dev metric picks a winner for each
variant, and `report` cells, in which the winners run with other seeds. Else every cell is `single`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any, Literal

from agcli.config import default_learning_rate, recipe_values
from agcli.declare import flag
from agcli.errors import UsageError, did_you_mean
from agcli.guides.registry import GUIDES, PAPER_VARIANTS, variants
from agcli.options import OPTIONS

Role = Literal["single", "select", "report"]
_SIZES = ("train_limit", "train_fraction")
NOT_VARIED = (
    *("model", "dataset", "recipe", "guide_layers", *GUIDES, *_SIZES),
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
        free = {*GUIDES, "learning_rate", "seed", "guide_layers"} - set(self.axes)
        return tuple(sorted((name, value) for name, value in self.options.items() if name not in free))


@dataclass(frozen=True)
class Grid:
    """The options that are varied, and those that all cells share.

    Attributes:
        weights: guide -> weights that are tried; of a guide that is not named its default.
        layers: guided layers, each on its own; empty: all together.
        sizes: shares (up to 1.0) or numbers of training examples; empty: all.
        seeds: seeds whose metrics are reported; the order of examples follows them too.
        select_seeds: seeds that pick a winner, where several weights are tried.
        axes: option -> values, for any other run option.
    """

    models: tuple[str, ...]
    datasets: tuple[str, ...]
    variants: tuple[str, ...] = PAPER_VARIANTS
    weights: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    layers: tuple[int, ...] = ()
    sizes: tuple[float | int, ...] = ()
    seeds: tuple[int, ...] = (1, 2, 3, 4, 5)
    select_seeds: tuple[int, ...] = ()
    axes: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

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
        known = variants()
        for variant in self.variants:
            if variant not in known:
                yield f"--variants: {variant!r} is none of {', '.join(known)}.{did_you_mean(variant, known)}"
        for guide, weights in self.weights.items():
            if not weights or min(weights) <= 0 or len(set(weights)) < len(weights):
                yield f"{grid_flag(guide)} needs different weights above 0; a variant without the guide is `none`."
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
        used = {guide for variant in self.variants for guide in variants()[variant]}
        return {**fields, **{guide: self.weights_of(guide) for guide in stated_guides(used)}}

    def weights_of(self, guide: str) -> tuple[float, ...]:
        """The weights that are tried of a guide."""
        return tuple(self.weights.get(guide, (GUIDES[guide].weight,)))

    def trials(self, variant: str, model: str) -> list[dict[str, float]]:
        """The trials of a variant: weights; where there is no guide, as many learning rates."""
        weights = self._weights(variant)
        if variants()[variant]:
            return weights
        most = max(len(self._weights(other)) for other in self.variants)
        return [{**weights[0], **rate} for rate in self._rates(most, model)]

    def _weights(self, variant: str) -> list[dict[str, float]]:
        present = variants()[variant]
        stated = stated_guides(present)
        tried = [self.weights_of(guide) if guide in present else (0.0,) for guide in stated]
        return [dict(zip(stated, weights, strict=True)) for weights in product(*tried)]

    def _rates(self, count: int, model: str) -> list[dict[str, float]]:
        """`count` learning rates around the model's own and with it, evenly spaced in their logarithm."""
        if count == 1:
            return [{}]
        implied = recipe_values(self.options, {**self.options, "model": model})
        given = float({**implied, **self.options}.get("learning_rate") or default_learning_rate(model))
        exponents = [(place - (count - 1) // 2) / (count // 2) for place in range(count)]
        return [{"learning_rate": float(f"{given * WIDEST_RATE**exponent:.3g}")} for exponent in exponents]


def stated_guides(present: Collection[str]) -> list[str]:
    """The guides whose weight is stated: those that are present, and those that a run has by default, off or on.

    The others are left out, so that cells and fingerprints do not depend on which guides there are.
    """
    return [name for name, entry in GUIDES.items() if name in present or entry.by_default]


def grid_flag(guide: str) -> str:
    """`--mdg-grid`."""
    return flag(f"{guide}_grid")


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
    guided = variants()[variant] and grid.layers
    return [{"guide_layers": str(layer)} for layer in grid.layers] if guided else [{}]


def varied_options(cells: Sequence[Cell]) -> tuple[str, ...]:
    """The options that set cells apart beside variant and seed; sizes always, the presence of a guide never."""
    names = dict.fromkeys(name for cell in cells for name in cell.options if name != "seed")
    return tuple(name for name in names if name in _SIZES or len(_values(cells, name)) > 1)


def _values(cells: Sequence[Cell], name: str) -> set[Any]:
    """The values of an option; of a weight those above 0, of guided layers those of guided cells."""
    values = {cell.options.get(name) for cell in cells if name != "guide_layers" or variants()[cell.variant]}
    return values - {0.0, None} if name in GUIDES else values


def cell_name(cell: Cell, varied: Sequence[str]) -> str:
    """`both, size 300, seed 1`, which names the options that `varied_options` gives."""
    words = {**dict.fromkeys(_SIZES, "size"), "guide_layers": "layer"}
    named = [name for name in varied if name in cell.options and (name not in GUIDES or cell.options[name])]
    choices = [f"{words.get(name, name)} {_value_text(name, cell.options[name])}" for name in named]
    return ", ".join([cell.variant, *choices, f"seed {cell.options['seed']}"])


def _value_text(name: str, value: Any) -> str:
    if name == "train_fraction":
        return f"{100 * value:g} %"
    return Path(str(value)).name if name in ("model", "dataset") else str(value)
