"""The run options behind the recipes: those of the paper's section 3.3, and those of the small scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agcli.paper import tables

SMALL_MODEL = "minilm"
SMALL_EXAMPLES = 2000
SMALL_EPOCHS = 2
SMALL_BATCH = 32
SMALL_LENGTH = 128
SMALL_OPTIONS: Mapping[str, Any] = {"epochs": SMALL_EPOCHS, "max_length": SMALL_LENGTH, "batch_size": SMALL_BATCH}
SEARCHED = ("table1", "table2", "table3", "figure6")
"""What the paper searched weights for; the small scale searches none."""
FIXED = ((0.01,), (0.001,))
"""α and β where none are searched: the defaults of a run, at which guiding is a few per cent of the gradient."""


def weights_tried(name: str, scale: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """α and β that a recipe tries: the paper's grid, or one of each."""
    grid = tuple(map(float, tables()["hyperparameters"]["grid"]))
    return (grid, grid) if scale == "full" and name in SEARCHED else FIXED


def paper_options(batch_size: str) -> dict[str, Any]:
    """Options of section 3.3.

    Rate and batch size are spelt out although `recipe=paper` implies them: a search spaces rates around the former.

    Args:
        batch_size: `batch_size`, or `batch_size_albert`.
    """
    paper = tables()["hyperparameters"]
    return {"recipe": "paper", "learning_rate": paper["learning_rate"], "batch_size": paper[batch_size]}


def paper_timing(batch_size: str) -> dict[str, Any]:
    """Options of `ag timing` at the paper's shape."""
    paper = tables()["hyperparameters"]
    return timing_options(paper["max_length"], paper[batch_size])


def timing_options(length: int, batch_size: int) -> dict[str, Any]:
    """Options of `ag timing` under which every pair is as long as the paper's."""
    return {"lengths": (length,), "padding": "max", "batch_size": batch_size}
