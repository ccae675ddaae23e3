"""The dev metric over the grid of weights, on which the winner is chosen."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Rectangle

from agcli.figures import style
from agcli.figures.means import Rows, count, heading, seed_means, shortfalls, size_text
from agcli.guides.registry import GUIDES
from agcli.guides.variants import Weight, variant_colour, weight_order, weight_text
from agcli.measures.classification import Floats
from agcli.sweep.results import first_name, groups, guides_in, results_of

_LINE = 0.42
"""Inches of a row of the grid: two lines of 8 pt type."""
_SHADES = ("#F3F8FC", "#56B4E9")
"""Worst to best: one hue that grows darker, on which dark type stays readable, in print too."""
_FRAMED = "Framed: each variant's winner, which other seeds report on test."
_NONE_CHOSEN = "No winner is chosen yet."
_NONE = "none"


@dataclass(frozen=True, eq=False)
class _Plane:
    """The squares of one picture.

    Attributes:
        runs: with `row` and `column`, the keys of their square.
        off: the row of the unguided model, whose column is 0.
        rows, columns: key -> text at the axis, from the origin on.
        names: (row, column) -> the square in words.
    """

    runs: pd.DataFrame
    off: Weight
    rows: Mapping[Weight, str]
    columns: Mapping[Weight, str]
    names: Mapping[tuple[Weight, Weight], str]
    row_label: str
    column_label: str


def weight_heatmap(rows: Rows, folder: Path) -> list[Path]:
    """Draw the mean dev metric over the grid of weights, and frame each winner.

    For every model, data set and setting in which two weights or more of a guide were tried: a picture for each two
    guides that are on together, with the others off; and one for the guides that are on alone only: of one guide its
    weights, of several a row for each. One square is the unguided model.

    Args:
        rows: of a sweep. Means are over the seeds that choose; those that report name the winners.
        folder: for `weight_heatmap_MODEL_DATASET.png`, `.svg` and `.pdf`; numbered where settings make several.

    Raises:
        DataError: rows of one square differ in more than their seed.
        RunError: the disk refuses.
    """
    if not len(rows):
        return []
    written: list[Path] = []
    for runs in groups(results_of(rows)):
        for plane in _planes(runs):
            names = runs["model"].iloc[0], runs["dataset"].iloc[0]
            written += _draw(plane, folder, style.stem_of("weight_heatmap", names, written))
    return written


def _planes(runs: pd.DataFrame) -> Iterator[_Plane]:
    used = [name for name in guides_in(runs) if (runs[name] != 0).any()]
    on = {name: runs[name] != 0 for name in used}
    pairs = [pair for pair in combinations(used, 2) if (on[pair[0]] & on[pair[1]]).any()]
    alone = [name for name in used if not any(name in pair for pair in pairs)]
    for guides in [*pairs, *([tuple(alone)] if alone else [])]:
        others = [name for name in used if name not in guides]
        part = runs[(runs[others] == 0).all(axis="columns")]
        choosing = part[part["role"] != "report"]
        if any(choosing[name][choosing[name] != 0].nunique() > 1 for name in guides):
            is_list = guides == tuple(alone) and len(alone) > 1
            yield _list_of_guides(part, guides) if is_list else _plane_of_guides(part, guides)


def _plane_of_guides(runs: pd.DataFrame, guides: Sequence[str]) -> _Plane:
    """The weights of one guide, or of two against each other."""
    runs = runs.assign(row=runs[guides[0]], column=runs[guides[1]] if len(guides) > 1 else 0.0)
    rows, columns = _weights(runs["row"]), _weights(runs["column"])
    symbols = [GUIDES[guide].symbol for guide in guides]
    names = {
        square: ", ".join(f"{symbol} {weight_text(weight)}" for symbol, weight in zip(symbols, square, strict=False))
        for square in product(rows, columns)
    }
    labels = [_label(guide, runs[guide]) for guide in guides] + [""]
    return _Plane(runs, 0.0, rows, columns if len(guides) > 1 else {0.0: ""}, names, labels[0], labels[1])


def _list_of_guides(runs: pd.DataFrame, guides: Sequence[str]) -> _Plane:
    """A row of weights for each guide that is on alone."""
    alone = [next((name for name in guides if run[name]), _NONE) for run in runs.to_dict("records")]
    weights = [run.get(name, 0.0) for name, run in zip(alone, runs.to_dict("records"), strict=True)]
    # Each guide may have options of its own behind its weight: their columns are those of the weights alone.
    columns = [weight if isinstance(weight, float) else weight_text(weight) for weight in weights]
    runs = runs.assign(row=alone, column=[_as_number(column) for column in columns])
    titles: dict[Weight, str] = {name: GUIDES[name].title + _options(runs[name]) for name in reversed(guides)}
    rows = {_NONE: _NONE} | titles
    texts = _weights(runs["column"])
    names = {(row, column): f"{row} {texts[column]}" for row, column in product(rows, texts)}
    return _Plane(runs, _NONE, rows, texts, names, "", "Weight of the guide")


def _as_number(weight: Weight) -> Weight:
    """`0.1` as text, which stood before options, as the number."""
    return weight if str(weight).startswith("share:") else float(weight)


def _weights(column: pd.Series[Any]) -> dict[Weight, str]:
    """Every weight in order, 0 included, with its text."""
    weights: list[Weight] = sorted({0.0, *column}, key=weight_order)
    return {weight: weight_text(weight) if weight != 0 else "off" for weight in weights}


def _options(column: pd.Series[Any]) -> str:
    """` (heads=2)`: the options behind a guide's weights, where all have the same ones."""
    options = {str(weight).partition(",")[2] for weight in column if weight != 0}
    return f" ({options.pop()})" if len(options) == 1 and options != {""} else ""


