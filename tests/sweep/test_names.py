"""Cells and times in words."""

from __future__ import annotations

import math
from typing import Any

import pytest

from agcli.sweep.estimate import duration
from agcli.sweep.grid import Grid, cell_name, first_cells, varied_options


def names(**fields: Any) -> list[str]:
    """Of all cells of a grid."""
    cells = first_cells(Grid(**{"models": ("minilm",), "datasets": ("data/mnli",), "seeds": (1,), **fields}))
    return [cell_name(cell, varied_options(cells)) for cell in cells]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"variants": ("none", "both"), "sizes": (300,)}, ["none, size 300, seed 1", "both, size 300, seed 1"]),
        ({"variants": ("none", "mdg")}, ["none, seed 1", "mdg, seed 1"]),
        ({"variants": ("none",), "sizes": (0.5, 1.0)}, ["none, size 50 %, seed 1", "none, size 100 %, seed 1"]),
        (
            {"variants": ("none", "pdg"), "layers": (3, 5)},
            ["none, seed 1", "pdg, layer 3, seed 1", "pdg, layer 5, seed 1"],
        ),
        (
            {"variants": ("none",), "datasets": ("a/x", "b/y"), "axes": {"dropout": (0.0, 0.1)}},
            [f"none, dataset {data}, dropout {rate}, seed 1" for data in "xy" for rate in (0.0, 0.1)],
        ),
        (
            {"variants": ("mdg",), "weights": {"mdg": (0.1, 0.01)}, "select_seeds": (2,)},
            ["mdg, mdg 0.1, seed 2", "mdg, mdg 0.01, seed 2"],
        ),
    ],
)
def test_a_cell_is_named_by_what_sets_it_apart(fields: dict[str, Any], expected: list[str]) -> None:
    assert names(**fields) == expected


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "1 s"), (36, "36 s"), (89.5, "90 s"), (720, "12 min"), (12600, "3.5 h"), (math.nan, "unknown")],
)
def test_times_have_a_unit_of_their_size(seconds: float, text: str) -> None:
    assert duration(seconds) == text
