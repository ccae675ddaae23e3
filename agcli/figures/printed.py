"""What a paper prints of an experiment, beside the means of ours: stars, and a dotted line for the unguided model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agcli.figures import style
from agcli.figures.cells import Cell

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Points = Mapping[str, Mapping[float, float]]
"""Variant -> place on the horizontal axis -> percent."""
_STAR, _SIZE = "*", 10.0
ACROSS = -1.0
"""Place of what holds for all places."""


@dataclass(frozen=True)
class PaperPoints:
    """Numbers that a paper prints of one model on one data set.

    Attributes:
        of: what they are of, in words: `BERT on MedNLI`.
        models: how that model is spelt in the rows; empty where the rows have another one.
        datasets: how that data set is.
        numbers: (variant, layer or share, percent).
    """

    of: str
    models: frozenset[str]
    datasets: frozenset[str]
    numbers: tuple[tuple[str, str, float], ...]

    def placed(self, cell: Cell, places: Mapping[str, float]) -> dict[str, dict[float, float]]:
        """Where they stand in the picture of a cell: nowhere, if it is of another model or other data.

        Args:
            cell: any of the picture.
            places: layer or size -> place on the axis; what the picture has no place for is left to the words.
        """
        found: dict[str, dict[float, float]] = {}
        for variant, where, number in self.numbers if self._is_of(cell) else ():
            if variant == "none" and where == "all":
                found.setdefault(variant, {})[ACROSS] = number
            elif where in places:
                found.setdefault(variant, {})[places[where]] = number
        return found

    def said(self, cell: Cell, place: Callable[[str], str]) -> str:
        """All of them in words, and whether they can be compared with the picture of a cell.

        Args:
            cell: any of the picture.
            place: how a layer or share reads.
        """
        told: dict[str, list[str]] = {}
        for variant, where, number in self.numbers:
            at = "" if where == "all" else f" at {place(where)}"
            told.setdefault(variant, []).append(f"{number:.2f}{at}")
        words = "; ".join(f"{variant} {', '.join(each)}" for variant, each in told.items())
        drawn = self._is_of(cell)
        return f"{'Paper' if drawn else f'Not drawn, the paper has another model or data ({self.of})'}: {words}."

    def _is_of(self, cell: Cell) -> bool:
        return cell.model in self.models and cell.dataset in self.datasets


def draw_points(axes: Axes, variant: str, points: Points, across: Sequence[float] | None) -> None:
    """Draw a variant's printed numbers, and the unguided ones.

    Args:
        axes: the variant's panel.
        variant: which.
        points: of all variants; none, and nothing is drawn.
        across: the places that the unguided line spans; None where it has points.
    """
    if not points:
        return
    kind: dict[str, Any] = {
        "linestyle": "none",
        "marker": _STAR,
        "markersize": _SIZE,
        "markeredgewidth": 0.8,
        "zorder": 4.0,
    }
    none = points.get("none", {})
    if across is not None and ACROSS in none:
        ends = [min(across) - 0.5, max(across) + 0.5]
        axes.plot(
            ends, [none[ACROSS]] * 2, color=style.INK, linestyle=(0, (1, 1.5)), linewidth=1.1, label="paper: none"
        )
    elif none:
        axes.plot(list(none), list(none.values()), **kind, mfc="white", mec=style.QUIET, label="paper: none")
    guided = points.get(variant, {})  # an empty line has its place in the legend, which is that of the first panel
    colour = style.colour_of(variant, [variant])
    axes.plot(list(guided), list(guided.values()), **kind, mfc=colour, mec=style.INK, label="paper: guided")
