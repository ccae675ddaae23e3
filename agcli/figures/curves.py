"""A metric against the guided layer, and against the size of the training set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from agcli.figures import style
from agcli.figures.means import Rows
from agcli.figures.panels import PanelAxis, draw_panels
from agcli.figures.paper_points import ALL, PaperPoints
from agcli.sweep.results import axes, groups, reported, results_of

LOG_FROM = 8.0
"""Largest over smallest number of training examples from which on their axis is logarithmic."""
_APART = 1.5
"""Distance of `all` from the last layer, in layers."""


def layer_curve(rows: Rows, folder: Path, paper: PaperPoints | None = None) -> list[Path]:
    """Draw the test metric against the guided layer, the unguided mean and the chance line across (paper's Figure 3).

    One picture for every model, data set and setting in which two layers or more were guided one at a time; a variant
    that was also guided in all layers has that as a point apart.

    Args:
        rows: of a sweep; a layer without a number leaves a gap with a cross below and the reason under the picture.
        folder: for `layer_curve_MODEL_DATASET.png`, `.svg` and `.pdf`; numbered where settings make several.
        paper: numbers of a paper, drawn where the picture is of the same model and data, else in words under it.

    Raises:
        DataError: rows of one point differ in more than their seed.
        RunError: the disk refuses.
    """
    if not len(rows):
        return []
    pictures = []
    for runs in groups(reported(results_of(rows))):
        unguided = runs[runs["variant"] == "none"]
        guided = runs[(runs["variant"] != "none") & (runs["layers"].str.isdecimal() | (runs["layers"] == ALL))]
        layers = sorted(int(label) for label in set(guided["layers"]) - {ALL})
        if len(layers) > 1:
            ticks = {float(layer): str(layer) for layer in layers}
            if (guided["layers"] == ALL).any():
                ticks[layers[-1] + _APART] = ALL
            place_of = {label: place for place, label in ticks.items()}
            axis = PanelAxis("layer", "Guided layer (0 = first)", ticks, place_of, (min(ticks) - 0.5, max(ticks) + 0.5))
            placed = [guided.assign(place=guided["layers"].map(place_of))]
            pictures.append((pd.concat([*placed, *(unguided.assign(place=end) for end in axis.ends)]), axis))
    return _draw_all("layer_curve", pictures, folder, paper)


def size_curve(rows: Rows, folder: Path, paper: PaperPoints | None = None) -> list[Path]:
    """Draw the test metric against the number of training examples, guided beside unguided and the chance line.

    The paper's Figure 6. One picture for every model, data set, setting and choice of guided layers with two sizes or
    more, `size_curve_MODEL_DATASET` in the folder. Rows and the paper's numbers are as in `layer_curve`.

    Raises:
        DataError: as `layer_curve`.
        RunError: the disk refuses.
    """
    if not len(rows):
        return []
    pictures = []
    table = reported(results_of(rows))
    table = table.assign(size=table["size"].astype(float))
    keys = ["model", "dataset", *axes(table), table["size"] <= 1]
    for _, group in table.groupby(keys, sort=False):
        scale = 100.0 if group["size"].iloc[0] <= 1 else 1.0
        group = group.assign(place=group["size"] * scale)
        unguided = group[group["variant"] == "none"]
        by_layers = group[group["variant"] != "none"].groupby("layers", sort=False)
        for runs in [pd.concat([guided, unguided]) for _, guided in by_layers] or [unguided]:
            if runs["size"].nunique() > 1:
                pictures.append((runs, _size_axis(sorted(set(runs["size"])), scale)))
    return _draw_all("size_curve", pictures, folder, paper)


def _size_axis(sizes: Sequence[float], scale: float) -> PanelAxis:
    """Sizes in percent of the training set where `scale` is 100, else in examples."""
    unit = "examples" if scale == 1 else "% of the training set"
    is_log = scale == 1 and sizes[-1] >= LOG_FROM * sizes[0]
    label = f"Training size ({unit}{', log scale' if is_log else ''})"
    ticks = {size * scale: f"{size * scale:,.10g}" for size in sizes}
    return PanelAxis("size", label, ticks, {f"{size:g}": size * scale for size in sizes}, is_log=is_log)


def _draw_all(
    kind: str, pictures: Sequence[tuple[pd.DataFrame, PanelAxis]], folder: Path, paper: PaperPoints | None
) -> list[Path]:
    written: list[Path] = []
    for runs, axis in pictures:
        stem = style.stem_of(kind, (runs["model"].iloc[0], runs["dataset"].iloc[0]), written)
        written += draw_panels(runs, axis, paper, folder, stem)
    return written
