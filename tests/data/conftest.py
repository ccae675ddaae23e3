"""One fixture: `make`, which prepares into a fresh folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agcli.data import PreparedDataset, PrepareRequest, prepare


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., PreparedDataset]:
    """`prepare` into a fresh folder; keywords are the request's."""

    def run(name: str = "multinli", **options: object) -> PreparedDataset:
        options.setdefault("output", tmp_path / "prepared" / name)
        return prepare(PrepareRequest(name=name, **options))  # type: ignore[arg-type]

    return run
