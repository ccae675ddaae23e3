"""Small sweeps: the tiny encoder on the tiny pairs, one epoch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import short_options

from agcli.sweep.grid import Grid


@pytest.fixture
def grid(dataset: Path, encoder: Path) -> Callable[..., Grid]:
    """Makes a grid of short runs; keywords replace its fields."""
    options = short_options(dataset, encoder) | {"epochs": 1, "train_limit": 24}
    options = {name: value for name, value in options.items() if name not in ("model", "dataset", "train_limit")}

    def make(**fields: Any) -> Grid:
        shared = {"models": (str(encoder),), "datasets": (str(dataset),), "options": options, "sizes": (24,)}
        return Grid(**{**shared, **fields})

    return make
