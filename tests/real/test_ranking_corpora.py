"""The readers of ranking data on real collections, where they lie beside the checkout."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agcli.data.preparation import prepare
from agcli.data.ranking.prepared import PreparedRanking, load_ranking
from agcli.data.request import PrepareRequest
from agcli.errors import DataError

DATA = Path(__file__).parents[2].parent / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="no ../shared/data beside the checkout")
Make = Callable[..., PreparedRanking]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def run(name: str, source: Path, **options: object) -> PreparedRanking:
        if not source.is_dir():
            pytest.skip(f"no {source.name} in ../shared/data")
        output = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        return prepare(PrepareRequest(name=name, output=output, source=str(source), task="ranking", **options))  # type: ignore[arg-type]

    return run


def first_ranks(prepared: PreparedRanking) -> np.ndarray:
    """Rank of the first relevant document of each judged claim; infinity where none is among the candidates."""
    relevant = {claim: {d for d, grade in grades.items() if grade} for claim, grades in prepared.relevance.items()}
    ids, ranks = prepared.document_ids, []
    for split in prepared.splits:
        for row in prepared.judged(split).tolist():
            wanted = relevant[prepared.queries["id"][row]]
            rows = prepared.candidates(row, prepared.depth)[0]
            ranks.append(next((rank for rank, place in enumerate(rows, 1) if ids[place] in wanted), np.inf))
    return np.array(ranks, dtype=np.float64)


def test_cross_genre_ir(make: Make) -> None:
    prepared = make("cross-genre-ir", DATA / "cross_genre_ir")
    facts = prepared.manifest["splits"]
    assert {split: (facts[split]["queries"], facts[split]["judged"]) for split in facts} == {
        "train": (4_029, 4_029), "dev": (511, 511), "test": (494, 494),
    }  # fmt: skip
    assert len(prepared.documents) == 4_538
    assert prepared.manifest["warnings"] == []
    assert not prepared.queries["text"].str.endswith("\n").any()
    assert prepared.lists is not None
    assert prepared.lists.shape == (4_029, 12)
    assert load_ranking(prepared.folder).digest == prepared.digest
    ranks = first_ranks(prepared)
    assert facts["test"]["retrieved"] == int(np.isfinite(ranks[-494:]).sum())
    # An independent, simpler BM25 found R@1 0.629, R@20 0.858 and MRR@100 0.697 over the 5,034 claims; stems help.
    assert np.mean(ranks <= 1) == pytest.approx(0.629, abs=0.03)
    assert np.mean(ranks <= 20) == pytest.approx(0.858, abs=0.03)
    assert np.mean(1 / ranks) == pytest.approx(0.697, abs=0.03)


def test_a_leak_into_cross_genre_ir_is_found(make: Make, tmp_path: Path) -> None:
    if not (DATA / "cross_genre_ir").is_dir():
        pytest.skip("no cross_genre_ir in ../shared/data")
    folder = Path(shutil.copytree(DATA / "cross_genre_ir", tmp_path / "leaky"))
    dev = folder / "dev_data_claim_pmid_dict.json"
    dev.chmod(0o644)
    dev.write_text(dev.read_text().replace("90000003", "90003497", 1))
    with pytest.raises(DataError, match="query train-1 of train and query dev-1 of dev share document 90003497"):
        make("cross-genre-ir", folder)


def test_scifact(make: Make) -> None:
    prepared = make("scifact", DATA / "scifact")
    facts = prepared.manifest["splits"]
    assert prepared.manifest["source_format"] == "claims"
    assert prepared.manifest["roles"] == {"dev": "test"}
    assert prepared.manifest["not_used"] == {"claims_test.jsonl": "no cited documents"}
    assert (facts["test"]["queries"], facts["test"]["relevant"]) == (300, 339)  # as in BEIR's SciFact
    assert facts["train"]["queries"] + facts["dev"]["queries"] == 809
    assert (facts["dev"]["queries"], len(prepared.documents)) == (80, 5_183)
    shared = {names: count["shared"] for names, count in prepared.manifest["documents_shared"].items()}
    assert shared == {"train/test": 155, "dev/test": 26}  # 181 before dev was cut from train
    train, dev = (set(prepared.queries.loc[prepared.rows(split), "id"]) for split in ("train", "dev"))
    held = {claim: set(grades) for claim, grades in prepared.relevance.items()}
    assert set().union(*(held[claim] for claim in train)).isdisjoint(set().union(*(held[claim] for claim in dev)))


def test_healthver(make: Make) -> None:
    prepared = make("ranking", DATA / "healthver")
    facts = prepared.manifest["splits"]
    assert [facts[split]["relevant"] for split in ("train", "dev", "test")] == [5_292, 940, 903]
    assert prepared.manifest["documents_shared"]["train/test"]["shared"] == 217
    assert "train: 1 of 1393 queries have no relevance judgment" in prepared.manifest["warnings"][-1]
