"""The dev metric over the grid of weights, on which the winner is chosen."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agcli.figures import style
from agcli.figures.cells import Cell, Mean, Row, count, mean_of, metric_of, read_cells, shortfalls

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HEADING = 100
"""Most characters of what is said above a picture."""
_LINE = 0.42
"""Inches of a row of the grid: two lines of 8 pt type."""
_SHADES = ("#F3F8FC", "#56B4E9")
"""Worst to best: one hue that grows darker, on which dark type stays readable, in print too."""

Weights = tuple[float, float]
"""Of MDG (α) and of PDG (β); 0 is off."""
_OFF = (0.0, 0.0)


@dataclass(frozen=True)
class _Grid:
    """What one picture shows.

    Attributes:
        heading: said above it.
        metric: the primary metric.
        means: weights -> dev mean; the unguided corner is that of one learning rate.
        corner: how that came about.
        chosen: weights that the sweep took to the test set, one pair a variant; empty before it has.
    """

    heading: str
    metric: str
    means: dict[Weights, Mean]
    corner: str
    chosen: frozenset[Weights]


def weight_heatmap(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Draw the mean dev metric over the α × β grid, unguided corner included, and frame each variant's winner.

    One picture for every model, data set and setting in which two weights or more of a guide were tried.

    Args:
        rows: a sweep's saved rows. Means are over the seeds that choose; those that report tell what was chosen.
        folder: where `weight_heatmap_MODEL_DATASET.png` and `.svg` go; numbered where settings make several.

    Returns:
        The files written.

    Raises:
        DataError: rows that differ in more than what the picture tells apart.
        RunError: the disk refuses.
    """
    groups: dict[tuple[str, ...], list[Cell]] = {}
    for cell in read_cells(rows):
        groups.setdefault((cell.model, cell.dataset, *cell.setting, cell.size_text), []).append(cell)
    written: list[Path] = []
    stems: list[str] = []
    for cells in groups.values():
        grid = _grid(cells)
        if max(len(_tried(grid.means, guide)) for guide in (0, 1)) > 1:
            stems.append(style.stem_of("weight_heatmap", (cells[0].model, cells[0].dataset), stems))
            written += _draw(grid, folder, stems[-1])
    return written


def _grid(cells: Sequence[Cell]) -> _Grid:
    first = cells[0]
    said = [f"{first.model} on {first.dataset}", f"training size {first.size_text}", *first.setting]
    choosing = [cell for cell in cells if cell.role != "report"]
    guided: dict[Weights, list[Cell]] = {}
    unguided: dict[float, list[Cell]] = {}
    for cell in choosing:
        if cell.guided:
            guided.setdefault((cell.mdg, cell.pdg), []).append(cell)
        else:
            unguided.setdefault(cell.learning_rate, []).append(cell)
    means = {weights: mean_of(tried, "dev") for weights, tried in guided.items()}
    taken = [cell for cell in cells if cell.role == "report"]
    rate = next((cell.learning_rate for cell in taken if not cell.guided), None)
    corner, means[_OFF] = _unguided(unguided, rate)
    return _Grid(
        heading=style.plain(", ".join(said), _HEADING),
        metric=metric_of(choosing),
        means=means,
        corner=corner,
        chosen=frozenset((cell.mdg, cell.pdg) for cell in taken),
    )


def _unguided(cells: Mapping[float, Sequence[Cell]], taken: float | None) -> tuple[str, Mean]:
    """The unguided corner and how it came about.

    Args:
        cells: learning rate -> cells.
        taken: the learning rate that was chosen; before that the best so far counts.
    """
    if not cells:
        return "No unguided cell: nothing to compare with.", mean_of((), "dev")
    means = {rate: mean_of(cells[rate], "dev") for rate in sorted(cells)}
    rate = taken if taken in means else max(means, key=lambda rate: (means[rate].n, means[rate].value or 0.0))
    if len(means) == 1:
        return f"none: learning rate {rate:g}.", means[rate]
    how = "chosen among" if rate == taken else "the best so far of"
    return f"none: learning rate {rate:g}, {how} {len(means)} from {min(means):g} to {max(means):g}.", means[rate]


