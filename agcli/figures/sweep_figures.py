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
from agcli.paper.encoders import short_name
from agcli.paper.published import published_table


def sweep_figures(
    folder: Path, results: pd.DataFrame, contrasts: Sequence[Mapping[str, Any]], recipe: str
) -> list[Path]:
    """Draw the pictures that a sweep's axes call for; of a figure's recipe with the paper's numbers.

    Results and contrasts are the rows of `results.csv` and `contrasts.csv`; `recipe` is empty for a sweep without one.

    Raises:
        DataError: results that differ in more than what a picture tells apart.
        RunError: the disk refuses.
    """
    drawn = forest(contrasts, folder)
    drawn += layer_curve(results, folder, _paper_points(recipe, results) if recipe == "figure3" else None)
    drawn += size_curve(results, folder, _paper_points(recipe, results) if recipe == "figure6" else None)
    if (results["role"] == "select").any():
        drawn += weight_heatmap(results, folder)
    return drawn


def _paper_points(recipe: str, results: pd.DataFrame) -> PaperPoints:
    """What the paper prints of a figure, and which models and data of ours are the paper's."""
    published = published_table(recipe)
    where = published.groups[0].where
    models = frozenset(model for model in results["model"].unique() if short_name(model) == where["model"])
    datasets = frozenset(name for name in results["dataset"].unique() if Path(name).name == where["dataset"])
    return PaperPoints(published.subject, models, datasets, published.points())
