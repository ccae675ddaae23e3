"""One fixture: `make`, which prepares into a fresh folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agcli.data.preparation import prepare
from agcli.data.prepared import PreparedPairs
from agcli.data.request import PrepareRequest


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., PreparedPairs]:
    """`prepare` into a fresh folder; keywords are the request's."""

    def run(name: str = "multinli", **options: object) -> PreparedPairs:
        options.setdefault("output", tmp_path / "prepared" / name)
        return prepare(PrepareRequest(name=name, **options))  # type: ignore[arg-type]

    return run
