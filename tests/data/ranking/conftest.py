"""One fixture: `prepare_claims`, which prepares ranking data into a fresh folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agcli.data.ranking.preparation import prepare_ranking
from agcli.data.ranking.prepared import RankingDataset
from agcli.data.ranking.request import RankingRequest


@pytest.fixture
def prepare_claims(tmp_path: Path) -> Callable[..., RankingDataset]:
    """`prepare_ranking` of a folder into a fresh one; keywords are the request's."""

    def run(source: Path, name: str = "ranking", **options: object) -> RankingDataset:
        options.setdefault("output", tmp_path / "prepared" / f"{len([*tmp_path.glob('prepared/*')])}")
        options.setdefault("negatives", 2)
        return prepare_ranking(RankingRequest(name=name, source=str(source), **options))  # type: ignore[arg-type]

    return run