def _tried(means: Iterable[Weights], guide: int) -> list[float]:
    return sorted({weights[guide] for weights in means} - {0.0})


def _draw(grid: _Grid, folder: Path, stem: str) -> list[Path]:
    alphas, betas = [0.0, *_tried(grid.means, 0)], [0.0, *_tried(grid.means, 1)]
    names = {weights: f"α {weights[0]:g}, β {weights[1]:g}" for weights in grid.means} | {_OFF: "none"}
    caption = [
        "Mean and standard deviation over the seeds that choose.",
        "Framed: each variant's winner, which other seeds report on test."
        if grid.chosen
        else "No winner is chosen yet.",
        grid.corner,
    ]
    lacking = shortfalls({names[weights]: mean for weights, mean in grid.means.items()})
    with style.house_style():
        figure = style.new_figure(_LINE * len(alphas) + 1.0, [" ".join(caption), *lacking])
        figure.suptitle(grid.heading, x=style.LEFT, ha="left", weight="bold", size=style.NORMAL)
        axes = figure.add_subplot()
        _draw_shades(axes, grid, alphas, betas)
        for row, alpha in enumerate(alphas):
            for column, beta in enumerate(betas):
                if (alpha, beta) in grid.means:
                    chosen = (alpha, beta) in grid.chosen
                    _write_mean(axes, (column, row), grid.means[alpha, beta], chosen=chosen)
        axes.set_xticks(range(len(betas)), [f"{beta:g}" if beta else "off" for beta in betas])
        axes.set_yticks(range(len(alphas)), [f"{alpha:g}" if alpha else "off" for alpha in alphas])
        axes.tick_params(length=0)
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        axes.set_xlabel("β, weight of PDG")
        axes.set_ylabel("α, weight of MDG")
        return style.save(figure, folder, stem)


def _draw_shades(axes: Axes, grid: _Grid, alphas: Sequence[float], betas: Sequence[float]) -> None:
    """The means as shades with their scale; hatched where there is none, white where nothing was to be run."""
    from matplotlib.colors import LinearSegmentedColormap

    means = [[grid.means.get((alpha, beta)) for beta in betas] for alpha in alphas]
    values = [[math.nan if mean is None or mean.value is None else mean.value for mean in row] for row in means]
    shades = LinearSegmentedColormap.from_list("agcli", _SHADES)
    image = axes.imshow(values, cmap=shades, origin="lower", aspect="auto", interpolation="nearest")
    if any(mean.n for mean in grid.means.values()):
        bar = axes.figure.colorbar(image, ax=axes, pad=0.02, aspect=14)
        bar.outline.set_visible(False)
        bar.set_label(f"Dev {grid.metric} (%), {count(grid.means.values())}", size=style.SMALL)


def _write_mean(axes: Axes, place: tuple[int, int], mean: Mean, *, chosen: bool) -> None:
    """Mean and spread in a square, framed where it was chosen; hatched where there is no figure."""
    from matplotlib.patches import Rectangle

    column, row = place
    look: dict[str, Any] = {"facecolor": "none", "linewidth": 0.8}
    edge: dict[str, Any] = (
        {"edgecolor": style.GRID} if mean.n else {"edgecolor": style.COLOURS["none"], "hatch": "////"}
    )
    axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, **look, **edge))
    if chosen:
        look |= {"edgecolor": style.INK, "linewidth": 1.8}
        axes.add_patch(Rectangle((column - 0.46, row - 0.44), 0.92, 0.88, **look))
    spread = "1 seed" if mean.sd is None else f"± {mean.sd:.2f}"
    said = "no figure" if mean.value is None else f"{mean.value:.2f}\n{spread}"
    behind = None if mean.n else {"facecolor": "white", "edgecolor": "none", "pad": 1}
    axes.text(column, row, said, ha="center", va="center", weight="bold" if chosen else "normal", bbox=behind)
