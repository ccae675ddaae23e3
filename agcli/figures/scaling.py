"""Step time and peak memory against length."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agcli.figures import style
from agcli.figures.rows import Arm, Row, read_arms, said_of_all, time_unit, why_missing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOG_FROM = 4.0
"""Largest over smallest value from which on a vertical axis is logarithmic; below, it starts at 0."""
_NAME = 80
"""Most characters of a model's name."""
_GAP_STEP = 0.045
"""Of the axes' height, between the crosses of two arms that failed at one length."""

Line = dict[int, Arm]
"""Length -> arm."""


def scaling(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Draw step time and peak memory against length, one picture a model that has two lengths or more.

    Args:
        rows: a timing's saved rows; one without a figure leaves a gap in its line, with a cross below and the reason
            under the picture.
        folder: where `scaling_MODEL.png` and `.svg` go.

    Returns:
        The files written.

    Raises:
        RunError: the disk refuses.
    """
    by_model: dict[str, list[Arm]] = {}
    for arm in read_arms(rows):
        by_model.setdefault(arm.model, []).append(arm)
    written: list[Path] = []
    stems: list[str] = []
    for arms in by_model.values():
        if len({arm.length for arm in arms}) > 1:
            stems.append(style.stem_of("scaling", (arms[0].model,), stems))
            written += _draw(arms, folder, stems[-1])
    return written


def _draw(arms: Sequence[Arm], folder: Path, stem: str) -> list[Path]:
    lines = _lines(arms)
    factor, unit = time_unit(arms)
    gaps = [
        f"× {label}, length {length}: {why_missing(arm, arms)}"
        for label, line in lines.items()
        for length, arm in line.items()
        if arm.seconds is None
    ]
    lengths = sorted({arm.length for arm in arms})
    with style.house_style():
        figure = style.new_figure(3.4 + 0.17 * len(lines) / 3, [said_of_all(arms), *gaps])
        figure.suptitle(style.plain(arms[0].model, _NAME), x=style.LEFT, ha="left", weight="bold", size=style.NORMAL)
        time, memory = figure.subplots(1, 2)
        _draw_lines(time, lines, lambda arm: arm.seconds, factor)
        _draw_whiskers(time, arms, factor)
        _scale(time, lengths, f"Step time ({unit}", [arm.seconds for arm in arms])
        _draw_lines(memory, lines, lambda arm: arm.peak_bytes, 1e-9)
        _scale(memory, lengths, "Peak memory (GB", [arm.peak_bytes for arm in arms])
        style.legend_below(figure, time)
        return style.save(figure, folder, stem)


def _lines(arms: Sequence[Arm]) -> dict[str, Line]:
    """Label -> line, in the arms' order; batch sizes are named where there are several."""
    several = len({arm.batch_size for arm in arms}) > 1
    lines: dict[str, Line] = {}
    for arm in arms:
        label = _label(arm.arm, arms) + (f", batch {arm.batch_size}" if several else "")
        lines.setdefault(label, {})[arm.length] = arm
    return {label: dict(sorted(line.items())) for label, line in lines.items()}


def _label(asked: str, arms: Sequence[Arm]) -> str:
    """What ran; or what was asked for, where `auto` takes one thing here and another there, or what others take too."""
    ran = {arm.name for arm in arms if arm.arm == asked}
    others = {arm.name for arm in arms if arm.arm != asked}
    return ran.pop() if len(ran) == 1 and not ran & others else asked


def _draw_lines(axes: Axes, lines: dict[str, Line], figure_of: Callable[[Arm], float | None], factor: float) -> None:
    """One figure of all arms against length.

    Later lines are thinner and their markers smaller, so that of two that coincide both are seen.

    Args:
        axes: where.
        lines: the arms.
        figure_of: what is drawn.
        factor: from the figure's unit to the axis's.
    """
    arms = [arm for line in lines.values() for arm in line.values()]
    gaps: dict[int, int] = {}
    for place, (name, line) in enumerate(lines.items()):
        first = next(iter(line.values()))
        colour = style.colour_of(first.variant, [arm.variant for arm in arms])
        found = {length: figure_of(arm) for length, arm in line.items()}
        axes.plot(
            list(found),
            [math.nan if value is None else value * factor for value in found.values()],
            label=name,
            color=colour,
            linestyle=style.dashes_of(first.arm, [arm.arm for arm in arms]),
            linewidth=max(2.2 - 0.4 * place, 1.0),
            marker=style.MARKERS[place % len(style.MARKERS)],
            markersize=max(7.5 - 0.9 * place, 4),
            markerfacecolor="none",
        )
        for length in (length for length, value in found.items() if value is None):
            gaps[length] = gaps.get(length, 0) + 1
            across = axes.get_xaxis_transform()
            axes.plot([length], [gaps[length] * _GAP_STEP], "x", color=colour, mew=1.5, transform=across)


def _draw_whiskers(axes: Axes, arms: Sequence[Arm], factor: float) -> None:
    for arm in arms:
        if arm.seconds is not None and arm.whiskers is not None:
            colour = style.colour_of(arm.variant, [each.variant for each in arms])
            whiskers = [[side * factor] for side in arm.whiskers]
            axes.errorbar(arm.length, arm.seconds * factor, yerr=whiskers, color=colour, capsize=2, linewidth=0.8)


def _scale(axes: Axes, lengths: list[int], label: str, values: Sequence[float | None]) -> None:
    """Both axes: lengths by powers of two; what is drawn from 0, or by powers of ten.

    Args:
        axes: where all is drawn that is to be in sight.
        lengths: the ticks.
        label: of the vertical axis, its bracket still open.
        values: what is drawn.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_xscale("log", base=2)
    axes.set_xticks(lengths, [str(length) for length in lengths])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(lengths[0] / 1.15, lengths[-1] * 1.15)
    axes.set_xlabel("Length (tokens, log scale)")
    known = [value for value in values if value is not None]
    if not known:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "no figures", transform=axes.transAxes, ha="center", color=style.QUIET)
    elif max(known) >= LOG_FROM * min(known):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
        label += ", log scale"
    else:
        axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_ylabel(f"{label})")
