"""`ag prepare` as a user runs it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from narrow_terminal import assert_narrows
from typer.testing import CliRunner

from agcli.cli.app import app

LABELS = ("entailment", "neutral", "contradiction")
Run = Callable[[str], Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `ag prepare ...` in a folder with a small source called `files`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    write(Path("files"), ("train", 40), ("test", 12))
    return lambda line: CliRunner().invoke(app, ["prepare", *shlex.split(line)])


def write(folder: Path, *splits: tuple[str, int], prefix: str = "", suffix: str = "") -> None:
    folder.mkdir()
    for split, count in splits:
        with (folder / f"{prefix}{split}{suffix}.jsonl").open("w") as handle:
            for n in range(count):
                texts = {"sentence1": f"[b]{split}[/b] one {n}", "sentence2": f"Zebra {split} two {n}"}
                handle.write(json.dumps({"gold_label": LABELS[n % 3], "pairID": f"{split}{n}", **texts}) + "\n")


def test_writes_into_data_and_says_what_it_did(run: Run) -> None:
    result = run("--dataset mine --from files --show 2 --tokenizer no/such-model")
    assert result.exit_code == 0, result.output
    assert (Path("data") / "mine" / "manifest.json").is_file()
    for word in ("mine, prepared in data/mine", "dev was cut from train: 4 rows", "[b]test[/b] one 1", "test.jsonl"):
        assert word in result.stdout
    assert "lengths in tokens are left out" in result.stderr
    assert "ag finetune --dataset data/mine" in result.stderr


def test_json_is_the_manifest_and_nothing_else(run: Run) -> None:
    result = run("--dataset mine --from files --json --output elsewhere --license CC0 --dev-fraction 0.2 --seed 4")
    manifest = json.loads(result.stdout)
    assert manifest == json.loads(Path("elsewhere/manifest.json").read_text())
    assert manifest["license"] == "CC0"
    assert manifest["dev_cut"] == {"fraction": 0.2, "seed": 4, "rows": 8, "groups": 8, "by": "text", "why": ""}


def test_cuts_and_their_grouping_are_shown(run: Run) -> None:
    line = "--dataset mine --train files/train.jsonl --test-fraction 0.2 --tokenizer no/such-model"
    result = run(f"{line} --group-by first-text")
    assert result.exit_code == 0, result.output
    shown = " ".join(result.stdout.split())
    for split, rows in (("dev", 4), ("test", 8)):
        assert f"{split} was cut from train: {rows} rows; rows that share the first text stay together" in shown
    assert "--group-by document: no pair names" in run(f"{line} --group-by document --overwrite").stderr


def test_existing_output(run: Run) -> None:
    line = "--dataset mine --from files --tokenizer no/such-model"
    assert run(line).exit_code == 0
    second = run(line)
    assert second.exit_code == 3
    assert "--overwrite" in second.stderr
    assert run(line + " --overwrite").exit_code == 0


def test_credentialed_text_is_never_shown(run: Run) -> None:
    write(Path("mednli"), ("train", 9), ("dev", 6), ("test", 6), prefix="mli_", suffix="_v1")
    result = run("--dataset mednli --from mednli --show 3 --tokenizer no/such-model")
    assert result.exit_code == 0, result.output
    assert "train0" in result.stdout
    assert "Zebra" not in result.output + result.stderr
    assert "lengths" in result.stderr


def test_options_reach_the_request(run: Run) -> None:
    rows = "".join(f"q{n}|,a{n},{'yes' if n % 2 else 'no'},k{n},{'train' if n < 20 else 'dev'},d\n" for n in range(28))
    Path("t.csv").write_text("q,a,y,key,part,doc\n" + rows)
    line = (
        "--dataset own --from t.csv --text-a q --text-b a --label y --id key --document doc --split-column part "
        "--labels yes,no --quoting none --json"
    )
    manifest = json.loads(run(line).stdout)
    assert manifest["labels"] == ["yes", "no"]
    assert manifest["roles"] == {"dev": "test"}
    assert manifest["sources"][0]["quoting"] == "none"
    assert manifest["documents_shared"]["train/test"] == {"shared": 1, "of": 1}
    strict = run(line + " --strict-splits --overwrite")
    assert strict.exit_code == 3
    assert "--strict-splits forbids" in strict.stderr


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("--dataset mednli", 3, "physionet.org"),
        ("--dataset mine", 2, "--from PATH"),
        ("--dataset mine --from absent", 3, "no such file or folder"),
        ("--dataset ../mine --from files", 2, "a name, not a path"),
        ("--dataset mine --from files --train x", 2, "exclude each other"),
        ("--dataset mine --from files --format tabluar", 2, "Did you mean 'tabular'"),
        ("--dataset mine --from files --format hub --offline", 2, "is a folder here"),
        ("--dataset mine --format hub", 2, "No hub id is known"),
        ("--dataset multinli --from files --text-a q --id k", 2, "--text-a, --id cannot be used"),
        ("--dataset mine --from files --dev-fraction 1.5", 2, "above 0 and below 1"),
        ("--dataset mine --from files --quoting some", 2, "minimal"),
        ("--dataset mine --from files --quoting some --dev-fraction 2", 2, "--dev-fraction: 2.0 is not allowed"),
        ("--dataset mine --from files --quoting some --dev-fraction 2", 2, "--quoting: 'some' is not allowed"),
        ("--dataset some/thing --offline", 3, "without --offline"),
        ("--dataset multinli --from files --labels entailment,neutral", 3, "Allowed: entailment, neutral"),
        ("--dataset mine --from files --label-map neutral", 2, "--label-map takes OLD=NEW"),
        ("--dataset mine --from files --label-map neutrl=x", 3, "Did you mean 'neutral'"),
        ("--dataset mine --from files --no-ids --id pairID", 2, "exclude each other"),
    ],
)
def test_wrong_calls(run: Run, line: str, code: int, words: str) -> None:
    result = run(line)
    assert result.exit_code == code
    assert words in result.stderr
    assert not Path("data").exists()


def test_a_set_to_judge_with_in_a_folder_with_a_space(run: Run) -> None:
    line = "--test files/test.jsonl --no-ids --label-map neutral=no,entailment=yes --label-map contradiction=no"
    result = run(f"--dataset 'a set' {line} --tokenizer no/such-model")
    assert result.exit_code == 0, result.output
    assert "next: ag evaluate RUN --dataset 'data/a set'" in result.stderr
    assert "no training data" in result.stderr
    assert "the label 'neutral' became 'no'" in result.stdout


def test_eight_labels_on_narrow_terminals(run: Run) -> None:
    rows = [f"{n},one {n},two {n},a_longer_label_{n % 8}" for n in range(48)]
    Path("many.csv").write_text("\n".join(["id,text_a,text_b,label", *rows]))
    line = [
        "prepare",
        "--dataset",
        "many",
        "--train",
        "many.csv",
        "--dev-fraction",
        0.2,
        "--tokenizer",
        "no/such-model",
    ]
    line.append("--overwrite")
    assert_narrows(*line)
    assert_narrows(*line, "--show", "2")


def test_the_next_command_quotes_a_folder_with_a_space(run: Run) -> None:
    result = run("--dataset mine --from files --output 'my data/a set' --tokenizer no/such-model")
    assert "next: ag finetune --dataset 'my data/a set'" in result.stderr
