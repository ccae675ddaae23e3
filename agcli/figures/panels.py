"""Means over seeds against what a sweep varies: a panel a guided variant, the unguided model in each.

Four variants with their intervals in one panel would hide each other, in grey-scale print above all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from agcli.figures import style
from agcli.figures.means import (
    SeedMean,
    count_and_interval,
    heading,
    metric_of,
    no_claim,
    seed_mean,
    shortfalls,
    size_text,
    weights_of,
)
from agcli.figures.paper_points import ALL, PaperPoints, draw_points

_HEIGHT = 2.9
"""Inches, without legend and caption."""
_TICK_CHARACTERS = 90
"""Of tick labels across the page, which the panels share; between two labels there is room for two more."""
_CHANCE = (0, (5, 1.5, 1, 1.5))
_GAP = 0.05
"""Of a panel's height: where the cross of a gap is."""
_FARTHEST = 2.0
"""Heights of what the means cover by which the chance line may lie below; further down, they would be one line."""
_READ_WITH = (
    "Intervals are those of each mean over seeds. Whether two of them overlap is no test: differences over paired "
    "seeds are in the forest plot."
)

Line = dict[float, SeedMean]
"""Place on the horizontal axis -> mean over seeds."""


@dataclass(frozen=True)
class PanelAxis:
    """The horizontal axis that all panels share.

    Attributes:
        name: what a place on it is called in a sentence.
        label: the axis's label.
        ticks: place -> its label.
        places: layer or size, as a paper's numbers name it -> place.
        ends: of the lines across that the unguided mean and chance are; empty where they have places of their own.
            Intervals are whiskers then, else bands.
    """

    name: Literal["layer", "size"]
    label: str
    ticks: Mapping[float, str]
    places: Mapping[str, float]
    ends: Sequence[float] = ()
    is_log: bool = False

    def place_text(self, place: str) -> str:
        """How a paper's layer or share reads in a sentence."""
        return f"layer {place}" if self.name == "layer" else f"{100 * float(place):g} %"


def draw_panels(runs: pd.DataFrame, axis: PanelAxis, paper: PaperPoints | None, folder: Path, stem: str) -> list[Path]:
    """Draw one picture, a panel a guided variant.

    Args:
        runs: all of the picture, with their `place` on the axis.
        axis: see there.
        paper: numbers of a paper to draw or to say.
        folder: where the files go.
        stem: their name.

    Returns:
        The files written.

    Raises:
        DataError: runs that differ in more than what the picture tells apart.
        RunError: the disk refuses.
    """
    guided = runs[runs["variant"] != "none"]
    by_variant = {str(variant): part for variant, part in guided.groupby("variant", sort=False)}
    lines = {variant: _line(part) for variant, part in by_variant.items()}
    unguided = _unguided(runs[runs["variant"] == "none"], axis)
    means = _by_name(unguided, lines, axis)
    chance, chance_below = _chance(runs, axis, means.values())
    points = paper.placed(axis.places, axis.ends) if paper and paper.match(runs) else {}
    caption = [paper.words(runs, axis.place_text)] if paper else []
    caption += [*chance_below, *_caution(means), *shortfalls(means)]
    colours = style.colours_of(["none", *lines])
    with style.picture(_HEIGHT, caption, heading(runs, _apart(runs, axis))) as figure:
        panels = figure.subplots(1, max(len(lines), 1), sharex=True, sharey=True, squeeze=False)[0]
        for axes, variant in zip(panels, lines or ["none"], strict=True):
            _draw_unguided(axes, unguided, colours["none"], has_points=not axis.ends)
            if chance:
                look: dict[str, Any] = {"color": style.QUIET, "linestyle": _CHANCE, "label": _baseline(runs)}
                axes.plot(list(chance), list(chance.values()), **look)
            draw_points(axes, variant, colours[variant], points, unguided_is_line=bool(axis.ends))
            if variant in lines:
                _draw_line(axes, lines[variant], colours[variant], axis)
                title = ", ".join(filter(None, (variant, weights_of(by_variant[variant]))))
                axes.set_title(f"{title}\n{count_and_interval(list(lines[variant].values()))}", size=style.SMALL)
        _scale(panels[0], axis, len(panels))
        panels[0].set_ylabel(f"Test {metric_of(runs)} (%)")
        style.legend_below(figure, panels[0])
        style.label_below(figure, axis.label)
        return style.save(figure, folder, stem)


def _apart(runs: pd.DataFrame, axis: PanelAxis) -> str:
    """What a heading names beside model and data: the size of all layers' runs, the layer of all sizes'."""
    if axis.name == "layer":
        return size_text(runs)
    layers = str(runs["layers"].iloc[0])
    return f"layer {layers}" if layers.isdecimal() else ""


def _line(runs: pd.DataFrame) -> Line:
    return {float(str(place)): seed_mean(part, "test") for place, part in runs.groupby("place")}


def _unguided(runs: pd.DataFrame, axis: PanelAxis) -> Line:
    if axis.ends and len(runs):
        return dict.fromkeys(axis.ends, seed_mean(runs, "test"))
    return _line(runs)


