"""Means over seeds against what a sweep varies: a panel a guided variant, the unguided model in each.

Four variants with their intervals in one panel would hide each other, in grey-scale print above all.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from agcli.figures import style
from agcli.figures.means import count_and_interval, heading, seed_means, shortfalls, size_text
from agcli.figures.paper_points import ALL, PaperPoints, draw_points
from agcli.guides.variants import weights_text
from agcli.sweep.cautions import few_seeds
from agcli.sweep.results import first_name, weights_of

_HEIGHT = 2.9
"""Inches, without legend and caption."""
_TICK_CHARACTERS = 90
"""Of tick labels across the page, which the panels share; between two labels there is room for two more."""
_TITLE_CHARACTERS = 105
"""Of titles across the page, likewise."""
_CHANCE = (0, (5, 1.5, 1, 1.5))
_GAP = 0.05
"""Height of the cross at a gap, as a share of the panel's."""
_FARTHEST = 2.0
"""Heights of what the means cover by which the chance line may lie below; further down, they would be one line."""
_READ_WITH = (
    "Intervals are those of each mean over seeds. Whether two of them overlap is no test: differences over paired "
    "seeds are in the forest plot."
)


@dataclass(frozen=True)
class PanelAxis:
    """The horizontal axis that all panels share.

    Attributes:
        name: the word for a place on it.
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
        """`layer 3`, or `20 %`."""
        return f"layer {place}" if self.name == "layer" else f"{100 * float(place):g} %"


def draw_panels(runs: pd.DataFrame, axis: PanelAxis, paper: PaperPoints | None, folder: Path, stem: str) -> list[Path]:
    """Draw one picture of runs that have their `place` on the axis, a panel a guided variant.

    Raises:
        DataError: runs that differ in more than what the picture tells apart.
        RunError: the disk refuses.
    """
    means = seed_means(runs, ["variant", "place"], "test").sort_values("place")
    labels = means["place"].map(lambda place: f", {axis.name} {axis.ticks[place]}" if place in axis.ticks else "")
    means["name"] = means["variant"] + labels
    variants = [variant for variant in runs["variant"].unique() if variant != "none"]
    lines = {variant: means[means["variant"] == variant] for variant in ["none", *variants]}
    means = pd.concat(lines.values())
    chance, chance_below = _chance(runs, axis, means)
    points = paper.placed(axis.places, axis.ends) if paper and paper.match(runs) else {}
    caption = [paper.words(runs, axis.place_text)] if paper else []
    caption += [*chance_below, *_caution(means), *shortfalls(means.drop_duplicates("name"))]
    colours = style.colours_of(["none", *variants])
    with style.picture(_HEIGHT, caption, heading(runs, _apart(runs, axis))) as figure:
        panels = figure.subplots(1, max(len(variants), 1), sharex=True, sharey=True, squeeze=False)[0]
        for axes, variant in zip(panels, variants or ["none"], strict=True):
            _draw_unguided(axes, lines["none"], colours["none"], has_points=not axis.ends)
            if chance:
                places, values = list(chance), list(chance.values())
                axes.plot(places, values, color=style.QUIET, linestyle=_CHANCE, label=first_name(runs, "baseline"))
            draw_points(axes, variant, colours[variant], points, unguided_is_line=bool(axis.ends))
            if variant in variants:
                _draw_line(axes, lines[variant], colours[variant], axis)
                title = _title(runs[runs["variant"] == variant], lines[variant], _TITLE_CHARACTERS // len(panels))
                axes.set_title(title, size=style.SMALL)
        _scale(panels[0], axis, len(panels))
        panels[0].set_ylabel(f"Test {first_name(runs, 'metric') or 'metric'} (%)")
        style.legend_below(figure, panels[0], axis.label)
        return style.save(figure, folder, stem)


def _title(runs: pd.DataFrame, line: pd.DataFrame, width: int) -> str:
    """A panel's variant with its weights, and how many seeds it has, in lines of so many characters."""
    weights = weights_of(runs)
    texts = ["weights chosen on dev"] if weights is None else weights_text(weights, "symbol")
    parts = ", ".join([runs["variant"].iloc[0], *texts]), count_and_interval(line)
    return "\n".join(textwrap.fill(part, width) for part in parts)


