"""Means over seeds against what a sweep varies: a panel a guided variant, the unguided model in each.

Four variants with their intervals in one panel would hide each other, in grey-scale print above all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agcli.figures import style
from agcli.figures.cells import Cell, Mean, count_and_interval, no_claim, shortfalls
from agcli.figures.printed import Points, draw_points

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HEIGHT = 2.9
"""Inches, without legend and caption."""
_HEADING = 100
"""Most characters of what is said above a picture."""
_TICK_CHARACTERS = 90
"""Of tick labels across the page, which the panels share; between two labels there is room for two more."""
_MARKER = "s"
_CHANCE = (0, (5, 1.5, 1, 1.5))
_GAP = 0.05
"""Of a panel's height: where the cross of a gap is."""
_FARTHEST = 2.0
"""Heights of what the arms cover by which the chance line may lie below them; further down, they would be one line."""
_READ_WITH = (
    "Intervals are those of each mean over seeds. Whether two of them overlap is no test: differences over paired "
    "seeds are in the forest plot."
)

ALL = "all"
"""Label of a place that stands apart: all layers."""
Line = dict[float, Mean]
"""Place on the horizontal axis -> mean over seeds."""


@dataclass(frozen=True)
class Curves:
    """What one picture shows.

    Attributes:
        first: a cell of the picture; what names model, data and setting is the same in all.
        metric: the primary metric.
        axis: label of the horizontal axis.
        ticks: places on it and their labels.
        log: whether it is logarithmic.
        banded: whether intervals are bands and the unguided mean has points; else whiskers and a line across.
        baseline: the unguided means.
        lines: variant -> guided means.
        weights: variant -> its weights in words.
        where: what to call a place in a sentence.
        chance: place -> what costs no training, in percent; empty where the rows do not know it.
        chance_name: `majority class` or `first stage`.
        paper: variant -> place -> what a paper prints; the unguided model has no place where it is a line across.
        paper_said: that in words.
    """

    first: Cell
    metric: str
    axis: str
    ticks: dict[float, str]
    log: bool
    banded: bool
    baseline: Line
    lines: dict[str, Line]
    weights: dict[str, str]
    where: str
    chance: dict[float, float] = field(default_factory=dict)
    chance_name: str = ""
    paper: Points = field(default_factory=dict)
    paper_said: str = ""

    @property
    def heading(self) -> str:
        """Model, data, and what else sets this picture apart."""
        layers = f"layer {self.first.layers}" if self.first.layers.isdecimal() else ""
        apart = layers if self.banded else f"training size {self.first.size_text}"
        said = [f"{self.first.model} on {self.first.dataset}", apart, *self.first.setting]
        return style.plain(", ".join(part for part in said if part), _HEADING)

    @property
    def means(self) -> dict[str, Mean]:
        """Every mean by what it is called in a sentence."""
        base = {
            f"none, {self.where} {self.ticks[place]}" if self.banded else "none": mean
            for place, mean in self.baseline.items()
        }
        return base | {
            f"{variant}, {self.where} {self.ticks[place]}": mean
            for variant, line in self.lines.items()
            for place, mean in line.items()
        }

    @property
    def chance_is_near(self) -> bool:
        """Whether the chance line is near enough to be drawn without pressing the arms into one line."""
        ends = [end for mean in self.means.values() for end in (mean.value, mean.low, mean.high) if end is not None]
        if not ends or not self.chance:
            return bool(self.chance)
        height = max(ends) - min(ends)
        return not height or max(self.chance.values()) >= min(ends) - _FARTHEST * height


