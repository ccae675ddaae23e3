"""Step time and peak memory against length."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from agcli.figures import style
from agcli.figures.timing_rows import Row, add_reasons, read_timing, shared_notes, time_unit

LOG_FROM = 4.0
"""Largest over smallest value from which on a vertical axis is logarithmic; below, it starts at 0."""
_GAP_STEP = 0.045
"""Of the axes' height, between the crosses of two methods that failed at one length."""


def scaling(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Draw step time and peak memory against length, one picture a model that has two lengths or more.

    Args:
        rows: a timing's saved rows; one without a time leaves a gap in its line, with a cross below and the reason
            under the picture.
        folder: where `scaling_MODEL.png`, `.svg` and `.pdf` go.

    Raises:
        RunError: the disk refuses.
    """
    written: list[Path] = []
    for model, table in read_timing(rows).groupby("model", sort=False):
        if table["length"].nunique() > 1:
            written += _draw(table, folder, style.stem_of("scaling", (str(model),), written))
    return written


def _draw(table: pd.DataFrame, folder: Path, stem: str) -> list[Path]:
    table = add_reasons(table)
    table = table.assign(label=_labels(table), colour=table["variant"].map(style.colours_of(table["variant"])))
    lines = [part.drop_duplicates("length", keep="last") for _, part in table.groupby("label", sort=False)]
    lines = [line.sort_values("length") for line in lines]
    factor, unit = time_unit(table)
    missing = [row for line in lines for row in line[line["step_seconds"].isna()].itertuples()]
    gaps = [f"× {row.label}, length {row.length}: {row.reason}" for row in missing]
    lengths = sorted(set(table["length"]))
    with style.picture(3.4 + 0.17 * len(lines) / 3, [shared_notes(table), *gaps], table["model"].iloc[0]) as figure:
        time, memory = figure.subplots(1, 2)
        _draw_lines(time, lines, "step_seconds", factor, list(table["arm"]))
        _draw_whiskers(time, table, factor)
        _scale(time, lengths, f"Step time ({unit}", table["step_seconds"])
        _draw_lines(memory, lines, "peak_memory_bytes", 1e-9, list(table["arm"]))
        _scale(memory, lengths, "Peak memory (GB", table["peak_memory_bytes"])
        style.legend_below(figure, time)
        return style.save(figure, folder, stem)


def _labels(table: pd.DataFrame) -> pd.Series[str]:
    """What ran; or what was requested, where `auto` took several implementations or one that another method took too.

    Batch sizes are named where there are several.
    """
    labels = {}
    for method, names in table.groupby("arm")["name"]:
        shared = set(names) & set(table["name"][table["arm"] != method])
        labels[method] = method if shared or names.nunique() > 1 else names.iloc[0]
    label = table["arm"].map(labels)
    if table["batch_size"].nunique() > 1:
        label += ", batch " + table["batch_size"].astype(str)
    return label


def _draw_lines(axes: Axes, lines: Sequence[pd.DataFrame], column: str, factor: float, methods: Sequence[str]) -> None:
    """One column of all methods against length, times a factor.

    Later lines are thinner and their markers smaller, so that of two that coincide both are visible.
    """
    gaps: dict[int, int] = {}
    for place, line in enumerate(lines):
        colour = line["colour"].iloc[0]
        axes.plot(
            line["length"].tolist(),
            (line[column] * factor).tolist(),
            label=line["label"].iloc[0],
            color=colour,
            linestyle=style.by_place(style.DASHES, line["arm"].iloc[0], methods),
            linewidth=max(2.2 - 0.4 * place, 1.0),
            marker=style.MARKERS[place % len(style.MARKERS)],
            markersize=max(7.5 - 0.9 * place, 4),
            markerfacecolor="none",
        )
        for length in line["length"][line[column].isna()]:
            gaps[length] = gaps.get(length, 0) + 1
            across = axes.get_xaxis_transform()
            axes.plot([length], [gaps[length] * _GAP_STEP], "x", color=colour, mew=1.5, transform=across)


def _draw_whiskers(axes: Axes, table: pd.DataFrame, factor: float) -> None:
    for colour, part in table.dropna(subset=["below", "above"]).groupby("colour", sort=False):
        look: dict[str, Any] = {"fmt": "none", "color": colour, "capsize": 2, "linewidth": 0.8}
        ends = [part["below"] * factor, part["above"] * factor]
        axes.errorbar(part["length"], part["step_seconds"] * factor, yerr=ends, **look)


def _scale(axes: Axes, lengths: list[int], label: str, values: pd.Series[float]) -> None:
    """Both axes, after all is drawn: lengths by powers of two; values from 0, or by powers of ten.

    The label is of the vertical axis, its bracket still open.
    """
    axes.set_xscale("log", base=2)
    axes.set_xticks(lengths, [str(length) for length in lengths])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(lengths[0] / 1.15, lengths[-1] * 1.15)
    axes.set_xlabel("Length (tokens, log scale)")
    if values.isna().all():
        axes.set_yticks([])
        axes.text(0.5, 0.5, "no figures", transform=axes.transAxes, ha="center", color=style.QUIET)
    elif values.max() >= LOG_FROM * values.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
        label += ", log scale"
    else:
        axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_ylabel(f"{label})")
