"""`ag prepare --knowledge` as a user runs it."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from agcli.cli.app import app
from agcli.data.knowledge import preparation
from agcli.data.knowledge.wordsim import Taxonomy
from agcli.errors import install_command

Run = Callable[..., Any]
SOURCE = "--dataset mine --from files --tokenizer no/such-model"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    Path("files").mkdir()
    for split, count in (("train", 40), ("test", 12)):
        rows = [
            {
                "sentence1": f"the dog and {split} {n % 3}",
                "sentence2": f"a cat {n}",
                "gold_label": "neutral" if n % 2 else "entailment",
            }
            for n in range(count)
        ]
        Path("files", f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def invoke(line: str, code: int = 0) -> Result:
        result = CliRunner().invoke(app, ["prepare", *shlex.split(line)])
        assert result.exit_code == code, result.output
        return result

    return invoke


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """WordNet of two words."""

    @contextmanager
    def opened(folder: Path | None) -> Iterator[tuple[Taxonomy, dict[str, str]]]:
        senses = Taxonomy(
            lambda word, kind: word if word in ("dog", "cat") and kind == "n" else None, lambda _: ["pet"]
        )
        yield (
            Taxonomy(senses.first_sense, lambda sense: [] if sense == "pet" else ["pet"]),
            {"nltk": "9", "wordnet": str(folder)},
        )

    monkeypatch.setattr(preparation, "open_wordnet", opened)


def test_with_the_data(run: Run, toy: None) -> None:
    shown = run(f"{SOURCE} --knowledge wordsim,pmi --wordnet some/folder").stdout
    assert "knowledge of mine, in data/mine/knowledge" in shown
    assert "nltk 9, wordnet some/folder" in shown
    assert sorted(path.name for path in Path("data/mine/knowledge").iterdir()) == ["pmi", "wordsim"]
    first = json.loads(Path("data/mine/knowledge/wordsim/manifest.json").read_text())
    assert 0 < first["coverage"] < 1
    assert first["data_digest"] == json.loads(Path("data/mine/manifest.json").read_text())["digest"]


@pytest.mark.parametrize("named", ["mine", "data/mine", "./data/mine"])
def test_of_data_that_are_prepared(run: Run, named: str) -> None:
    run(SOURCE)
    before = {path: path.read_bytes() for path in Path("data/mine").iterdir()}
    for file in Path("files").iterdir():
        file.unlink()  # the source is not read again
    shown = run(f"--dataset {named} --knowledge pmi")
    assert "knowledge of mine" in shown.stdout
    assert {path: path.read_bytes() for path in Path("data/mine").iterdir() if path.is_file()} == before
    made = json.loads(run(f"--dataset {named} --knowledge pmi --json").stdout)
    assert made["pmi"]["pairs"] == json.loads(Path("data/mine/knowledge/pmi/manifest.json").read_text())["pairs"]


def test_json_has_it_beside_the_manifest(run: Run) -> None:
    shown = json.loads(run(f"{SOURCE} --knowledge pmi --json").stdout)
    assert shown.pop("knowledge").keys() == {"pmi"}
    assert shown == json.loads(Path("data/mine/manifest.json").read_text())


def test_knowledge_of_other_data_beside_it_is_a_warning(run: Run, toy: None) -> None:
    run(f"{SOURCE} --knowledge wordsim --wordnet some/folder")
    manifest = Path("data/mine/knowledge/wordsim/manifest.json")
    manifest.write_text(manifest.read_text().replace('"data_digest": "', '"data_digest": "0'))
    shown = run("--dataset mine --knowledge pmi")
    assert "knowledge 'wordsim' was made from other data" in shown.stderr
    assert "--knowledge wordsim" in shown.stderr
    assert "pmi" in shown.stdout


def test_data_that_are_replaced_lose_it(run: Run) -> None:
    run(f"{SOURCE} --knowledge pmi")
    run(f"{SOURCE} --overwrite")
    assert not Path("data/mine/knowledge").exists()


def test_what_cannot_be(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = run(f"{SOURCE} --knowledge pmi,wordsimm", 2).stderr
    assert (
        "--knowledge: 'wordsimm' is not allowed; allowed: one of pmi, wordsim, dependency. Did you mean 'wordsim'?"
        in wrong
    )
    for name, package in (("wordsim", "nltk"), ("dependency", "spacy")):
        monkeypatch.setitem(sys.modules, package, None)
        shown = run(f"{SOURCE} --knowledge pmi,{name}", 2).stderr
        assert f"--knowledge {name} needs the package '{package}'" in shown
        assert install_command("knowledge") in shown
        assert not Path("data").exists()
    run(SOURCE)
    assert (
        "--knowledge names nothing; allowed: pmi, wordsim, dependency" in run("--dataset mine --knowledge ,", 2).stderr
    )
    useless = run("--dataset mine --knowledge pmi --labels a,b --seed 3", 2).stderr
    assert "--seed, --labels: of no use, as" in useless
    assert "prepared already" in useless
    assert "already there" in run(f"{SOURCE} --knowledge pmi", 3).stderr


def test_credentialed_text_is_never_shown(run: Run) -> None:
    result = run(f"{SOURCE} --credentialed --labels neutral,entailment --knowledge pmi")
    assert "dog" not in result.stdout + result.stderr
    assert "dog" in Path("data/mine/knowledge/pmi/words.txt").read_text()
