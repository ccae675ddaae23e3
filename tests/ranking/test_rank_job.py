"""Ranking with a run: what is scored, what is written, and what survives an interruption."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from sentence_transformers import CrossEncoder
from tiny_rankings import contents as contents_of_claims

from agcli.data.ranking.prepared import PreparedRanking, write_ranking
from agcli.errors import DataError, InterruptedRunError, RunError, UsageError
from agcli.measures.ranking import MEASURES
from agcli.measures.trec import read_run
from agcli.ranking import rank_split as job_module
from agcli.ranking.rank_split import RankingCallback, RankJob, rank
from agcli.ranking.ranker import Ranker, open_ranker
from agcli.runs.folder import RunFolder

DEPTH = 10


@pytest.fixture
def ranker(ranking_run: Path) -> Ranker:
    return open_ranker(ranking_run, precision="fp32", batch_tokens=64, offline=True)


def ranked(ranker: Ranker, claims: PreparedRanking, folder: Path, **kwargs: Any) -> Path:
    rank(RankJob(ranker, claims, "test", kwargs.pop("depth", DEPTH), folder), resamples=100, seed=0, **kwargs)
    return folder


def contents_of_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def folder(ranker: Ranker, claims: PreparedRanking, tmp_path: Path) -> Path:
    """A finished ranking of the test claims."""
    return ranked(ranker, claims, tmp_path / "ranking")


def test_it_leaves_these_files(folder: Path) -> None:
    assert sorted(contents(folder)) == sorted(
        ["run.trec", "first_stage.trec", "qrels.trec", "ranking.csv", "per_query.csv", "metrics.json"]
    )


def test_ir_measures_own_command_line_gives_the_same_numbers(folder: Path) -> None:
    metrics = RunFolder(folder).read_json("metrics.json")
    for name, stage in (("run.trec", "reranked"), ("first_stage.trec", "first_stage")):
        command = [sys.executable, "-m", "ir_measures", "-p", "6", folder / "qrels.trec", folder / name, *MEASURES]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found = {measure: float(value) for measure, value in (line.split("\t") for line in printed.splitlines())}
        assert found == {name: pytest.approx(metrics[stage]["all"][name]["value"], abs=1e-6) for name in MEASURES}


def test_scores_are_those_of_sentence_transformers(ranker: Ranker, claims: PreparedRanking, folder: Path) -> None:
    encoder = CrossEncoder(str(ranker.folder.model), device="cpu")
    texts = dict(zip(claims.document_ids, claims.documents.column("text").to_pylist(), strict=True))
    asked = dict(zip(claims.queries["id"], claims.queries["text"], strict=True))
    for query, documents, scores in read_run(folder / "run.trec"):
        expected = encoder.predict([(asked[query], texts[name]) for name in documents])
        assert scores.tolist() == pytest.approx(expected.tolist(), abs=1e-4)


def test_the_first_stage_is_the_candidates_in_their_order(claims: PreparedRanking, folder: Path) -> None:
    for (query, documents, _), row in zip(read_run(folder / "first_stage.trec"), claims.judged("test"), strict=True):
        assert query == claims.queries["id"].iloc[row]
        assert documents == [claims.document_ids[i] for i in claims.candidates(int(row), DEPTH)[0]]


def test_the_table_holds_both_ranks_and_no_text(folder: Path) -> None:
    with (folder / "ranking.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    ranks = [(row["query"], int(row["rank"])) for row in rows]
    assert sorted(ranks) == sorted((row["query"], int(row["first_stage_rank"])) for row in rows)
    assert {row["relevance"] for row in rows} == {"", "1"}
    assert all(b"quokka" not in content for content in contents(folder).values())


def test_protocols_differ_by_the_claims_that_were_not_retrieved(
    ranker: Ranker, claims: PreparedRanking, tmp_path: Path
) -> None:
    shallow = RunFolder(ranked(ranker, claims, tmp_path / "shallow", depth=1)).read_json("metrics.json")
    everything, conditional = (shallow["reranked"][protocol] for protocol in ("all", "conditional"))
    assert (everything["n"], 0 < conditional["n"] < 6) == (6, True)
    # One candidate each: where it is the right one RR is 1, so RR over all is the share that was retrieved.
    assert everything["RR"]["value"] == pytest.approx(conditional["n"] / 6)
    assert conditional["RR"]["value"] == 1.0
    assert everything["RR"]["low"] <= everything["RR"]["value"] <= everything["RR"]["high"]


class Stop(RankingCallback):
    """Asks to stop after some batches."""

    def __init__(self, batches: int) -> None:
        self.left = batches

    def scored(self, pairs: int) -> None:
        self.left -= 1
        if not self.left:
            signal.raise_signal(signal.SIGTERM)  # a shell lets background jobs ignore SIGINT


@pytest.mark.parametrize("batches", [1, 7, 12])
def test_interrupted_it_goes_on_to_the_same_files(
    batches: int, ranker: Ranker, claims: PreparedRanking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_module, "CHUNK_PAIRS", 20)  # two claims
    whole = ranked(ranker, claims, tmp_path / "whole")
    with pytest.raises(InterruptedRunError, match="what is scored is kept"):
        ranked(ranker, claims, tmp_path / "cut", callback=Stop(batches))
    kept = sorted(path.name for path in (tmp_path / "cut" / "scores").iterdir())
    assert kept == [f"{number:08d}.npy" for number in range(len(kept))]
    assert (batches > 1) == bool(kept)
    seen: list[int] = []

    class Resumed(RankingCallback):
        def scoring(self, done_pairs: int, total_pairs: int) -> None:
            seen.append(done_pairs)

    assert contents(ranked(ranker, claims, tmp_path / "cut", callback=Resumed())) == contents(whole)
    assert seen == [20 * len(kept)]


def test_a_damaged_chunk_is_scored_again(
    ranker: Ranker, claims: PreparedRanking, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "damaged"
    with pytest.raises(InterruptedRunError):
        ranked(ranker, claims, place, callback=Stop(1))
    (place / "scores" / "00000000.npy").write_bytes(b"\x93NUMPY half")
    assert contents(ranked(ranker, claims, place)) == contents(folder)


def test_a_killed_process_loses_a_chunk_at_most(
    ranking_run: Path, claims: PreparedRanking, folder: Path, tmp_path: Path
) -> None:
    """SIGKILL between two chunks, from within; the folder then holds whole chunks and goes on."""
    program = f"""
