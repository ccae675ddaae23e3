"""The dev metric over the grid of weights, on which the winner is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Rectangle

from agcli.figures import style
from agcli.figures.means import Rows, count, heading, seed_means, shortfalls, size_text
from agcli.guides.registry import GUIDES, variant_colour
from agcli.sweep.results import first_name, groups, results_of

_LINE = 0.42
"""Inches of a row of the grid: two lines of 8 pt type."""
_SHADES = ("#F3F8FC", "#56B4E9")
"""Worst to best: one hue that grows darker, on which dark type stays readable, in print too."""
_FRAMED = "Framed: each variant's winner, which other seeds report on test."
_NONE_CHOSEN = "No winner is chosen yet."


def weight_heatmap(rows: Rows, folder: Path) -> list[Path]:
    """Draw the mean dev metric over the grid of two guides' weights, or of one guide's, and frame each winner.

    One picture for every model, data set and setting in which two weights or more of a guide were tried; of more than
    two guides one for every pair, with the others off. Its corner is the unguided model.

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
        for guides, part in _pairs(runs):
            names = part["model"].iloc[0], part["dataset"].iloc[0]
            written += _draw(part, guides, folder, style.stem_of("weight_heatmap", names, written))
    return written


def _pairs(runs: pd.DataFrame) -> list[tuple[list[str], pd.DataFrame]]:
    """Two guides at a time, or the only one, with their runs, where several weights of one of them were tried."""
    used = [name for name in GUIDES if (runs[name] != 0).any()]
    pairs = []
    for guides in [list(pair) for pair in combinations(used, 2)] or [used]:
        others = [name for name in used if name not in guides]
        part = runs[(runs[others] == 0).all(axis="columns")]
        choosing = part[part["role"] != "report"]
        if any(choosing[name][choosing[name] != 0].nunique() > 1 for name in guides):
            pairs.append((guides, part))
    return pairs


def _draw(runs: pd.DataFrame, guides: Sequence[str], folder: Path, stem: str) -> list[Path]:
    runs = runs.assign(row=runs[guides[0]], column=runs[guides[1]] if len(guides) > 1 else 0.0)
    choosing, reporting = runs[runs["role"] != "report"], runs[runs["role"] == "report"]
    corner, unguided = _unguided(choosing[choosing["variant"] == "none"], reporting)
    means = seed_means(choosing[choosing["variant"] != "none"], ["row", "column"], "dev")
    means = pd.concat([means, unguided], ignore_index=True)
    means["name"] = [_name(guides, weights) for weights in zip(means["row"], means["column"], strict=True)]
    chosen = set(zip(reporting["row"], reporting["column"], strict=True))
    caption = f"Mean and standard deviation over the seeds that choose. {_FRAMED if chosen else _NONE_CHOSEN} {corner}"
    grid = means.pivot(index="row", columns="column", values="mean")
    height = _LINE * len(grid) + 1.0
    with style.picture(height, [caption, *shortfalls(means)], heading(runs, size_text(runs))) as figure:
        axes = figure.add_subplot()
        _draw_shades(axes, grid, f"Dev {first_name(choosing, 'metric') or 'metric'} (%), {count(means)}")
        rows, columns = list(grid.index), list(grid.columns)
        squares: list[Any] = list(means.sort_values(["row", "column"]).itertuples())
        for mean in squares:
            place = columns.index(mean.column), rows.index(mean.row)
            _write_mean(axes, place, mean, is_chosen=(mean.row, mean.column) in chosen)
        axes.set_yticks(range(len(rows)), [f"{weight:g}" if weight else "off" for weight in rows])
        axes.set_xticks(range(len(columns)), [f"{weight:g}" if weight else "off" for weight in columns])
        axes.tick_params(length=0)
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        axes.set_ylabel(_label(guides[0]))
        if len(guides) > 1:
            axes.set_xlabel(_label(guides[1]))
        else:
            axes.set_xticks([])
        return style.save(figure, folder, stem)


def _label(guide: str) -> str:
    return f"{GUIDES[guide].symbol}, weight of {GUIDES[guide].title}"


def _name(guides: Sequence[str], weights: tuple[float, float]) -> str:
    """`α 0.01, β 0`, or `none`."""
    if not any(weights):
        return "none"
    return ", ".join(f"{GUIDES[guide].symbol} {weight:g}" for guide, weight in zip(guides, weights, strict=False))


def _unguided(choosing: pd.DataFrame, reporting: pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """The unguided corner: the mean at the chosen learning rate, or at the best so far, and a text that says which.

    It is the mean of runs that choose; the chosen rate is that of the runs that report.
    """
    means = seed_means(choosing, ["learning_rate"], "dev").assign(row=0.0, column=0.0)
    if not len(means):
        nothing = pd.DataFrame({"row": [0.0], "column": 0.0, "n": 0, "collapsed": 0, "missing": [[]]})
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


def _draw_shades(axes: Axes, grid: pd.DataFrame, label: str) -> None:
    """The means as shades with their scale; white where nothing was to be run."""
    shades = LinearSegmentedColormap.from_list("agcli", _SHADES)
    image = axes.imshow(grid.to_numpy(), cmap=shades, origin="lower", aspect="auto", interpolation="nearest")
    if grid.notna().any(axis=None):
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
