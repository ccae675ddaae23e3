"""A metric against the guided layer, and against the size of the training set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import fmean

from agcli.figures import style
from agcli.figures.cells import Cell, Row, baseline_name, mean_of, metric_of, read_cells, weights_of
from agcli.figures.panels import ALL, Curves, Line, draw
from agcli.figures.printed import PaperPoints

LOG_FROM = 8.0
"""Largest over smallest number of training examples from which on their axis is logarithmic."""
_APART = 1.5
"""Layers between the last one and the place of `all`."""


def layer_curve(rows: Sequence[Row], folder: Path, paper: PaperPoints | None = None) -> list[Path]:
    """Draw the test metric against the guided layer, the unguided mean and the chance line across (paper's Figure 3).

    One picture for every model, data set and setting in which two layers or more were guided one at a time; a variant
    that was also guided in all layers has that as a point apart.

    Args:
        rows: a sweep's saved rows; a layer without a figure leaves a gap with a cross below and the reason under the
            picture.
        folder: where `layer_curve_MODEL_DATASET.png` and `.svg` go; numbered where settings make several.
        paper: numbers of a paper, drawn where the picture is of the same model and data, else said under it.

    Returns:
        The files written.

    Raises:
        DataError: rows that differ in more than what the picture tells apart.
        RunError: the disk refuses.
    """
    groups = _grouped(read_cells(rows), lambda cell: (cell.model, cell.dataset, *cell.setting, cell.size_text))
    return _draw_all("layer_curve", [_layers(cells, paper) for cells in groups], folder)


def size_curve(rows: Sequence[Row], folder: Path, paper: PaperPoints | None = None) -> list[Path]:
    """Draw the test metric against the number of training examples, guided beside unguided and the chance line.

    The paper's Figure 6.

    One picture for every model, data set, setting and choice of guided layers with two sizes or more.

    Args:
        rows: a sweep's saved rows; a size without a figure is shown as a layer is in `layer_curve`.
        folder: where `size_curve_MODEL_DATASET.png` and `.svg` go; numbered where settings make several.
        paper: likewise.

    Returns:
        The files written.

    Raises:
        DataError: rows that differ in more than what the picture tells apart.
        RunError: the disk refuses.
    """
    found: list[list[Cell]] = []
    for cells in _grouped(
        read_cells(rows), lambda cell: (cell.model, cell.dataset, *cell.setting, str(cell.sized_by_share))
    ):
        unguided = [cell for cell in cells if not cell.guided]
        guided = _grouped((cell for cell in cells if cell.guided), lambda cell: (cell.layers,))
        found += [[*each, *unguided] for each in guided] or [unguided]
    return _draw_all("size_curve", [_sizes(cells, paper) for cells in found], folder)


def _grouped(cells: Iterable[Cell], key: Callable[[Cell], tuple[str, ...]]) -> list[list[Cell]]:
    """Cells of one picture together, in their order; those that only pick a winner are left out."""
    groups: dict[tuple[str, ...], list[Cell]] = {}
    for cell in cells:
        if cell.role != "select":
            groups.setdefault(key(cell), []).append(cell)
    return list(groups.values())


def _layers(cells: Sequence[Cell], paper: PaperPoints | None) -> Curves | None:
    """Curves over layers; None where fewer than two were guided on their own."""
    guided = [cell for cell in cells if cell.guided and (cell.layers.isdecimal() or cell.layers == ALL)]
    layers = sorted({int(cell.layers) for cell in guided if cell.layers != ALL})
    if len(layers) < 2:
        return None
    ticks = {float(layer): str(layer) for layer in layers}
    if any(cell.layers == ALL for cell in guided):
        ticks[layers[-1] + _APART] = ALL
    place = {label: where for where, label in ticks.items()}
    unguided = mean_of((cell for cell in cells if not cell.guided), "test")
    return Curves(
        first=guided[0],
        metric=metric_of(cells),
        axis="Guided layer (0 = first)",
        ticks=ticks,
        log=False,
        banded=False,
        baseline={min(ticks) - 0.5: unguided, max(ticks) + 0.5: unguided} if unguided.n or unguided.lost else {},
        lines=_lines(guided, lambda cell: place[cell.layers]),
        weights=weights_of(guided),
        where="layer",
        chance={place: value for value in _chance(cells) for place in (min(ticks) - 0.5, max(ticks) + 0.5)},
        chance_name=baseline_name(cells),
        paper=paper.placed(guided[0], place) if paper else {},
        paper_said=paper.said(guided[0], "layer {}".format) if paper else "",
    )


def _sizes(cells: Sequence[Cell], paper: PaperPoints | None) -> Curves | None:
    """Curves over training sizes; None where there is only one."""
    sizes = sorted({cell.size for cell in cells})
    if len(sizes) < 2:
        return None
    first, guided = cells[0], [cell for cell in cells if cell.guided]
    scale, unit = (100.0, "% of the training set") if first.sized_by_share else (1.0, "examples")
    places = {f"{size:g}": size * scale for size in sizes}
    log = not first.sized_by_share and sizes[-1] >= LOG_FROM * sizes[0]
    unguided = _lines((cell for cell in cells if not cell.guided), lambda cell: cell.size * scale)
    return Curves(
        first=first,
        metric=metric_of(cells),
        axis=f"Training size ({unit}{', log scale' if log else ''})",
        ticks={size * scale: f"{size * scale:,.10g}" for size in sizes},
        log=log,
        banded=True,
        baseline=unguided.get("none", {}),
        lines=_lines(guided, lambda cell: cell.size * scale),
        weights=weights_of(guided),
        where="size",
        chance={
            size * scale: value for size in sizes for value in _chance(cell for cell in cells if cell.size == size)
        },
        chance_name=baseline_name(cells),
        paper=paper.placed(first, places) if paper else {},
        paper_said=paper.said(first, lambda share: f"{100 * float(share):g} %") if paper else "",
    )


def _chance(cells: Iterable[Cell]) -> list[float]:
    """What costs no training, in percent, as a mean over cells; nothing where no cell knows it."""
    known = [100 * cell.baseline_test for cell in cells if cell.baseline_test is not None]
    return [fmean(known)] if known else []


def _lines(cells: Iterable[Cell], place: Callable[[Cell], float]) -> dict[str, Line]:
    """Variant -> its means by place, in the cells' order."""
    found: dict[str, dict[float, list[Cell]]] = {}
    for cell in cells:
        found.setdefault(cell.variant, {}).setdefault(place(cell), []).append(cell)
    return {variant: {where: mean_of(line[where], "test") for where in sorted(line)} for variant, line in found.items()}


def _draw_all(kind: str, pictures: Iterable[Curves | None], folder: Path) -> list[Path]:
    written: list[Path] = []
    stems: list[str] = []
    for curves in pictures:
        if curves is not None:
            stems.append(style.stem_of(kind, (curves.first.model, curves.first.dataset), stems))
            written += draw(curves, folder, stems[-1])
    return written