import os, signal
from pathlib import Path
import torch
from agcli.data.ranking.prepared import load_ranking
from agcli.ranking import rank_split as job
from agcli.ranking.ranker import open_ranker
torch.set_num_threads(1)
job.CHUNK_PAIRS = 20
save = job.RankJob.save_scores
def killed(self, chunk, scores):
    if chunk.number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    save(self, chunk, scores)
job.RankJob.save_scores = killed
ranker = open_ranker(Path({str(ranking_run)!r}), precision="fp32", batch_tokens=64, offline=True)
dataset = load_ranking(Path({str(claims.folder)!r}))
job.rank(job.RankJob(ranker, dataset, "test", {DEPTH}, Path({str(tmp_path / "killed")!r})), resamples=100, seed=0)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -signal.SIGKILL
    assert [path.name for path in (tmp_path / "killed" / "scores").iterdir()] == ["00000000.npy"]
    job_module.CHUNK_PAIRS, before = 20, job_module.CHUNK_PAIRS
    try:
        fresh = open_ranker(ranking_run, precision="fp32", batch_tokens=64, offline=True)
        found = contents(ranked(fresh, claims, tmp_path / "killed"))
    finally:
        job_module.CHUNK_PAIRS = before
    assert found.keys() == contents(folder).keys()
    assert found["per_query.csv"] == contents(folder)["per_query.csv"]


def test_scores_that_are_not_a_number_are_counted(ranker: Ranker, claims: PreparedRanking, tmp_path: Path) -> None:
    with torch.no_grad():
        ranker.model.classifier.weight[:] = float("nan")
    with pytest.raises(RunError, match=r"60 of 60 scores are not a number"):
        ranked(ranker, claims, tmp_path / "broken")
    assert not (tmp_path / "broken" / "run.trec").exists()


def test_another_ranking_is_not_replaced_unasked(ranker: Ranker, claims: PreparedRanking, folder: Path) -> None:
    before = contents(folder)
    ranked(ranker, claims, folder)  # the same again: nothing is done
    assert contents(folder) == before
    with pytest.raises(UsageError, match="holds another ranking: depth was 10, is 5"):
        ranked(ranker, claims, folder, depth=5)
    ranked(ranker, claims, folder, depth=5, overwrite=True)
    assert RunFolder(folder).read_json("metrics.json")["depth"] == 5


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_run_is_no_place_for_a_ranking(
    overwrite: bool, ranker: Ranker, claims: PreparedRanking, ranking_run: Path
) -> None:
    before = contents_of_files(ranking_run)
    with pytest.raises(UsageError, match="exists and is no ranking; it is left alone"):
        ranked(ranker, claims, ranking_run, overwrite=overwrite)
    assert contents_of_files(ranking_run) == before


def test_scores_without_their_settings_are_nobodys(ranker: Ranker, claims: PreparedRanking, tmp_path: Path) -> None:
    (tmp_path / "place" / "scores").mkdir(parents=True)
    for overwrite in (False, True):
        with pytest.raises(UsageError, match="exists and is no ranking"):
            ranked(ranker, claims, tmp_path / "place", overwrite=overwrite)


