"""`ag prepare` on ranking data, as a user runs it."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from agcli.cli.app import app

WORDS = ["garlic", "statin", "sleep", "smoking", "exercise", "coffee", "vitamin", "asthma"]
Run = Callable[[str], Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `ag prepare ...` in a folder with BEIR's files in `files`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    corpus = [
        {"_id": f"d{n}", "title": "", "text": f"[b]{word}[/b] and {WORDS[n - 1]}"} for n, word in enumerate(WORDS)
    ]
    queries = [{"_id": f"c{n}", "text": f"[b]Does[/b] {word} help?"} for n, word in enumerate(WORDS)]
    Path("files/qrels").mkdir(parents=True)
    for name, records in (("corpus", corpus), ("queries", queries)):
        Path(f"files/{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    for split, places in (("train", range(6)), ("test", range(6, 8))):
        rows = "".join(f"c{n}\td{n}\t1\n" for n in places)
        Path(f"files/qrels/{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + rows)
    return lambda line: CliRunner().invoke(app, ["prepare", *shlex.split(line)])


def test_writes_into_data_and_says_what_it_did(run: Run) -> None:
    result = run("--dataset ranking --from files --negatives 3 --show 1 --dev-fraction 0.2 --depth 50")
    assert result.exit_code == 0, result.output
    assert (Path("data") / "ranking" / "manifest.json").is_file()
    for word in (
        "ranking, prepared in data/ranking",
        "recall@50",
        "dev was cut from train: 1 query, linked ones together (1 group)",
        "[b]Does[/b]",
    ):
        assert word in result.stdout
    assert "training lists: 1 positive, 3 negatives" in result.stdout
    assert "ag finetune --dataset data/ranking" in result.stderr


def test_a_unit_stands_once_in_the_head_of_its_column(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = run("--dataset ranking --from files --negatives 3 --dev-fraction 0.2 --depth 50")
    above, below = result.stdout.split("documents (")
    assert above.count("chars") == 1
    assert below.count("chars") == 1
    assert above.splitlines()[4].startswith("┡"), "two lines of header"


def test_json_is_the_manifest_and_nothing_else(run: Run) -> None:
    result = run(
        "--dataset mine --task ranking --from files --json --output elsewhere --license CC0 --seed 4 "
        "--dev-fraction 0.34 --depth 3 --negatives 2 --negatives-from mixed --stemmer none --stopwords none"
    )
    manifest = json.loads(result.stdout)
    assert manifest == json.loads(Path("elsewhere/manifest.json").read_text())
    assert (manifest["task"], manifest["license"], manifest["depth"], manifest["negatives"]) == ("ranking", "CC0", 3, 2)
    assert (manifest["lists"]["from"], manifest["lists"]["seed"], manifest["dev_cut"]["claims"]) == ("mixed", 4, 2)
    assert (manifest["first_stage"]["stemmer"], manifest["first_stage"]["stopwords"]) == (None, None)
    assert (manifest["credentialed"], manifest["source_format"]) == (False, "beir")


@pytest.mark.parametrize("line", ["--dataset own --from files", "--dataset own --format beir --from files"])
def test_ranking_is_recognised(run: Run, line: str) -> None:
    assert json.loads(run(line + " --negatives 2 --json").stdout)["task"] == "ranking"


def test_scifact_is_pairs_unless_ranking_is_asked_for(run: Run) -> None:
    Path("claims").mkdir()
    corpus = "".join(
        json.dumps({"doc_id": n, "title": WORDS[n], "abstract": ["One.", "Two."]}) + "\n" for n in range(8)
    )
    Path("claims/corpus.jsonl").write_text(corpus)
    for split, places in (("train", range(6)), ("dev", range(6, 8))):
        rows = [
            {"id": n, "claim": f"{WORDS[n]} helps", "cited_doc_ids": [n], "evidence": {str(n): [{"label": label}]}}
            for n, label in zip(places, ["SUPPORT", "CONTRADICT"] * 3, strict=False)
        ]
        Path(f"claims/claims_{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pairs = run("--dataset scifact --from claims --json --tokenizer no/such-model --dev-fraction 0.4")
    assert json.loads(pairs.stdout)["task"] == "classification"
    ranked = run("--dataset scifact --task ranking --from claims --json --negatives 2 --dev-fraction 0.4 --overwrite")
    manifest = json.loads(ranked.stdout)
    assert (manifest["task"], manifest["roles"]) == ("ranking", {"dev": "test"})
    assert manifest["license"] == "claims CC BY 4.0, abstracts ODC-By 1.0"
    files = {path.name for path in Path("data/scifact").iterdir()}
    assert files == {*manifest["files"], "manifest.json", "bm25"} - {name for name in manifest["files"] if "/" in name}


def test_existing_output(run: Run) -> None:
    line = "--dataset ranking --from files --negatives 2 --dev-fraction 0.2"
    assert run(line).exit_code == 0
    second = run(line)
    assert second.exit_code == 3
    assert "--overwrite" in second.stderr
    assert run(line + " --overwrite").exit_code == 0


def test_only_a_test_split_is_for_ranking(run: Run) -> None:
    Path("files/qrels/train.tsv").unlink()
    result = run("--dataset ranking --from files")
    assert result.exit_code == 0, result.output
    assert "6 of 8 queries have no relevance judgments" in result.stderr
    assert "ag rank RUN --dataset data/ranking" in result.stderr


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("--dataset ranking", 2, "--from PATH"),
        ("--dataset cross-genre-ir --from absent", 3, "no such file or folder"),
        ("--dataset cross-genre-ir --from files", 3, "data_abst_200k_pure.json"),
        (
            "--dataset ranking --from files --quoting none --text-a q",
            2,
            "--text-a, --quoting: of no use for --task ranking",
        ),
        ("--dataset ranking --from files --train x", 2, "--train: of no use"),
        ("--dataset multinli --from files --depth 5", 2, "--depth: of no use for --task classification"),
        ("--dataset x --task classification --from files --negatives 3", 2, "say --task ranking"),
        ("--dataset x --task classification --format beir --from files", 2, "no format of --task classification"),
        ("--dataset x --task ranking --format tabular --from files", 2, "Allowed: cross-genre-ir, claims, beir, trec"),
        ("--dataset x --format bier --from files", 2, "Did you mean 'beir'"),
        ("--dataset ranking --from files --depth 0", 2, "--depth"),
        ("--dataset ranking --from files --negatives 8", 3, "--negatives 7"),
        ("--dataset ranking --from files --negatives-from bm52", 2, "bm25"),
        ("--dataset ranking --from files --stemmer klingon --negatives 2", 2, "no stemmer 'klingon'"),
        ("--dataset ../mine --task ranking --from files", 2, "a name, not a path"),
    ],
)
def test_wrong_calls(run: Run, line: str, code: int, words: str) -> None:
    result = run(line)
    assert result.exit_code == code, result.output
    assert words in result.stderr
    assert not Path("data").exists()


def test_a_folder_that_may_not_be_written_to_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    make = os.mkdir

    def refuse(path: object, *rest: Any, **options: Any) -> None:
        if Path(str(path)).parent.name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        make(str(path), *rest, **options)

    Path("closed").mkdir()
    monkeypatch.setattr(os, "mkdir", refuse)
    result = run("--dataset mine --task ranking --from files --negatives 3 --dev-fraction 0.2 --output closed/x")
    assert result.exit_code == 1, result.output
    assert "cannot write closed/x: Permission denied" in result.stderr
    assert "next: " in result.stderr
