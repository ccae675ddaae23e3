"""`ag rank` as its user meets it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from narrow_terminal import assert_narrows
from tiny_rankings import claim, document, write_ranking_dataset
from tiny_runs import MARKER, short_options
from typer.testing import Result

from agcli.config import make_config
from agcli.training.run import finetune

Ag = Callable[..., Result]


@pytest.fixture(scope="module")
def run(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on tiny ranking data."""
    folder = tmp_path_factory.mktemp("rank")
    claims = write_ranking_dataset(folder / "claims")
    options = short_options(claims.folder, encoder) | {"max_length": 24, "epochs": 1, "train_limit": 2}
    return finetune(make_config(options), folder / "ranker").path


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Claims, documents and judgements in files."""
    queries, corpus, qrels = tmp_path / "q.tsv", tmp_path / "c.jsonl", tmp_path / "qrels.txt"
    queries.write_text("".join(f"q{n}\t{claim(n)}\n" for n in range(4)))
    corpus.write_text("".join(json.dumps({"_id": f"d{n}", "title": "", "text": document(n)}) + "\n" for n in range(9)))
    qrels.write_text("".join(f"q{n} 0 d{n} 1\n" for n in range(4)))
    return queries, corpus, qrels


def test_a_split_is_ranked_beside_its_first_stage(ag: Ag, run: Path) -> None:
    shown = ag("rank", run, "--depth", 8, "--offline", "--precision", "fp32")
    assert "claims, test, depth 8: all 6 judged queries" in shown.stdout
    assert "conditional: the" in shown.stdout
    assert "measure" in shown.stdout
    assert "pairs/s" in shown.stderr
    assert (run / "rankings" / "claims-test" / "run.trec").is_file()
    again = ag("rank", run, "--depth", 8, "--offline", "--precision", "fp32", "--json")
    assert json.loads(again.stdout)["reranked"]["all"]["n"] == 6
    assert "pairs/s" not in again.stderr  # it is there already
    assert_narrows("rank", run, "--depth", 8, "--offline", "--precision", "fp32")
    judged = ag("evaluate", run, "--json")
    assert json.loads(judged.stdout)["task"] == "ranking"


def test_two_files_without_judgements(ag: Ag, run: Path, files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    queries, corpus, qrels = files
    out = tmp_path / "out"
    words = ["rank", run, "--queries", queries, "--corpus", corpus, "--depth", 5, "--output", out, "--offline"]
    shown = ag(*words)
    assert "there are no relevance judgments" in shown.stderr
    assert {line.split()[0] for line in (out / "run.trec").read_text().splitlines()} == {"q0", "q1", "q2", "q3"}
    assert not (out / "qrels.trec").exists()
    measured = ag(*words[:-3], "--output", tmp_path / "judged", "--qrels", qrels, "--offline")
    assert "all 4 judged queries" in measured.stdout


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("q1\ta\tb\n", "3 column(s), separated by tabs"),
        ("q0\tagain\n", "q.tsv, row 2: this query id occurs already in row 1"),
        ("a b\ttext\n", "cannot stand in a TREC file"),
        ("q9\t \n", "a query without text"),
    ],
)
def test_bad_queries_are_named(ag: Ag, run: Path, files: tuple[Path, Path, Path], line: str, problem: str) -> None:
    queries, corpus, _ = files
    queries.write_text("q0\tfirst\n" + line)
    shown = ag("rank", run, "--queries", queries, "--corpus", corpus, "--offline", code=3)
    assert problem in shown.stderr
    assert "q.tsv, row 2" in shown.stderr


@pytest.mark.parametrize("relevance", ["4294967297", "1180591620717411303424", "1.5"])
def test_a_relevance_that_is_none_is_named(ag: Ag, run: Path, files: tuple[Path, Path, Path], relevance: str) -> None:
    queries, corpus, qrels = files
    qrels.write_text(f"q0 0 d0 {relevance}\n")
    shown = ag("rank", run, "--queries", queries, "--corpus", corpus, "--qrels", qrels, "--offline", code=3)
    assert "qrels.txt, row 1, column 'relevance': not a relevance" in shown.stderr


def test_grades_below_0_have_a_way_through(ag: Ag, run: Path, files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    queries, corpus, qrels = files
    qrels.write_text("q0 0 d0 1\nq0 0 d1 -1\n")
    words = ["rank", run, "--queries", queries, "--corpus", corpus, "--qrels", qrels, "--offline"]
    words += ["--output", tmp_path / "out"]
    refused = ag(*words, code=3).stderr
    assert "qrels.txt, row 2, column 'relevance': 1 grade(s) below 0" in refused
    assert "--negative-grades as-zero" in refused
    ag(*words, "--negative-grades", "as-zero")
    assert "q0 0 d1 0" in (tmp_path / "out" / "qrels.trec").read_text()


def test_no_cell_of_credentialed_files_is_in_an_error(ag: Ag, run: Path, files: tuple[Path, Path, Path]) -> None:
    queries, corpus, _ = files
    queries.write_text("q0\tfirst\nSECRET of a patient\tq1\n")
    words = ["rank", run, "--queries", queries, "--corpus", corpus, "--offline"]
    assert "SECRET" in ag(*words, code=3).stderr
    hidden = ag(*words, "--credentialed", code=3).stderr
    assert "SECRET" not in hidden
    assert "q.tsv, row 2" in hidden


def test_a_run_on_credentialed_data_makes_files_credentialed(
    ag: Ag, encoder: Path, files: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    claims = write_ranking_dataset(tmp_path / "claims", credentialed=True)
    options = short_options(claims.folder, encoder) | {"max_length": 24, "epochs": 1, "train_limit": 2}
    run = finetune(make_config(options), tmp_path / "ranker").path
    files[0].write_text("SECRET of a patient\tq1\n")
    hidden = ag("rank", run, "--queries", files[0], "--corpus", files[1], "--offline", code=3).stderr
    assert "cannot stand in a TREC file" in hidden
    assert "SECRET" not in hidden


def test_fewer_documents_than_wanted_are_explained(ag: Ag, run: Path, files: tuple[Path, Path, Path]) -> None:
    files[1].write_text('{"_id": "d1", "text": "garlic"}\n{"_id": "d2", "text": "tea"}\n')
    words = ["rank", run, "--text", "Does garlic help?", "--corpus", files[1], "--offline", "--top"]
    shown = " ".join(ag(*words, 2).stdout.split())
    assert "Fewer than --top 2: the query shares a word with 1 document only." in shown
    assert json.loads(ag(*words, 2, "--json").stdout)["candidates"] == 1
    assert "1 of 1 candidates" in ag(*words, 1).stdout


def test_a_claim_that_leaves_no_room_is_cut(ag: Ag, run: Path, files: tuple[Path, Path, Path]) -> None:
    words = ["rank", run, "--text", f"{claim(1)} " * 20, "--corpus", files[1], "--offline"]
    assert "cut to half" in ag(*words).stderr
    assert "--long-claims cut" in ag(*words, "--long-claims", "error", code=3).stderr


def test_a_classifier_is_refused_without_torch(config: Callable[..., object], tmp_path: Path) -> None:
    pairs = finetune(config(train_limit=8, epochs=1), tmp_path / "pairs").path  # type: ignore[arg-type]
    code = (
        "import sys; from agcli.cli.app import app\n"
        f"try: app(['rank', {str(pairs)!r}], standalone_mode=False)\n"
        "except BaseException as error: print(error)\n"
        "print('torch' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "this run classifies pairs" in shown.stderr
    assert shown.stdout.splitlines()[-1] == "False"


def test_a_re_ranker_below_its_first_stage_is_said(ag: Ag, run: Path, tmp_path: Path) -> None:
    broken = tmp_path / "run"
    shutil.copytree(run, broken, ignore=shutil.ignore_patterns("rankings"))
    ag("rank", broken, "--offline")
    metrics = broken / "rankings" / "claims-test" / "metrics.json"
    found = json.loads(metrics.read_text())
    for side, value in (("first_stage", 0.6), ("reranked", 0.2)):
        found[side]["all"]["RR"]["value"] = value
    found["difference"]["all"]["RR"] |= {"value": -0.4, "low": -0.5, "high": -0.3}
    metrics.write_text(json.dumps(found))
    assert "worse than its first stage: RR 0.2000 against 0.6000" in " ".join(
        ag("rank", broken, "--offline").stderr.split()
    )


def test_the_place_is_looked_at_before_files_are_indexed(
    ag: Ag, run: Path, files: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    words = ["rank", run, "--queries", files[0], "--corpus", files[1], "--offline", "--output"]
    assert "exists and is no ranking" in ag(*words, files[2], code=2).stderr  # a file
    assert "exists and is no ranking" in ag(*words, run, "--overwrite", code=2).stderr  # the run itself
    assert not list(tmp_path.glob("*.collection"))


def test_data_prepared_anew_are_not_ranked_unnoticed(ag: Ag, encoder: Path, tmp_path: Path) -> None:
    claims = write_ranking_dataset(tmp_path / "claims")
    options = short_options(claims.folder, encoder) | {"max_length": 24, "epochs": 1, "train_limit": 1}
    mine = finetune(make_config(options), tmp_path / "mine").path
    shutil.rmtree(claims.folder)
    write_ranking_dataset(tmp_path / "claims", depth=11)
    assert "prepared anew since the run was trained" in ag("rank", mine, "--offline", code=3).stderr
    assert "all 6 judged queries" in ag("rank", mine, "--offline", "--dataset", claims.folder).stdout


def test_a_first_document_without_text(ag: Ag, run: Path, files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    queries, corpus, _ = files
    corpus.write_text(json.dumps({"_id": "empty", "text": ""}) + "\n" + corpus.read_text())
    ag("rank", run, "--queries", queries, "--corpus", corpus, "--output", tmp_path / "out", "--offline")


def test_judgements_of_absent_documents_are_refused(ag: Ag, run: Path, files: tuple[Path, Path, Path]) -> None:
    queries, corpus, qrels = files
    qrels.write_text("q0 0 d77 1\n")
    shown = ag("rank", run, "--queries", queries, "--corpus", corpus, "--qrels", qrels, "--offline", code=3)
    assert "relevance judgment of a document that is not in the corpus" in shown.stderr


def test_one_claim_is_answered(ag: Ag, run: Path, files: tuple[Path, Path, Path]) -> None:
    shown = ag("rank", run, "--text", claim(3), "--top", 2, "--offline", "--json")
    answers = json.loads(shown.stdout)["documents"]
    assert [answer["rank"] for answer in answers] == [1, 2]
    assert answers[0]["score"] >= answers[1]["score"]
    assert MARKER in answers[0]["text"]
    assert "first stage" in ag("rank", run, "--text", claim(3), "--corpus", files[1], "--offline").stdout
    nothing = ag("rank", run, "--text", "zzzz", "--offline", code=3)
    assert "no document shares a word" in nothing.stderr


def test_text_of_credentialed_data_is_not_shown(ag: Ag, encoder: Path, run: Path, tmp_path: Path) -> None:
    secret = write_ranking_dataset(tmp_path / "secret", credentialed=True)
    for words in ([], ["--json"]):
        shown = ag("rank", run, "--dataset", secret.folder, "--text", "child heart lung pain", "--offline", *words)
        assert MARKER not in shown.stdout


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--split", "tset"], "--split: 'tset' is not allowed; allowed: one of train, dev, test. Did you mean 'test'?"),
        (["--queries", "q.tsv"], "--queries and --corpus belong together"),
        (["--text", "a", "--output", "x"], "--output: of no use here, where --text is answered and nothing is written"),
        (["--precision", "int8"], "--precision: 'int8' is not allowed; allowed: one of auto, fp32, bf16."),
        (["--qrels", "q", "--top", "3"], "of no use here, where prepared queries are ranked"),
        (["--stemmer", "none"], "--stemmer: of no use here"),
        (["--text", " "], "--text is empty"),
        (["--text", "a", "--corpus", "c", "--dataset", "d"], "--corpus and --dataset exclude each other"),
    ],
)
def test_options_that_cannot_be(ag: Ag, run: Path, words: list[str], problem: str) -> None:
    assert problem in ag("rank", run, *words, code=2).stderr


def test_a_run_that_classifies_does_not_rank(ag: Ag, config: Callable[..., object], tmp_path: Path) -> None:
    pairs = finetune(config(epochs=1), tmp_path / "pairs").path
    assert "this run classifies pairs" in ag("rank", pairs, code=2).stderr


def test_a_run_on_pairs_cannot_use_ranking_data_for_evaluation(ag: Ag, run: Path) -> None:
    data = json.loads((run / "environment.json").read_text())["data"]["folder"]
    assert "no pairs with labels" in ag("timing", "--dataset", data, code=3).stderr