def test_an_unfinished_ranking_of_another_model_is_not_gone_on_with(
    ranker: Ranker, claims: PreparedRanking, tmp_path: Path
) -> None:
    place = tmp_path / "place"
    with pytest.raises(InterruptedRunError):
        ranked(ranker, claims, place, callback=Stop(1))
    ranker.weights_sha256 = "other"
    with pytest.raises(UsageError, match="model_sha256 was"):
        ranked(ranker, claims, place)


def test_a_claim_without_judgement_is_ranked_and_not_measured(ranker: Ranker, tmp_path: Path) -> None:
    made = contents_of_claims()
    some = replace(made, qrels=made.qrels[made.qrels["query"] != "test-2"])
    partly = write_ranking(tmp_path / "partly", some, {"name": "partly", "splits": {}, "depth": 12})
    folder = ranked(ranker, partly, tmp_path / "ranking")
    assert "test-2" in {query for query, _, _ in read_run(folder / "run.trec")}
    assert "test-2" not in (folder / "qrels.trec").read_text()
    metrics = RunFolder(folder).read_json("metrics.json")
    assert (metrics["queries"], metrics["judged"], metrics["reranked"]["all"]["n"]) == (6, 5, 5)


def with_long_claim(folder: Path, **manifest: object) -> PreparedRanking:
    made = contents_of_claims()
    made.queries.loc[made.queries["id"] == "test-5", "text"] = "heart " * 40
    return write_ranking(folder / "long", made, {"name": "long", "splits": {}, "depth": 12, **manifest})


def test_a_long_claim_is_refused_before_anything_is_scored(ranker: Ranker, tmp_path: Path) -> None:
    ranker.cut_queries = False
    with pytest.raises(DataError, match=r"1 of 6 queries leave no room for a document.*'test-5'") as error:
        ranked(ranker, with_long_claim(tmp_path), tmp_path / "ranking")
    assert "train at a --max-length above 24" in str(error.value.hint)
    assert not (tmp_path / "ranking").exists()
    with pytest.raises(DataError) as hidden:
        ranked(ranker, with_long_claim(tmp_path / "x", credentialed=True), tmp_path / "ranking")
    assert "test-5" not in str(hidden.value)


def test_a_long_claim_is_cut_and_counted(ranker: Ranker, claims: PreparedRanking, tmp_path: Path) -> None:
    said: list[str] = []

    class Listening(RankingCallback):
        def message(self, text: str) -> None:
            said.append(text)

    ranked(ranker, with_long_claim(tmp_path), tmp_path / "ranking", callback=Listening())
    assert RunFolder(tmp_path / "ranking").read_json("metrics.json")["claims_cut"] == 1
    assert said == ["1 of 6 queries leave no room for a document at --max-length 24: they are cut to half of it"]
    ranked(ranker, claims, tmp_path / "short")
    assert RunFolder(tmp_path / "short").read_json("metrics.json")["claims_cut"] == 0


def test_a_folder_of_other_things_is_left_alone(ranker: Ranker, claims: PreparedRanking, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="exists and is no ranking; it is left alone"):
        ranked(ranker, claims, tmp_path)


def test_no_deeper_than_prepared(ranker: Ranker, claims: PreparedRanking, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="claims was prepared with 12 candidates a query"):
        ranked(ranker, claims, tmp_path / "deep", depth=13)


def test_a_full_disk_keeps_what_is_scored(
    ranker: Ranker, claims: PreparedRanking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("agcli.ranking.results.qrels_lines", full)
    with pytest.raises(RunError, match="No space left on device"):
        ranked(ranker, claims, tmp_path / "full")
    monkeypatch.undo()
    assert sorted(path.name for path in (tmp_path / "full").iterdir()) == ["scores", "state.json"]
    ranked(ranker, claims, tmp_path / "full")


def test_documents_are_tokenised_once(ranker: Ranker, claims: PreparedRanking, tmp_path: Path) -> None:
    asked: list[int] = []
    tokenizer = ranker.tokenizer

    def counting(texts: Any, *args: Any, **kwargs: Any) -> Any:
        asked.append(len(texts) if isinstance(texts, list) else 0)
        return tokenizer(texts, *args, **kwargs)

    counting.model_input_names = tokenizer.model_input_names  # type: ignore[attr-defined]
    counting.pad_token_id, counting.pad_token_type_id = 0, 0  # type: ignore[attr-defined]
    ranker.tokenizer = counting
    ranked(ranker, claims, tmp_path / "once")
    different = {int(i) for row in claims.judged("test") for i in claims.candidates(int(row), DEPTH)[0]}
    assert sum(asked) <= len(different) + 2 * 6 + 2  # claims once more, before anything is scored
