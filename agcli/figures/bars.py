"""Bars of step times."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agcli.figures import style
from agcli.figures.rows import Arm, Row, read_arms, said_of_all, three_digits, time_unit, why_missing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_LINES = 40
"""Lines of one picture, headings included: 9 inches of a page. 7 models with 4 variants take 35."""
_LINE = 0.215
"""Inches from one line to the next: 8 pt type with half a line between."""
_NAME, _REASON = 64, 84
"""Most characters of a model's name and of a reason: what 8 pt leaves room for."""
_RATIO = (
    "ratio to none: geometric mean, over rounds, of the times on the same batches, with its 95 % t-interval over "
    "rounds; not the quotient of the bars, which are medians of single steps."
)
_TIME_ENDS, _RATIO_STARTS = 42, 54
"""Points to the right of the axes."""


def step_time_bars(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Draw a bar a row: the median step time, with whiskers at its quartiles and the ratio to `none` beside it.

    Args:
        rows: a timing's saved rows; one without a time leaves a gap that says why.
        folder: where `step_time.png` and `.svg` go; `step_time_1` and on, where the rows fill several pages.

    Returns:
        The files written; none for no rows.

    Raises:
        RunError: the disk refuses.
    """
    groups: dict[tuple[str, int, int], list[Arm]] = {}
    for arm in read_arms(rows):
        groups.setdefault((arm.model, arm.length, arm.batch_size), []).append(arm)
    pages = _pages(list(groups.values()))
    written: list[Path] = []
    for number, page in enumerate(pages, start=1):
        written += _draw(page, folder, "step_time" if len(pages) == 1 else f"step_time_{number}")
    return written


def _pages(groups: Sequence[list[Arm]]) -> list[list[list[Arm]]]:
    """Groups that fit on one picture together, in order; a group is cut only where it alone is too long."""
    most = MOST_LINES - 1  # the heading takes a line
    parts = [group[start : start + most] for group in groups for start in range(0, len(group), most)]
    return [parts[page] for page in style.pages([len(part) for part in parts], MOST_LINES)]


def _draw(groups: Sequence[list[Arm]], folder: Path, stem: str) -> list[Path]:
    arms = [arm for group in groups for arm in group]
    lines = len(arms) + len(groups)
    factor, unit = time_unit(arms)
    with style.house_style():
        ratio = [_RATIO] if any(arm.ratio is not None and arm.variant != "none" for arm in arms) else []
        figure = style.new_figure(_LINE * (lines + 1) + 0.7, [*ratio, said_of_all(arms)])
        axes = figure.add_subplot()
        names: dict[int, str] = {}
        heading = 0
        for group in groups:
            _write_heading(figure, axes, heading, group[0])
            for line, arm in enumerate(group, start=heading + 1):
                names[line] = arm.name
                _draw_arm(axes, line, arm, arms, factor)
                _write_figures(axes, line, arm, arms, factor, unit)
            heading += len(group) + 1
        _write_beside(axes, -1, "median", "ratio to none [95 %]", style.QUIET)
        axes.set_ylim(lines - 0.4, -1.5)
        axes.set_yticks(list(names), list(names.values()))
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        axes.set_xlim(left=0)
        if all(arm.seconds is None for arm in arms):
            axes.set_xticks([])
        axes.set_xlabel(f"Step time ({unit}): median, whiskers at the quartiles")
        return style.save(figure, folder, stem)


def _write_heading(figure: Figure, axes: Axes, line: int, arm: Arm) -> None:
    """A line across the whole picture."""
    from matplotlib.transforms import blended_transform_factory

    text = f"{style.plain(arm.model, _NAME)}, length {arm.length}, batch {arm.batch_size}"
    across = blended_transform_factory(figure.transFigure, axes.transData)
    behind = {"facecolor": "white", "edgecolor": "none", "pad": 1}  # else the axis runs through the letters
    axes.text(style.LEFT, line, text, transform=across, va="center", weight="bold", bbox=behind, in_layout=False)


def _draw_arm(axes: Axes, line: int, arm: Arm, arms: Sequence[Arm], factor: float) -> None:
    if arm.seconds is None:
        return
    axes.barh(
        line,
        arm.seconds * factor,
        height=0.72,
        color=style.colour_of(arm.variant, [each.variant for each in arms]),
        hatch=style.hatch_of(arm.attention, [each.attention for each in arms]),
        edgecolor="white",
        linewidth=0,
    )
    if arm.whiskers is not None:
        whiskers = [[side * factor] for side in arm.whiskers]
        axes.errorbar(arm.seconds * factor, line, xerr=whiskers, color=style.INK, capsize=2, linewidth=0.9)


def _write_figures(axes: Axes, line: int, arm: Arm, arms: Sequence[Arm], factor: float, unit: str) -> None:
    """The figures at a bar, or in its place why there are none."""
    if arm.seconds is None:
        reason = style.plain(why_missing(arm, arms), _REASON)
        axes.annotate(
            reason,
            (0, line),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            style="italic",
            color=style.QUIET,
            in_layout=False,
        )
        return
    ratio = ""
    if arm.ratio is not None and arm.variant != "none":
        ratio = f"{arm.ratio:.2f}"
        if arm.ratio_low is not None and arm.ratio_high is not None:
            ratio += f" [{arm.ratio_low:.2f}, {arm.ratio_high:.2f}]"
    _write_beside(axes, line, f"{three_digits(arm.seconds * factor)} {unit}", ratio, style.INK)


def _write_beside(axes: Axes, line: int, time: str, ratio: str, colour: str) -> None:
    """Two columns at the right of the axes."""
    style.write_beside(axes, line, time, _TIME_ENDS, "right", colour)
    style.write_beside(axes, line, ratio, _RATIO_STARTS, "left", colour)
