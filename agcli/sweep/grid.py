"""What a sweep compares, and the cells that this comes to.

A cell is one run. Where several weights are tried, a sweep has two halves: `select` cells, whose dev metric picks a
winner for each variant, and `report` cells, in which the winners run with other seeds. Else every cell is `single`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Literal, cast

from agcli.config import default_learning_rate
from agcli.errors import UsageError, did_you_mean
from agcli.options import OPTIONS, flag

Variant = Literal["none", "mdg", "pdg", "both"]
Role = Literal["single", "select", "report"]
VARIANTS: tuple[Variant, ...] = ("none", "mdg", "pdg", "both")
PAPER_GRID = (0.1, 0.01, 0.001, 0.0001)
"""The weights among which the paper chose (section 3.3)."""
DECIDED = (
    *("seed", "data_seed", "output", "train_limit", "train_fraction"),
    *("checkpoint_every", "keep_checkpoints", "track", "guide_layers"),
)
"""Options of a run that a sweep decides itself, or has no use for."""
OWNED = ("model", "dataset", "mdg", "pdg", *DECIDED)
"""Options that a grid sets itself, so that no `--set` may."""
WIDEST_RATE = 4.0
"""The unguided baseline's learning rates go up to four times the given one, and about as far below it."""


@dataclass(frozen=True)
class Cell:
    """One run of a sweep.

    Attributes:
        variant: which guides are on.
        role: what its metrics are for.
        options: every run option that the sweep chose for it.
        axes: the options that `--set` varies.
    """

    variant: Variant
    role: Role
    options: Mapping[str, Any]
    axes: tuple[str, ...] = ()

    @property
    def setting(self) -> tuple[tuple[str, Any], ...]:
        """What variants are compared within: all but weights, learning rate, guided layer and seed."""
        free = {"mdg", "pdg", "learning_rate", "seed", "guide_layers"} - set(self.axes)
        return tuple(sorted((name, value) for name, value in self.options.items() if name not in free))


