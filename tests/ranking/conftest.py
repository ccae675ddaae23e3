"""A tiny run that was trained to rank, and its data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny_rankings import write_ranking_dataset
from tiny_runs import short_options

from agcli.config import make_config
from agcli.data.ranking.prepared import PreparedRanking
from agcli.training.run import finetune


@pytest.fixture(scope="session")
def claims(tmp_path_factory: pytest.TempPathFactory) -> PreparedRanking:
    """8 train, 5 dev and 6 test claims over 30 documents, 12 candidates each."""
    return write_ranking_dataset(tmp_path_factory.mktemp("ranking") / "claims")


@pytest.fixture
def ranking_options(claims: PreparedRanking, encoder: Path) -> dict[str, Any]:
    """One epoch of 4 steps, both guides on."""
    return short_options(claims.folder, encoder) | {"max_length": 24, "epochs": 1}


@pytest.fixture(scope="session")
def ranking_run(claims: PreparedRanking, encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on these claims."""
    options = short_options(claims.folder, encoder) | {"max_length": 24, "epochs": 1}
    return finetune(make_config(options), tmp_path_factory.mktemp("runs") / "ranker").path
