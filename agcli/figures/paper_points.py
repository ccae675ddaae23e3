"""Printed numbers of a paper beside our means: stars, and a dotted line for the unguided model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from agcli.figures import style

ALL = "all"
"""Layers of a model that is guided in all of them, or not at all."""
Points = Mapping[str, Mapping[float, float]]
"""Variant -> place on the horizontal axis -> percent."""


@dataclass(frozen=True)
class PaperPoints:
    """Numbers that a paper prints of one model on one data set.

    Attributes:
        of: model and data in words: `BERT on MedNLI`.
        models: names of that model in the results; empty where they have another one.
        datasets: names of that data set.
        numbers: (variant, layer or share, percent).
    """

    of: str
    models: frozenset[str]
    datasets: frozenset[str]
    numbers: tuple[tuple[str, str, float], ...]

    def match(self, runs: pd.DataFrame) -> bool:
        """Whether a picture of these runs is of the paper's model and data."""
        return runs["model"].iloc[0] in self.models and runs["dataset"].iloc[0] in self.datasets

    def words(self, runs: pd.DataFrame, place: Callable[[str], str]) -> str:
        """All numbers as a sentence, and whether a picture of these runs has them; `place` words a layer or share."""
        texts: dict[str, list[str]] = {}
        for variant, where, number in self.numbers:
            at = "" if where == ALL else f" at {place(where)}"
            texts.setdefault(variant, []).append(f"{number:.2f}{at}")
        sentence = "; ".join(f"{variant} {', '.join(numbers)}" for variant, numbers in texts.items())
        other = f"Not drawn, the paper has another model or data ({self.of})"
        return f"{'Paper' if self.match(runs) else other}: {sentence}."

    def placed(self, places: Mapping[str, float], ends: Sequence[float]) -> Points:
        """Where the numbers stand in a picture; others are in the words only.

        Args:
            places: layer or share -> place on the horizontal axis.
            ends: of the line that the unguided model is; empty where it has places.
        """
        points: dict[str, dict[float, float]] = {}
        for variant, where, number in self.numbers:
            if variant == "none" and ends:
                points[variant] = dict.fromkeys(ends, number)
            elif where in places:
                points.setdefault(variant, {})[places[where]] = number
        return points


def draw_points(axes: Axes, variant: str, colour: str, points: Points, *, unguided_is_line: bool) -> None:
    """Draw a variant's printed numbers into its panel, and the unguided ones; without any nothing is drawn."""
    if not points:
        return
    look: dict[str, Any] = {"ls": "none", "marker": "*", "markersize": 10.0, "markeredgewidth": 0.8, "zorder": 4.0}
    unguided = points.get("none", {})
    if unguided and unguided_is_line:
        dots: dict[str, Any] = {"linestyle": (0, (1, 1.5)), "linewidth": 1.1}
        axes.plot(list(unguided), list(unguided.values()), color=style.INK, label="paper: none", **dots)
    elif unguided:
        white: dict[str, Any] = {"mfc": "white", "mec": style.QUIET, "label": "paper: none"}
        axes.plot(list(unguided), list(unguided.values()), **look, **white)
    guided = points.get(variant, {})  # an empty line has its place in the legend, which is that of the first panel
    axes.plot(list(guided), list(guided.values()), **look, mfc=colour, mec=style.INK, label="paper: guided")
