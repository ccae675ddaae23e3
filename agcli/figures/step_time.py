"""Bars of step times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from agcli.figures import style
from agcli.figures.row_chart import Page, draw_frame, draw_pages, height_of, write_columns
from agcli.figures.timing_rows import Row, add_reasons, read_timing, shared_notes, three_digits, time_unit

_NAME, _REASON = 64, 84
"""Most characters of a model's name and of a reason: what 8 pt leaves room for."""
_RATIO = (
    "ratio to none: geometric mean, over rounds, of the times on the same batches, with its 95 % t-interval over "
    "rounds; not the quotient of the bars, which are medians of single steps."
)
_COLUMNS = {"median": (42, "right"), "ratio to none [95 %]": (54, "left")}


def step_time_bars(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Draw a bar a row: the median step time, with whiskers at its quartiles and the ratio to `none` beside it.

    Args:
        rows: a timing's saved rows; one without a time leaves a gap that says why.
        folder: where `step_time.png`, `.svg` and `.pdf` go; `step_time_1` and on, where the rows fill several pages.

    Raises:
        RunError: the disk refuses.
    """
    if not rows:
        return []
    groups = {}
    for _, part in read_timing(rows).groupby(["model", "length", "batch_size"], sort=False):
        group: list[Any] = list(part.itertuples())
        model = style.plain(group[0].model, _NAME)
        groups[f"{model}, length {group[0].length}, batch {group[0].batch_size}"] = group
    return draw_pages("step_time", groups, folder, _draw)


def _draw(page: Page, folder: Path, stem: str) -> list[Path]:
    table = add_reasons(pd.DataFrame([row for _, rows in page for row in rows]))
    factor, unit = time_unit(table)
    has_ratio = (table["ratio"].notna() & (table["variant"] != "none")).any()
    with style.picture(height_of(page) + 0.7, [*([_RATIO] if has_ratio else []), shared_notes(table)]) as figure:
        axes, lines = draw_frame(figure, page, _COLUMNS)
        colours = style.colours_of(table["variant"])
        reasoned: list[Any] = list(table.itertuples())
        for line, row in zip(lines, reasoned, strict=True):
            if math.isnan(row.step_seconds):
                _write_reason(axes, line, row.reason)
                continue
            hatch = style.by_place(style.HATCHES, row.attention, table["attention"])
            _draw_bar(axes, line, row, factor, {"color": colours[row.variant], "hatch": hatch})
            write_columns(axes, line, _COLUMNS, [f"{three_digits(row.step_seconds * factor)} {unit}", _ratio(row)])
        axes.set_xlim(left=0)
        if table["step_seconds"].isna().all():
            axes.set_xticks([])
        axes.set_xlabel(f"Step time ({unit}): median, whiskers at the quartiles")
        return style.save(figure, folder, stem)


def _draw_bar(axes: Axes, line: int, row: Any, factor: float, look: dict[str, Any]) -> None:
    axes.barh(line, row.step_seconds * factor, height=0.72, edgecolor="white", linewidth=0, **look)
    if not math.isnan(row.below + row.above):
        ends = [[row.below * factor], [row.above * factor]]
        axes.errorbar(row.step_seconds * factor, line, xerr=ends, color=style.INK, capsize=2, linewidth=0.9)


def _ratio(row: Any) -> str:
    """`1.06 [1.04, 1.08]`; `none` has no ratio to itself."""
    if row.variant == "none" or math.isnan(row.ratio):
        return ""
    interval = "" if math.isnan(row.ratio_low + row.ratio_high) else f" [{row.ratio_low:.2f}, {row.ratio_high:.2f}]"
    return f"{row.ratio:.2f}{interval}"


def _write_reason(axes: Axes, line: int, reason: str) -> None:
    """In the place of a bar, why there is none."""
    look: dict[str, Any] = {"va": "center", "style": "italic", "color": style.QUIET, "in_layout": False}
    place = (0, line)
    axes.annotate(style.plain(reason, _REASON), place, xytext=(3, 0), textcoords="offset points", **look)
