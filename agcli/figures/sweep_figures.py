"""All pictures of a sweep's report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from agcli.figures.curves import layer_curve, size_curve
from agcli.figures.forest import forest
from agcli.figures.paper_points import PaperPoints
from agcli.figures.weight_heatmap import weight_heatmap


def sweep_figures(
    folder: Path,
    results: pd.DataFrame,
    contrasts: Sequence[Mapping[str, Any]],
    layer_points: PaperPoints | None = None,
    size_points: PaperPoints | None = None,
) -> list[Path]:
    """Draw the pictures that a sweep's axes call for.

    Results and contrasts are the rows of `results.csv` and `contrasts.csv`; the points are the paper's, if it has such
    a figure.

    Raises:
        DataError: results that differ in more than what a picture tells apart.
        RunError: the disk refuses.
    """
    drawn = forest(contrasts, folder)
    drawn += layer_curve(results, folder, layer_points)
    drawn += size_curve(results, folder, size_points)
    if (results["role"] == "select").any():
        drawn += weight_heatmap(results, folder)
    return drawn
