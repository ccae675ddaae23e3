"""The dev metric over the grid of weights, on which the winner is chosen."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Rectangle

from agcli.figures import style
from agcli.figures.means import Row, SeedMean, count, heading, metric_of, read_runs, seed_mean, shortfalls, size_text
from agcli.guides.registry import GUIDES, guide_columns, variant_colour

_LINE = 0.42
"""Inches of a row of the grid: two lines of 8 pt type."""
_SHADES = ("#F3F8FC", "#56B4E9")
"""Worst to best: one hue that grows darker, on which dark type stays readable, in print too."""
_FRAMED = "Framed: each variant's winner, which other seeds report on test."
_NONE_CHOSEN = "No winner is chosen yet."

Weights = tuple[float, float]
"""Of the guides on the vertical and on the horizontal axis; 0 is off."""
_OFF = (0.0, 0.0)


def weight_heatmap(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Draw the mean dev metric over the grid of two guides' weights, or of one guide's, and frame each winner.

    One picture for every model, data set and setting in which two weights or more of a guide were tried; of more than
    two guides one for every pair, with the others off. Its corner is the unguided model.

    Args:
        rows: a sweep's saved rows. Means are over the seeds that choose; those that report name what was chosen.
        folder: where `weight_heatmap_MODEL_DATASET.png`, `.svg` and `.pdf` go; numbered where settings make several.

    Returns:
        The files written.

    Raises:
        DataError: rows that differ in more than what the picture tells apart.
        RunError: the disk refuses.
    """
    if not rows:
        return []
    written: list[Path] = []
    stems: list[str] = []
    for _, runs in read_runs(rows).groupby(["model", "dataset", "size", "setting"], sort=False):
        for guides, part in _pairs(runs):
            stems.append(style.stem_of("weight_heatmap", (part["model"].iloc[0], part["dataset"].iloc[0]), stems))
            written += _draw(part, guides, folder, stems[-1])
    return written


def _pairs(runs: pd.DataFrame) -> list[tuple[list[str], pd.DataFrame]]:
    """Two guides at a time, or the only one, with their runs, where several weights of one of them were tried."""
    used = [name for name in guide_columns(map(str, runs)) if (runs[name] != 0).any()]
    pairs = []
    for guides in [list(pair) for pair in combinations(used, 2)] or [used]:
        others = [name for name in used if name not in guides]
        part = runs[(runs[others] == 0).all(axis="columns")]
        choosing = part[part["role"] != "report"]
        if any(len(_tried(choosing[name])) > 2 for name in guides):
            pairs.append((guides, part))
    return pairs


def _tried(weights: Iterable[float]) -> list[float]:
    """The weights that were tried, in order, and 0 before them."""
    return sorted({0.0, *weights})


def _draw(runs: pd.DataFrame, guides: Sequence[str], folder: Path, stem: str) -> list[Path]:
    runs = runs.assign(row=runs[guides[0]], column=runs[guides[1]] if len(guides) > 1 else 0.0)
    reporting = runs[runs["role"] == "report"]
    choosing = runs[runs["role"] != "report"]
    corner, unguided = _unguided(choosing[choosing["variant"] == "none"], reporting)
    means = _by_weights(choosing[choosing["variant"] != "none"]) | {_OFF: unguided}
    chosen = set(zip(reporting["row"], reporting["column"], strict=True))
    framed = (
        "Framed: each variant's winner, which other seeds report on test." if chosen else "No winner is chosen yet."
    )
    caption = " ".join(["Mean and standard deviation over the seeds that choose.", framed, corner])
    lacking = shortfalls({_name(guides, weights): mean for weights, mean in means.items()})
    rows, columns = (_tried(weights[place] for weights in means) for place in (0, 1))
    with style.picture(_LINE * len(rows) + 1.0, [caption, *lacking], heading(runs, size_text(runs))) as figure:
        axes = figure.add_subplot()
        grid = [[means.get((row, column)) for column in columns] for row in rows]
        _draw_shades(axes, grid, f"Dev {metric_of(choosing)} (%), {count(means.values())}")
        for weights in sorted(means):
            place = columns.index(weights[1]), rows.index(weights[0])
            _write_mean(axes, place, means[weights], is_chosen=weights in chosen)
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


def _by_weights(runs: pd.DataFrame) -> dict[Weights, SeedMean]:
    means = {}
    for _, part in runs.groupby(["row", "column"], sort=False):
        means[float(part["row"].iloc[0]), float(part["column"].iloc[0])] = seed_mean(part, "dev")
    return means


def _label(guide: str) -> str:
    return f"{GUIDES[guide].symbol}, weight of {GUIDES[guide].title}"


def _name(guides: Sequence[str], weights: Weights) -> str:
    """`α 0.01, β 0`, or `none`."""
    if weights == _OFF:
        return "none"
    return ", ".join(f"{GUIDES[guide].symbol} {weight:g}" for guide, weight in zip(guides, weights, strict=False))


def _unguided(choosing: pd.DataFrame, reporting: pd.DataFrame) -> tuple[str, SeedMean]:
    """The unguided corner and how it came about: at the learning rate that was chosen, before that at the best so far.

    Args:
        choosing: the unguided runs that choose.
        reporting: all runs that report.
    """
    means = {float(str(rate)): seed_mean(part, "dev") for rate, part in choosing.groupby("learning_rate")}
    if not means:
        return "No unguided cell: nothing to compare with.", seed_mean(choosing, "dev")
    chosen = list(reporting["learning_rate"][reporting["variant"] == "none"])[:1]
    best = max(means, key=lambda rate: (means[rate].n, means[rate].value or 0.0))
    rate = chosen[0] if chosen and chosen[0] in means else best
    if len(means) == 1:
        return f"none: learning rate {rate:g}.", means[rate]
    how = "chosen among" if [rate] == chosen else "the best so far of"
    return f"none: learning rate {rate:g}, {how} {len(means)} from {min(means):g} to {max(means):g}.", means[rate]


def _draw_shades(axes: Axes, grid: Sequence[Sequence[SeedMean | None]], label: str) -> None:
    """The means as shades with their scale; white where nothing was to be run."""
    values = [[math.nan if mean is None or mean.value is None else mean.value for mean in row] for row in grid]
    shades = LinearSegmentedColormap.from_list("agcli", _SHADES)
    image = axes.imshow(values, cmap=shades, origin="lower", aspect="auto", interpolation="nearest")
    if not all(math.isnan(value) for row in values for value in row):
        bar = axes.figure.colorbar(image, ax=axes, pad=0.02, aspect=14)
        bar.outline.set_visible(False)
        bar.set_label(label, size=style.SMALL)


def _write_mean(axes: Axes, place: tuple[int, int], mean: SeedMean, *, is_chosen: bool) -> None:
    """Mean and spread in a square (column, row), framed where it was chosen; hatched where there is no number."""
    column, row = place
    edge = {"edgecolor": style.GRID} if mean.n else {"edgecolor": variant_colour("none"), "hatch": "////"}
    axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor="none", linewidth=0.8, **edge))
    if is_chosen:
        frame = Rectangle((column - 0.46, row - 0.44), 0.92, 0.88, facecolor="none", edgecolor=style.INK, linewidth=1.8)
        axes.add_patch(frame)
    spread = "1 seed" if mean.sd is None else f"± {mean.sd:.2f}"
    text = "no figure" if mean.value is None else f"{mean.value:.2f}\n{spread}"
    behind = None if mean.n else {"facecolor": "white", "edgecolor": "none", "pad": 1}
    axes.text(column, row, text, ha="center", va="center", weight="bold" if is_chosen else "normal", bbox=behind)
