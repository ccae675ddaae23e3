"""Pictures with a row for each result, under headings, and its numbers in columns at the right."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import blended_transform_factory

from agcli.figures import style

MOST_LINES = 39
"""Lines of one picture, headings included: 9 inches of a page. 7 models with 4 variants take 35."""
_LINE = 0.215
"""Inches from one line to the next: 8 pt type with half a line between."""

Page = list[tuple[str, Sequence[Any]]]
"""(heading, rows) of one picture; a row has a `name`."""
Columns = Mapping[str, tuple[int, str]]
"""Heading -> points to the right of the axes, and which end of the text is there."""


def draw_pages(
    kind: str, groups: Mapping[str, Sequence[Any]], folder: Path, draw: Callable[[Page, Path, str], list[Path]]
) -> list[Path]:
    """Draw heading -> rows in pages: `KIND` for a single one, else `KIND_1` and on. Returns the files written.

    A group is cut only where it is longer than a page.
    """
    pages: list[Page] = []
    used = MOST_LINES
    for heading, rows in groups.items():
        for start in range(0, len(rows), MOST_LINES - 1):
            part = rows[start : start + MOST_LINES - 1]
            if used + len(part) + 1 > MOST_LINES:
                pages.append([])
                used = 0
            pages[-1].append((heading, part))
            used += len(part) + 1
    written: list[Path] = []
    for number, page in enumerate(pages, start=1):
        written += draw(page, folder, kind if len(pages) == 1 else f"{kind}_{number}")
    return written


def height_of(page: Page) -> float:
    """Inches of a page's lines, the columns' headings included."""
    return _LINE * (1 + sum(len(rows) + 1 for _, rows in page))


def draw_frame(figure: Figure, page: Page, columns: Columns) -> tuple[Axes, dict[int, Any]]:
    """Draw the names and headings of a page; returns the axes, and line -> row for what comes into them."""
    axes = figure.add_subplot()
    across = blended_transform_factory(figure.transFigure, axes.transData)
    behind = {"facecolor": "white", "edgecolor": "none", "pad": 1}  # else the axis runs through the letters
    rows_by_line: dict[int, Any] = {}
    line = 0
    for heading, rows in page:
        look: dict[str, Any] = {"va": "center", "weight": "bold", "bbox": behind, "in_layout": False}
        axes.text(style.LEFT, line, heading, transform=across, **look)
        rows_by_line |= dict(enumerate(rows, start=line + 1))
        line += len(rows) + 1
    write_columns(axes, -1, columns, list(columns), style.QUIET)
    axes.set_ylim(line - 0.4, -1.5)
    axes.set_yticks(list(rows_by_line), [row.name for row in rows_by_line.values()])
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    return axes, rows_by_line


def write_columns(axes: Axes, line: int, columns: Columns, texts: Sequence[str], colour: str = style.INK) -> None:
    """Write a text for each column beside a line."""
    for (points, side), text in zip(columns.values(), texts, strict=True):
        look: dict[str, Any] = {"ha": side, "va": "center", "color": colour, "annotation_clip": False}
        place: dict[str, Any] = {"xytext": (points, 0), "textcoords": "offset points"}
        axes.annotate(text, (1, line), xycoords=axes.get_yaxis_transform(), **place, **look)