def draw(curves: Curves, folder: Path, stem: str) -> list[Path]:
    """Draw one picture, a panel a guided variant.

    Args:
        curves: what it shows.
        folder: where the files go.
        stem: their name.

    Returns:
        The files written.

    Raises:
        RunError: the disk refuses.
    """
    missing = [] if curves.baseline else ["There is no unguided cell: nothing to compare with."]
    caution = [_READ_WITH] if any(mean.low is not None for mean in curves.means.values()) else []
    few = no_claim(mean.n for mean in curves.means.values())
    lines = curves.lines or {"none": {}}
    said = [curves.paper_said] if curves.paper_said else []
    if curves.chance and not curves.chance_is_near:
        ends = dict.fromkeys(f"{end:.2f}" for end in (min(curves.chance.values()), max(curves.chance.values())))
        said.append(f"Below the picture: {curves.chance_name}, {' to '.join(ends)}.")
    with style.house_style():
        figure = style.new_figure(_HEIGHT, [*said, *caution, *few, *missing, *shortfalls(curves.means)])
        figure.suptitle(curves.heading, x=style.LEFT, ha="left", weight="bold", size=style.NORMAL)
        panels = figure.subplots(1, len(lines), sharex=True, sharey=True, squeeze=False)[0]
        for axes, (variant, line) in zip(panels, lines.items(), strict=True):
            _draw_baseline(axes, curves)
            if curves.chance_is_near:
                places, values = list(curves.chance), list(curves.chance.values())
                axes.plot(places, values, color=style.QUIET, linestyle=_CHANCE, label=curves.chance_name)
            draw_points(axes, variant, curves.paper, across=None if curves.banded else list(curves.ticks))
            if line:
                _draw_line(axes, variant, line, curves)
                seeds = count_and_interval(list(line.values()))
                axes.set_title(f"{variant}{curves.weights[variant]}\n{seeds}", size=style.SMALL)
        _scale(panels[0], curves, len(lines))
        style.legend_below(figure, panels[0])
        style.label_below(figure, curves.axis)
        return style.save(figure, folder, stem)


def _draw_baseline(axes: Axes, curves: Curves) -> None:
    """The unguided mean, dashed, with its interval as a grey band; a place without a figure breaks both."""
    line = curves.baseline
    if not any(mean.n for mean in line.values()):
        return
    colour, seeds = style.COLOURS["none"], count_and_interval(list(line.values()))
    places, middle, low, high = _columns(line)
    (drawn,) = axes.plot(places, middle, color=colour, linestyle=(0, (4, 1.5)), label=f"none: mean, {seeds}")
    drawn.set(marker="o" if curves.banded else "", markerfacecolor="white")
    if any(mean.low is not None for mean in line.values()):
        label = "none: 95 % t-interval"
        axes.fill_between(places, low, high, color=colour, alpha=0.22, linewidth=0, label=label)


def _draw_line(axes: Axes, variant: str, line: Line, curves: Curves) -> None:
    """A variant's means with their intervals; the place `all` stands apart, so that no line leads there."""
    colour = style.colour_of(variant, [variant])
    places, middle, low, high = _columns(line)
    for place, mean in line.items():
        if mean.value is None:
            across = axes.get_xaxis_transform()
            axes.plot([place], [_GAP], "x", color=style.INK, markeredgewidth=1.3, transform=across)
    if curves.banded:
        axes.fill_between(places, low, high, facecolor=colour, alpha=0.4, linewidth=0)
        for edge in (low, high):
            axes.plot(places, edge, color=style.INK, linewidth=0.6)
    else:
        ends = [[value - low[at], high[at] - value] for at, value in enumerate(middle)]
        axes.errorbar(
            places, middle, yerr=list(zip(*ends, strict=True)), fmt="none", ecolor=style.INK, elinewidth=0.8, capsize=2
        )
    joined = len(places) - 1 if curves.ticks[places[-1]] == ALL else len(places)
    kind: dict[str, Any] = {
        "color": colour,
        "marker": _MARKER,
        "markeredgecolor": style.INK,
        "markeredgewidth": 0.7,
        "zorder": 3,
    }
    said = "guided: mean, 95 % t-interval" if any(mean.low is not None for mean in line.values()) else "guided: mean"
    for part, label in ((slice(joined), said), (slice(joined, None), None)):
        axes.plot(places[part], middle[part], label=label, **kind)


def _columns(line: Line) -> tuple[list[float], list[float], list[float], list[float]]:
    """Places, means and ends of intervals for drawing; what there is none of is nan, which is not drawn."""
    means = line.values()
    return (
        list(line),
        [math.nan if mean.value is None else mean.value for mean in means],
        [math.nan if mean.low is None else mean.low for mean in means],
        [math.nan if mean.high is None else mean.high for mean in means],
    )


def _scale(axes: Axes, curves: Curves, panels: int) -> None:
    """The axes that all panels share: ticks at what was run, as many as there is room for; percent from 0 to 100."""
    from matplotlib.ticker import NullLocator

    if curves.log:
        axes.set_xscale("log", base=2)
    every = math.ceil(panels * sum(len(label) + 2 for label in curves.ticks.values()) / _TICK_CHARACTERS)
    labels = [label if at % every == 0 or label == ALL else "" for at, label in enumerate(curves.ticks.values())]
    axes.set_xticks(list(curves.ticks), labels)
    axes.xaxis.set_minor_locator(NullLocator())
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, 0.0), min(high, 100.0))
    axes.set_ylabel(f"Test {curves.metric} (%)")
