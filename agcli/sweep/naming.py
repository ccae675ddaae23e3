"""Cells and times in words, for logs and plans."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agcli.sweep.grid import Cell

_SIZES = ("train_limit", "train_fraction")
_WORDS = {"train_limit": "size", "train_fraction": "size", "guide_layers": "layer"}
_WEIGHTS = ("mdg", "pdg")


def varied_options(cells: Sequence[Cell]) -> tuple[str, ...]:
    """The options that tell cells apart beside variant and seed; sizes always, the presence of a guide never."""
    names = dict.fromkeys(name for cell in cells for name in cell.options if name != "seed")
    return tuple(name for name in names if name in _SIZES or len(_values(cells, name)) > 1)


def _values(cells: Sequence[Cell], name: str) -> set[Any]:
    """The values of an option; of a weight those above 0, of a guided layer those of guided cells."""
    found = {cell.options.get(name) for cell in cells if name != "guide_layers" or cell.variant != "none"}
    return found - {0.0} if name in _WEIGHTS else found


def cell_name(cell: Cell, varied: Sequence[str]) -> str:
    """`both, size 300, seed 1`.

    Args:
        cell: the cell.
        varied: the options to name, as `varied_options` gives them.
    """
    named = [name for name in varied if name in cell.options and (name not in _WEIGHTS or cell.options[name])]
    choices = [f"{_WORDS.get(name, name)} {_text(name, cell.options[name])}" for name in named]
    return ", ".join([cell.variant, *choices, f"seed {cell.options['seed']}"])


def _text(name: str, value: Any) -> str:
    if name == "train_fraction":
        return f"{100 * value:g} %"
    return Path(str(value)).name if name in ("model", "dataset") else str(value)


def duration(seconds: float) -> str:
    """`40 s`, `12 min` or `3.5 h`; `unknown` where nothing was measured."""
    if math.isnan(seconds):
        return "unknown"
    if seconds < 90:
        return f"{math.ceil(seconds)} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
