"""Every layout becomes the same prepared form, and what it says is kept."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from claim_files import Collection, small, write_beir, write_cross_genre_ir, write_lines, write_scifact, write_trec

from agcli.data.preparation import prepare
from agcli.data.ranking.prepared import PreparedRanking
from agcli.data.request import PrepareRequest
from agcli.errors import DataError, UsageError

Prepare = Callable[..., PreparedRanking]


def judged(prepared: PreparedRanking) -> dict[str, dict[str, int]]:
    return prepared.relevance


def found(prepared: PreparedRanking) -> dict[str, list[tuple[str, float]]]:
    """Claim -> its candidates by id, with their scores."""
    ids = prepared.document_ids
    return {
        claim: [(ids[place], float(score)) for place, score in zip(*prepared.candidates(row, 100), strict=True)]
        for row, claim in enumerate(prepared.queries["id"])
    }


@pytest.mark.parametrize("write", [write_trec, write_scifact])
def test_beir_and_the_other_layouts_give_the_same(
    tmp_path: Path, prepare_claims: Prepare, write: Callable[[Path, Collection], Path]
) -> None:
    beir, other = prepare_claims(write_beir(tmp_path / "a", small())), prepare_claims(write(tmp_path / "b", small()))
    assert judged(beir) == judged(other) == {f"c{n}": {f"d{n}": 1} for n in range(10)}
    assert found(beir) == found(other)
    assert beir.digest == other.digest
    assert beir.splits == ("train", "dev", "test")
    assert [len(beir.judged(split)) for split in beir.splits] == [6, 2, 2]
    assert beir.texts(beir.rows("dev")[:1])[0].startswith("On vitamin. Trial 6 of vitamin and asthma")
    formats = {prepared.manifest["source_format"] for prepared in (beir, other)}
    assert formats == {"beir", "trec" if write is write_trec else "claims"}


def test_cross_genre_ir(tmp_path: Path, prepare_claims: Prepare) -> None:
    prepared = prepare_claims(write_cross_genre_ir(tmp_path / "x", small()), name="cross-genre-ir")
    assert prepared.queries["id"].tolist() == [f"train-{n}" for n in range(1, 7)] + [
        "dev-1",
        "dev-2",
        "test-1",
        "test-2",
    ]
    assert prepared.queries["text"][0] == "Could garlic help adults?"
    assert prepared.relevance["test-2"] == {"d9": 1}
    assert prepared.manifest["warnings"] == []
    assert prepared.manifest["splits"]["train"]["recall"] == 1.0
    bare = prepare_claims(write_cross_genre_ir(tmp_path / "y", small(), union=False), name="anything")
    assert bare.manifest["source_format"] == "cross-genre-ir"
    assert bare.digest == prepared.digest


def test_the_file_of_all_claims_is_compared(tmp_path: Path, prepare_claims: Prepare) -> None:
    folder = write_cross_genre_ir(tmp_path / "x", small())
    (folder / "data_claim_5k_dict_all.json").write_text('{"Could garlic help adults?": ["d5"], "New?": ["d1"]}')
    warnings = prepare_claims(folder).manifest["warnings"]
    assert "1 of its 2 claims are in no split" in warnings[0]
    assert "10 claim(s) of the splits are not in it, or have other abstracts there" in warnings[1]


def test_scifact_test_claims_that_cite_nothing_are_not_used(tmp_path: Path, prepare_claims: Prepare) -> None:
    made = small()
    del made.qrels["test"]
    prepared = prepare_claims(write_scifact(tmp_path / "x", made, cited="doc_ids"), dev_fraction=0.34)
    assert prepared.manifest["not_used"] == {"claims_test.jsonl": "no cited documents"}
    assert prepared.manifest["roles"] == {"dev": "test"}
    assert prepared.queries.loc[prepared.rows("test"), "id"].tolist() == ["c6", "c7"]
    assert len(prepared.rows("train")) == 4
    assert prepared.manifest["dev_cut"]["claims"] == 2


def test_a_zip_is_read_in_place(tmp_path: Path, prepare_claims: Prepare) -> None:
    folder = write_beir(tmp_path / "in" / "nfcorpus", small())
    archive = shutil.make_archive(str(tmp_path / "nfcorpus"), "zip", tmp_path / "in")
    assert prepare_claims(Path(archive)).digest == prepare_claims(folder).digest


def test_sources_are_recorded_by_their_hash(tmp_path: Path, prepare_claims: Prepare) -> None:
    folder = write_trec(tmp_path / "x", small())
    recorded = {source["file"]: source for source in prepare_claims(folder).manifest["sources"]}
    assert recorded.keys() == {path.name for path in folder.iterdir()}
    for name, source in recorded.items():
        assert source["sha256"] == hashlib.sha256((folder / name).read_bytes()).hexdigest()


def test_only_a_test_split(tmp_path: Path, prepare_claims: Prepare) -> None:
    made = small()
    made.claims, made.qrels = {"test": made.claims["test"]}, {"test": made.qrels["test"]}
    prepared = prepare_claims(write_beir(tmp_path / "x", made), negatives=50)
    assert prepared.splits == ("test",)
    assert prepared.lists is None
    assert (prepared.manifest["negatives"], prepared.manifest["lists"]) == (0, None)


def test_one_file_of_judgements_that_names_no_split_is_test(tmp_path: Path, prepare_claims: Prepare) -> None:
    made = small()
    folder = write_trec(tmp_path / "x", made)
    for path in [*folder.glob("queries*"), *folder.glob("qrels*")]:
        path.unlink()
    write_lines(folder / "queries.tsv", [*(f"{key}\t{text}" for key, text in made.claims["dev"].items()), "c99\tAlone"])
    write_lines(folder / "qrels.trec", ["c6 0 d6 2", "c7 0 d7 0", "c7 0 d1 1"])
    prepared = prepare_claims(folder)
    assert prepared.splits == ("test",)
    assert judged(prepared) == {"c6": {"d6": 2}, "c7": {"d7": 0, "d1": 1}}
    assert "1 of 3 queries have no relevance judgments" in prepared.manifest["warnings"][0]


def test_a_run_file_gives_the_candidates(tmp_path: Path, prepare_claims: Prepare) -> None:
    folder = write_trec(tmp_path / "x", small())
    plain = prepare_claims(folder)
    rows = [f"c8 Q0 d{n} {n} {score} tag" for n, score in enumerate([3.0, 1.5, 1.5, 9.0])]
    write_lines(folder / "run.test.trec", rows)
    prepared = prepare_claims(folder, depth=3)
    assert found(prepared)["c8"] == [("d3", 9.0), ("d0", 3.0), ("d2", 1.5)]
    assert found(prepared)["c9"] == []
    assert found(prepared)["c0"] == found(plain)["c0"][:3]
    assert prepared.manifest["first_stage"]["from_runs"] == ["test"]
    assert prepared.manifest["splits"]["test"] | {"characters": 0} == {
        "queries": 2, "judged": 2, "relevant": 2, "retrieved": 0, "recall": 0.0, "candidates": 3, "characters": 0,
    }  # fmt: skip
    warnings = prepared.manifest["warnings"]
    assert "run files: 1 candidate(s) below --depth were left out" in warnings
    assert "test: 1 of 2 queries have no candidates in the run file" in warnings
    write_lines(folder / "run.trec", ["c8 Q0 d1 1 1.0 tag"])
    with pytest.raises(DataError, match=r"another run file has results for this query too.*c8"):
        prepare_claims(folder)
    (folder / "run.trec").write_text("c0 Q0 nowhere 1 1.0 tag\nc0 Q0 d5 2 0.5 tag\n")
    with pytest.raises(DataError, match=r"a query has 1 candidate\(s\) that the corpus lacks.*'c0'.*nowhere"):
        prepare_claims(folder)
    dropped = prepare_claims(folder, drop_missing=True)
    assert found(dropped)["c0"] == [("d5", 0.5)]
    assert "run files: 1 candidate(s) that the corpus lacks were left out" in dropped.manifest["warnings"]


def test_retrieved_and_recall_count_what_lies_within_the_depth(tmp_path: Path, prepare_claims: Prepare) -> None:
    made = small()
    made.qrels["test"] = [("c8", "d8", 1), ("c8", "d0", 1), ("c9", "d0", 1)]  # d0 speaks of neither
    facts = prepare_claims(write_beir(tmp_path / "x", made), depth=2).manifest["splits"]["test"]
    assert (facts["judged"], facts["relevant"], facts["retrieved"], facts["recall"]) == (2, 3, 1, 0.25)


def test_analysis_is_as_asked(tmp_path: Path, prepare_claims: Prepare) -> None:
    folder = write_beir(tmp_path / "x", small())
    plain = prepare_claims(folder, stemmer="none", stopwords="none")
    assert (plain.manifest["first_stage"]["stemmer"], plain.manifest["first_stage"]["stopwords"]) == (None, None)
    with pytest.raises(UsageError, match=r"Allowed: .*english"):
        prepare_claims(folder, stemmer="klingon")


def test_progress_is_reported(tmp_path: Path) -> None:
    told: dict[str, list[tuple[int, int]]] = {}
    source = str(write_beir(tmp_path / "x", small()))
    prepare(
        PrepareRequest(name="ranking", output=tmp_path / "out", source=source, negatives=2),
        progress=lambda what, done, total: told.setdefault(what, []).append((done, total)),
    )
    assert told == {"indexing documents": [(0, 12), (12, 12)], "retrieving candidates": [(0, 10), (10, 10)]}


def test_the_layout_that_is_asked_for(tmp_path: Path, prepare_claims: Prepare) -> None:
    folder = write_beir(tmp_path / "x", small())
    with pytest.raises(UsageError, match="Did you mean 'beir'"):
        prepare_claims(folder, format="bier")
    with pytest.raises(DataError, match="no claims here"):
        prepare_claims(folder, format="trec")
    empty = write_lines(tmp_path / "y" / "notes.txt", ["nothing"]).parent
    with pytest.raises(DataError, match=r"no layout of ranking data is recognised.*queries\.jsonl"):
        prepare_claims(empty)


@pytest.mark.parametrize("gone", ["corpus.jsonl", "qrels"])
def test_a_missing_file_is_named(tmp_path: Path, prepare_claims: Prepare, gone: str) -> None:
    folder = write_beir(tmp_path / "x", small())
    path = folder / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(
        DataError, match="no corpus.jsonl here" if gone == "corpus.jsonl" else "no relevance judgments here"
    ):
        prepare_claims(folder)


def test_two_files_of_cross_genre_ir_for_one_split_are_named(tmp_path: Path, prepare_claims: Prepare) -> None:
    folder = write_cross_genre_ir(tmp_path / "x", small())
    twin = folder / "train2_data_claim_pmid_dict.json"
    twin.write_text((folder / "train_data_claim_pmid_dict.json").read_text())
    with pytest.raises(DataError, match=r"2 files give train: train2_data_claim_pmid_dict\.json, train_data_claim"):
        prepare_claims(folder)


def test_the_digest_of_a_collection_is_that_of_earlier_versions(tmp_path: Path, prepare_claims: Prepare) -> None:
    prepared = prepare_claims(write_beir(tmp_path / "x", small()))
    assert prepared.collection_digest == "aadd818cf15e1e82b19e7d908bd12bdb0f5b25be603aec725843615a3427b9cc"