@dataclass(frozen=True)
class Grid:
    """What is varied.

    Attributes:
        models: encoders.
        datasets: prepared data.
        variants: which guides are on.
        mdg: weights of MDG that are tried.
        pdg: weights of PDG that are tried.
        layers: guided layers, each on its own; empty: all together.
        sizes: shares (up to 1.0) or numbers of training examples; empty: all.
        seeds: seeds whose metrics are reported; the order of examples follows them too.
        select_seeds: seeds that pick a winner, where there is something to pick.
        axes: option -> values, for any other run option.
        options: run options that all cells share.
    """

    models: tuple[str, ...]
    datasets: tuple[str, ...]
    variants: tuple[Variant, ...] = VARIANTS
    mdg: tuple[float, ...] = (0.01,)
    pdg: tuple[float, ...] = (0.001,)
    layers: tuple[int, ...] = ()
    sizes: tuple[float | int, ...] = ()
    seeds: tuple[int, ...] = (1, 2, 3, 4, 5)
    select_seeds: tuple[int, ...] = ()
    axes: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what can be checked without data and model.

        Raises:
            UsageError: all that is wrong.
        """
        problems = list(self._wrong_values()) or list(self._wrong_together())
        if problems:
            raise UsageError(" ".join(problems), hint="ag ablate --help")

    def _wrong_values(self) -> Iterator[str]:
        for name, values in (("--model", self.models), ("--dataset", self.datasets), ("--seeds", self.seeds)):
            if not values or len(set(values)) < len(values):
                yield f"{name} needs one or more different values, not {', '.join(map(str, values)) or 'none'}."
        for variant in self.variants:
            if variant not in VARIANTS:
                yield f"--variants: {variant!r} is none of {', '.join(VARIANTS)}.{did_you_mean(variant, VARIANTS)}"
        for name, weights in (("--mdg-grid", self.mdg), ("--pdg-grid", self.pdg)):
            if not weights or min(weights) <= 0 or len(set(weights)) < len(weights):
                yield f"{name} needs different weights above 0; a variant without the guide is `none`."
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
            if name not in OPTIONS or name in OWNED:
                near = did_you_mean(name, set(OPTIONS) - set(OWNED))
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
        return any(len(self._weights(variant)) > 1 for variant in self.variants if variant != "none")

    def trials(self, variant: Variant, model: str) -> list[dict[str, float]]:
        """What is tried of a variant: weights; where there is no guide, as many learning rates."""
        weights = self._weights(variant)
        if variant != "none":
            return weights
        most = max((len(self._weights(other)) for other in self.variants if other != "none"), default=1)
        return [{**weights[0], **rate} for rate in self._rates(most, model)]

    def _weights(self, variant: Variant) -> list[dict[str, float]]:
        alphas = self.mdg if variant in ("mdg", "both") else (0.0,)
        betas = self.pdg if variant in ("pdg", "both") else (0.0,)
        return [{"mdg": alpha, "pdg": beta} for alpha, beta in product(alphas, betas)]

    def _rates(self, count: int, model: str) -> list[dict[str, float]]:
        """`count` learning rates around the model's own and with it, evenly spaced in their logarithm."""
        if count == 1:
            return [{}]
        given = float(self.options.get("learning_rate", default_learning_rate(model)))
        exponents = [(place - (count - 1) // 2) / (count // 2) for place in range(count)]
        return [{"learning_rate": float(f"{given * WIDEST_RATE**exponent:.3g}")} for exponent in exponents]


def first_cells(grid: Grid) -> list[Cell]:
    """The cells that do not depend on any result: all of them, or those that pick the winners."""
    role: Role = "select" if grid.searches else "single"
    seeds = grid.select_seeds if grid.searches else grid.seeds
    return [
        _cell(grid, variant, role, {**shared, **trial, **layer, "seed": seed})
        for shared in _shared(grid)
        for variant in grid.variants
        for layer in _layers(grid, variant)
        for trial in grid.trials(variant, shared["model"])
        for seed in seeds
    ]


Winners = Mapping[tuple[tuple[tuple[str, Any], ...], Variant], Mapping[str, float]]
"""Setting and variant -> what was chosen for it."""


def report_cells(grid: Grid, winners: Winners) -> list[Cell]:
    """The winners with the seeds that are reported; a variant without a winner has none."""
    cells = (
        _cell(grid, variant, "report", {**shared, "seed": seed})
        for shared in _shared(grid)
        for variant in grid.variants
        for seed in grid.seeds
    )
    return [
        Cell(cell.variant, cell.role, {**cell.options, **winners[cell.setting, cell.variant]}, cell.axes)
        for cell in cells
        if (cell.setting, cell.variant) in winners
    ]


def _shared(grid: Grid) -> Iterator[dict[str, Any]]:
    """Models, data, sizes and other axes: every combination."""
    for model, dataset, size in product(grid.models, grid.datasets, grid.sizes or (None,)):
        for values in product(*grid.axes.values()):
            axes = dict(zip(grid.axes, values, strict=True))
            yield {"model": model, "dataset": dataset, **_size(size), **axes}


def _size(size: float | int | None) -> dict[str, Any]:
    if size is None:
        return {}
    return {"train_limit": size} if isinstance(size, int) else {"train_fraction": size}


def _layers(grid: Grid, variant: Variant) -> list[dict[str, Any]]:
    return [{}] if variant == "none" or not grid.layers else [{"guide_layers": str(layer)} for layer in grid.layers]


def _cell(grid: Grid, variant: Variant, role: Role, options: Mapping[str, Any]) -> Cell:
    return Cell(variant, role, {**grid.options, **options}, tuple(grid.axes))


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


def parse_weights(text: str, option: str) -> tuple[float, ...]:
    """`0.1,0.01` or `paper` -> weights.

    Raises:
        UsageError: a word that is no number.
    """
    return PAPER_GRID if text.strip() == "paper" else tuple(_number(word, option) for word in text.split(","))


def parse_sizes(text: str) -> tuple[float | int, ...]:
    """`0.2,1.0` -> shares, `500,2000` -> numbers of examples.

    Raises:
        UsageError: a word that is no number.
    """
    return tuple(int(word) if word.strip().isdecimal() else _number(word, "--sizes") for word in text.split(","))


def _number(word: str, option: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise UsageError(f"{option}: {word.strip()!r} is no number.") from None


def parse_variants(text: str) -> tuple[Variant, ...]:
    """`none,both` -> variants; a word that is none is left for `Grid` to name."""
    return cast("tuple[Variant, ...]", tuple(word.strip() for word in text.split(",")))