def _apart(runs: pd.DataFrame, axis: PanelAxis) -> str:
    """The setting that all runs share: over layers the size, over sizes the layer."""
    if axis.name == "layer":
        return size_text(runs)
    layers = str(runs["layers"].iloc[0])
    return f"layer {layers}" if layers.isdecimal() else ""


def _chance(runs: pd.DataFrame, axis: PanelAxis, means: pd.DataFrame) -> tuple[dict[float, float], list[str]]:
    """Place -> the baseline without training, in percent; one far below the means becomes a text."""
    known = runs[runs["test:baseline"].notna()] if "test:baseline" in runs else runs.head(0)
    if not len(known):
        return {}, []
    by_place = dict.fromkeys(axis.ends, 100 * float(known["test:baseline"].mean()))
    if not axis.ends:
        by_place = {float(str(place)): 100 * part["test:baseline"].mean() for place, part in known.groupby("place")}
    covered = means[["mean", "low", "high"]]
    lowest, highest = covered.min().min(), covered.max().max()
    is_far = max(by_place.values()) < lowest - _FARTHEST * (highest - lowest)
    if highest == lowest or not is_far:
        return by_place, []
    values = dict.fromkeys(f"{value:.2f}" for value in (min(by_place.values()), max(by_place.values())))
    return {}, [f"Below the picture: {first_name(runs, 'baseline')}, {' to '.join(values)}."]


def _caution(means: pd.DataFrame) -> list[str]:
    """Lines on the intervals, few seeds, and a missing baseline."""
    lines = [_READ_WITH] if means["low"].notna().any() else []
    lines += few_seeds(means["n"])
    return lines if "none" in set(means["variant"]) else [*lines, "There is no unguided cell: nothing to compare with."]


def _draw_unguided(axes: Axes, line: pd.DataFrame, colour: str, *, has_points: bool) -> None:
    """The unguided mean, dashed, with its interval as a grey band; a place without a number breaks both."""
    if not line["n"].any():
        return
    label = f"none: mean, {count_and_interval(line)}"
    (drawn,) = axes.plot(line["place"], line["mean"], color=colour, linestyle=(0, (4, 1.5)), label=label)
    drawn.set(marker="o" if has_points else "", markerfacecolor="white")
    if line["low"].notna().any():
        look: dict[str, Any] = {"color": colour, "alpha": 0.22, "linewidth": 0, "label": "none: 95 % t-interval"}
        axes.fill_between(line["place"], line["low"], line["high"], **look)


def _draw_line(axes: Axes, line: pd.DataFrame, colour: str, axis: PanelAxis) -> None:
    """A variant's means with their intervals; the place `all` stands apart, so that no line leads there."""
    place, mean, low, high = (line[column] for column in ("place", "mean", "low", "high"))
    for gap in place[mean.isna()]:
        across = axes.get_xaxis_transform()
        axes.plot([gap], [_GAP], "x", color=style.INK, markeredgewidth=1.3, transform=across)
    if axis.ends:
        whiskers: dict[str, Any] = {"fmt": "none", "ecolor": style.INK, "elinewidth": 0.8, "capsize": 2}
        axes.errorbar(place, mean, yerr=[mean - low, high - mean], **whiskers)
    else:
        axes.fill_between(place, low, high, facecolor=colour, alpha=0.4, linewidth=0)
        for edge in (low, high):
            axes.plot(place, edge, color=style.INK, linewidth=0.6)
    look: dict[str, Any] = {"color": colour, "marker": "s", "markeredgecolor": style.INK, "markeredgewidth": 0.7}
    label = "guided: mean, 95 % t-interval" if low.notna().any() else "guided: mean"
    apart = place.map(axis.ticks) == ALL
    axes.plot(place[~apart], mean[~apart], label=label, zorder=3, **look)
    axes.plot(place[apart], mean[apart], zorder=3, **look)


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
