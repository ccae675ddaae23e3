"""One fixture: `prepare_claims`, which prepares ranking data into a fresh folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agcli.data.preparation import prepare
from agcli.data.ranking.prepared import PreparedRanking
from agcli.data.request import PrepareRequest


@pytest.fixture
def prepare_claims(tmp_path: Path) -> Callable[..., PreparedRanking]:
    """`prepare` of ranking data in a folder into a fresh one; keywords are the request's."""

    def run(source: Path, name: str = "ranking", **options: object) -> PreparedRanking:
        options.setdefault("output", tmp_path / "prepared" / f"{len([*tmp_path.glob('prepared/*')])}")
        options.setdefault("negatives", 2)
        return prepare(PrepareRequest(name=name, source=str(source), task="ranking", **options))  # type: ignore[arg-type]

    return run