def _label(guide: str, column: pd.Series[Any]) -> str:
    return f"{GUIDES[guide].symbol}, weight of {GUIDES[guide].title}{_options(column)}"


def _draw(plane: _Plane, folder: Path, stem: str) -> list[Path]:
    runs = plane.runs
    choosing, reporting = runs[runs["role"] != "report"], runs[runs["role"] == "report"]
    corner, unguided = _unguided(choosing[choosing["variant"] == "none"], reporting)
    means = seed_means(choosing[choosing["variant"] != "none"], ["row", "column"], "dev")
    means = pd.concat([means.astype({"row": object, "column": object}), unguided.assign(row=plane.off)])
    means["name"] = [
        plane.names.get(square, "none") if square[1] != 0 or square[0] != plane.off else "none"
        for square in zip(means["row"], means["column"], strict=True)
    ]
    chosen = set(zip(reporting["row"], reporting["column"], strict=True))
    caption = f"Mean and standard deviation over the seeds that choose. {_FRAMED if chosen else _NONE_CHOSEN} {corner}"
    rows, columns = list(plane.rows), list(plane.columns)
    grid = np.full((len(rows), len(columns)), np.nan)
    with style.picture(
        _LINE * len(rows) + 1.0, [caption, *shortfalls(means)], heading(runs, size_text(runs))
    ) as figure:
        axes = figure.add_subplot()
        squares: list[Any] = list(means.itertuples())
        places = [(columns.index(mean.column), rows.index(mean.row)) for mean in squares]
        for (column, row), mean in zip(places, squares, strict=True):
            grid[row, column] = mean.mean
        _draw_shades(axes, grid, f"Dev {first_name(choosing, 'metric') or 'metric'} (%), {count(means)}")
        for place, mean in sorted(zip(places, squares, strict=True), key=lambda each: each[0][::-1]):
            _write_mean(axes, place, mean, is_chosen=(mean.row, mean.column) in chosen)
        axes.set_yticks(range(len(rows)), list(plane.rows.values()))
        axes.set_xticks(range(len(columns)), list(plane.columns.values()))
        axes.tick_params(length=0)
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        axes.set_ylabel(plane.row_label)
        axes.set_xlabel(plane.column_label)
        if len(columns) == 1:
            axes.set_xticks([])
        return style.save(figure, folder, stem)


def _unguided(choosing: pd.DataFrame, reporting: pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """The unguided corner: the mean at the chosen learning rate, or at the best so far, and a text that says which.

    It is the mean of runs that choose; the chosen rate is that of the runs that report.
    """
    means = seed_means(choosing, ["learning_rate"], "dev").assign(column=0.0)
    if not len(means):
        nothing = pd.DataFrame({"column": [0.0], "n": 0, "collapsed": 0, "missing": [[]], "mean": math.nan})
        return "No unguided cell: nothing to compare with.", nothing
    best_first = means.sort_values(["n", "mean", "learning_rate"], ascending=[False, False, True])
    chosen = set(reporting["learning_rate"][reporting["variant"] == "none"])
    is_chosen = best_first["learning_rate"].isin(chosen)
    corner = (best_first[is_chosen] if is_chosen.any() else best_first).head(1)
    rate = f"none: learning rate {corner['learning_rate'].iloc[0]:g}"
    if len(means) == 1:
        return f"{rate}.", corner
    how = "chosen among" if is_chosen.any() else "the best so far of"
    rates = f"{means['learning_rate'].min():g} to {means['learning_rate'].max():g}"
    return f"{rate}, {how} {len(means)} from {rates}.", corner


def _draw_shades(axes: Axes, grid: Floats, label: str) -> None:
    """The means as shades with their scale; white where nothing was to be run."""
    shades = LinearSegmentedColormap.from_list("agcli", _SHADES)
    image = axes.imshow(grid, cmap=shades, origin="lower", aspect="auto", interpolation="nearest")
    if not np.isnan(grid).all():
        bar = axes.figure.colorbar(image, ax=axes, pad=0.02, aspect=14)
        bar.outline.set_visible(False)
        bar.set_label(label, size=style.SMALL)


def _write_mean(axes: Axes, place: tuple[int, int], mean: Any, *, is_chosen: bool) -> None:
    """Mean and spread in a square (column, row), framed where it was chosen; hatched where there is no number."""
    column, row = place
    edge = {"edgecolor": style.GRID} if mean.n else {"edgecolor": variant_colour("none"), "hatch": "////"}
    axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor="none", linewidth=0.8, **edge))
    if is_chosen:
        frame = Rectangle((column - 0.46, row - 0.44), 0.92, 0.88, facecolor="none", edgecolor=style.INK, linewidth=1.8)
        axes.add_patch(frame)
    text = f"{mean.mean:.2f}\n{'1 seed' if mean.n == 1 else f'± {mean.sd:.2f}'}" if mean.n else "no figure"
    behind = None if mean.n else {"facecolor": "white", "edgecolor": "none", "pad": 1}
    axes.text(column, row, text, ha="center", va="center", weight="bold" if is_chosen else "normal", bbox=behind)