def _by_name(unguided: Line, lines: Mapping[str, Line], axis: PanelAxis) -> dict[str, SeedMean]:
    """Every mean by what it is called in a sentence."""
    means = {}
    for variant, line in {"none": unguided, **lines}.items():
        for place, mean in line.items():
            # Of a line across both ends are the same mean.
            name = f"{variant}, {axis.name} {axis.ticks[place]}" if place in axis.ticks else variant
            means[name] = mean
    return means


def _baseline(runs: pd.DataFrame) -> str:
    """`majority class` or `first stage`, which only finished runs name."""
    return next((str(name) for name in runs["baseline"] if name), "")


def _chance(runs: pd.DataFrame, axis: PanelAxis, means: Iterable[SeedMean]) -> tuple[dict[float, float], list[str]]:
    """Place -> what costs no training, in percent; where it would press the means into one line, a text instead."""
    known = runs.dropna(subset=["baseline_test"])
    by_place = {float(str(place)): mean for place, mean in known.groupby("place")["baseline_test"].mean().items()}
    if axis.ends and len(known):
        by_place = dict.fromkeys(axis.ends, float(known["baseline_test"].mean()))
    covered = [end for mean in means for end in (mean.value, mean.low, mean.high) if end is not None]
    height = max(covered) - min(covered) if covered else 0.0
    if not height or not by_place or max(by_place.values()) >= min(covered) - _FARTHEST * height:
        return by_place, []
    values = dict.fromkeys(f"{value:.2f}" for value in (min(by_place.values()), max(by_place.values())))
    return {}, [f"Below the picture: {_baseline(runs)}, {' to '.join(values)}."]


def _caution(means: Mapping[str, SeedMean]) -> list[str]:
    """What the intervals are, and what cannot be concluded."""
    lines = [_READ_WITH] if any(mean.low is not None for mean in means.values()) else []
    lines += no_claim(mean.n for mean in means.values())
    has_unguided = any(name.split(",")[0] == "none" for name in means)
    return lines if has_unguided else [*lines, "There is no unguided cell: nothing to compare with."]


def _draw_unguided(axes: Axes, line: Line, colour: str, *, has_points: bool) -> None:
    """The unguided mean, dashed, with its interval as a grey band; a place without a number breaks both."""
    if not any(mean.n for mean in line.values()):
        return
    places, middle, low, high = _columns(line)
    label = f"none: mean, {count_and_interval(list(line.values()))}"
    (drawn,) = axes.plot(places, middle, color=colour, linestyle=(0, (4, 1.5)), label=label)
    drawn.set(marker="o" if has_points else "", markerfacecolor="white")
    if any(mean.low is not None for mean in line.values()):
        look: dict[str, Any] = {"color": colour, "alpha": 0.22, "linewidth": 0, "label": "none: 95 % t-interval"}
        axes.fill_between(places, low, high, **look)


def _draw_line(axes: Axes, line: Line, colour: str, axis: PanelAxis) -> None:
    """A variant's means with their intervals; the place `all` stands apart, so that no line leads there."""
    places, middle, low, high = _columns(line)
    for place, mean in line.items():
        if mean.value is None:
            across = axes.get_xaxis_transform()
            axes.plot([place], [_GAP], "x", color=style.INK, markeredgewidth=1.3, transform=across)
    if axis.ends:
        ends = [[value - low[at], high[at] - value] for at, value in enumerate(middle)]
        look: dict[str, Any] = {"fmt": "none", "ecolor": style.INK, "elinewidth": 0.8, "capsize": 2}
        axes.errorbar(places, middle, yerr=list(zip(*ends, strict=True)), **look)
    else:
        axes.fill_between(places, low, high, facecolor=colour, alpha=0.4, linewidth=0)
        for edge in (low, high):
            axes.plot(places, edge, color=style.INK, linewidth=0.6)
    joined = len(places) - 1 if axis.ticks[places[-1]] == ALL else len(places)
    look = {"color": colour, "marker": "s", "markeredgecolor": style.INK, "markeredgewidth": 0.7, "zorder": 3}
    has_interval = any(mean.low is not None for mean in line.values())
    label = "guided: mean, 95 % t-interval" if has_interval else "guided: mean"
    axes.plot(places[:joined], middle[:joined], label=label, **look)
    axes.plot(places[joined:], middle[joined:], **look)


def _columns(line: Line) -> tuple[list[float], list[float], list[float], list[float]]:
    """Places, means and ends of intervals for drawing; what there is none of is nan, which is not drawn."""
    means = pd.DataFrame([(mean.value, mean.low, mean.high) for mean in line.values()], dtype=float)
    middle, low, high = (means[column].tolist() for column in means)
    return list(line), middle, low, high


def _scale(axes: Axes, axis: PanelAxis, panels: int) -> None:
    """The axes that all panels share: ticks at what was run, as many as there is room for; percent from 0 to 100."""
    if axis.is_log:
        axes.set_xscale("log", base=2)
    every = math.ceil(panels * sum(len(label) + 2 for label in axis.ticks.values()) / _TICK_CHARACTERS)
    labels = [label if at % every == 0 or label == ALL else "" for at, label in enumerate(axis.ticks.values())]
    axes.set_xticks(list(axis.ticks), labels)
    axes.xaxis.set_minor_locator(NullLocator())
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, 0.0), min(high, 100.0))
