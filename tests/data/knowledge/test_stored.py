"""Knowledge on the disk: beside its data, whole or not there, and never used for other data."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from known_words import ToParser, prepared

from agcli.data.knowledge.preparation import KnowledgeMaker
from agcli.data.knowledge.stored import (
    PLACES,
    RELATIONS,
    WORDS,
    knowledge_digests,
    load_knowledge,
    read_knowledge_manifest,
)
from agcli.data.knowledge.wordsim import Taxonomy
from agcli.data.prepared import PreparedPairs, load_prepared
from agcli.errors import DataError, RunError

TRAIN = [
    ("new york city", "a city"),
    ("new york dog", "the dog barks"),
    ("a cat", "a dog and a cat"),
    *((f"unrelated {n}", f"other {n}") for n in range(4)),
]
TOY = Taxonomy(
    lambda word, kind: word if kind == "n" and word in ("dog", "cat") else None,
    lambda sense: ["pet"] if sense in ("dog", "cat") else [],
)


def maker(**changes: str) -> KnowledgeMaker:
    resources = {"wordsim": TOY, "dependency": ToParser()}
    return KnowledgeMaker(resources, {name: {"of": "test", **changes} for name in ("pmi", "wordsim", "dependency")})


@pytest.fixture
def data(tmp_path: Path) -> PreparedPairs:
    return prepared(tmp_path / "data", TRAIN)


def test_it_lies_beside_the_data_and_leaves_them_as_they_are(data: PreparedPairs) -> None:
    before = {path: path.read_bytes() for path in data.folder.iterdir()}
    assert data.knowledge == ()
    made = maker().add_to(data)
    assert {path: path.read_bytes() for path in data.folder.iterdir() if path.is_file()} == before
    again = load_prepared(data.folder)
    assert (again.digest, again.knowledge) == (data.digest, ("dependency", "pmi", "wordsim"))
    assert knowledge_digests(again, ["pmi", "wordsim"]) == {name: made[name]["digest"] for name in ("pmi", "wordsim")}
    for name in again.knowledge:
        loaded = load_knowledge(again, name)
        starts, ends, numbers = loaded.spans("new york dog")
        assert (starts.tolist(), ends.tolist()) == ([0, 4, 9], [3, 8, 12])
        assert loaded.relations.of_tokens(numbers, np.zeros(3, np.int8)).any()
        assert loaded.manifest["data_digest"] == data.digest
        assert 0 < loaded.manifest["coverage"] <= 1


def test_coverage_is_the_share_of_words_with_another_one(tmp_path: Path) -> None:
    data = prepared(tmp_path / "d", [("dog cat house", "dog"), ("house", "")])
    made = KnowledgeMaker({"wordsim": TOY}, {"wordsim": {}}).add_to(data)["wordsim"]
    assert made["coverage"] == 3 / 5  # dog, cat, and the second dog; a word is not its own relation


def test_what_is_there_already_is_kept_and_other_settings_make_it_anew(data: PreparedPairs) -> None:
    first = maker().add_to(data)
    stamps = {path: path.stat().st_mtime_ns for path in data.folder.rglob("*.npz")}
    assert maker().add_to(data) == first
    assert {path: path.stat().st_mtime_ns for path in data.folder.rglob("*.npz")} == stamps
    assert maker(of="another version").add_to(data)["pmi"]["made_with"] == {"of": "another version"}
    assert {path: path.stat().st_mtime_ns for path in data.folder.rglob("*.npz")} != stamps


def test_stale_knowledge_is_refused_and_made_anew(data: PreparedPairs) -> None:
    maker().add_to(data)
    kept = {path.name: path.read_bytes() for path in (data.folder / "knowledge" / "pmi").iterdir()}
    changed = prepared(data.folder, [*TRAIN, ("more", "words")], overwrite=True)
    assert changed.knowledge == ()  # an overwrite takes it along
    folder = data.folder / "knowledge" / "pmi"
    folder.mkdir(parents=True)
    for name, content in kept.items():
        (folder / name).write_bytes(content)
    for use in (lambda: load_knowledge(changed, "pmi"), lambda: knowledge_digests(changed, ["pmi"])):
        with pytest.raises(DataError, match="knowledge 'pmi' was made from other data") as error:
            use()
        assert error.value.hint == f"ag prepare --dataset {data.folder} --knowledge pmi"
    assert maker().add_to(changed)["pmi"]["data_digest"] == changed.digest


def test_missing_knowledge_names_the_command(data: PreparedPairs) -> None:
    maker().add_to(data)
    with pytest.raises(DataError, match="these data have no knowledge 'x' and 'y'") as error:
        knowledge_digests(data, ["pmi", "x", "y"])
    assert error.value.hint == f"ag prepare --dataset {data.folder} --knowledge x,y"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    middle = slice(len(content) // 2 - 8, len(content) // 2 + 40)  # past what a zip file can do without
    content[middle] = bytes(each ^ 0xFF for each in content[middle])
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("damage", [cut, flip, Path.unlink])
@pytest.mark.parametrize("file", [f"pmi/{WORDS}", f"pmi/{RELATIONS}", f"dependency/{PLACES}", "pmi/manifest.json"])
def test_damaged_files_are_refused_and_made_anew(
    data: PreparedPairs, file: str, damage: Callable[[Path], None]
) -> None:
    name = file.split("/")[0]
    whole = maker().add_to(data)[name]["digest"]
    damage(data.folder / "knowledge" / file)
    with pytest.raises(DataError) as error:
        load_knowledge(data, name)
    assert f"--knowledge {name}" in str(error.value.hint)
    assert "new york" not in str(error.value)
    maker().add_to(data)  # of the same settings: the command that the hint names mends it
    assert load_knowledge(data, name).digest == whole


def test_knowledge_of_another_kind_is_refused_and_made_anew(data: PreparedPairs) -> None:
    maker().add_to(data)
    folder = data.folder / "knowledge"
    shutil.rmtree(folder / "wordsim")
    shutil.copytree(folder / "pmi", folder / "wordsim")
    with pytest.raises(DataError, match="this is knowledge 'pmi', in the place of 'wordsim'") as error:
        knowledge_digests(data, ["wordsim"])
    assert "--knowledge wordsim" in str(error.value.hint)
    assert maker().add_to(data)["wordsim"]["name"] == "wordsim"


def test_arcs_stay_in_their_text_whatever_the_manifest_says(data: PreparedPairs) -> None:
    maker().add_to(data)
    manifest = data.folder / "knowledge" / "dependency" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"within_text": true', '"within_text": false'))
    assert load_knowledge(data, "dependency").relations.within_text
    assert not load_knowledge(data, "pmi").relations.within_text


@pytest.mark.parametrize("entry", [{"size": np.array([1, 2])}, {"values": np.array(["a", "b"])}, {"first": np.ones(1)}])
def test_tables_of_another_form_are_refused(data: PreparedPairs, entry: dict[str, np.ndarray]) -> None:
    maker().add_to(data)
    file = data.folder / "knowledge" / "pmi" / RELATIONS
    with np.load(file) as stored:
        table = dict(stored) | entry
    np.savez_compressed(file, **table)
    with pytest.raises(DataError, match="not what its manifest recorded"):
        load_knowledge(data, "pmi")


@pytest.mark.parametrize(
    "moment", ["agcli.runs.atomic._put_in_place", "agcli.runs.atomic.sync", "numpy.savez_compressed"]
)
def test_killed_half_way(data: PreparedPairs, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    def die(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as patch:
        patch.setattr(moment, die)
        process = multiprocessing.get_context("fork").Process(target=lambda: maker().add_to(data))
        process.start()
        process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert load_prepared(data.folder).knowledge == ()
    maker().add_to(data)
    assert load_knowledge(data, "pmi").manifest["pairs"] > 0
    prepared(data.folder, TRAIN, overwrite=True)  # what a killed process left is no obstacle


def test_a_disk_that_refuses(data: PreparedPairs, monkeypatch: pytest.MonkeyPatch) -> None:
    first = maker().add_to(data)["pmi"]

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numpy.savez_compressed", full)
    with pytest.raises(RunError, match=r"cannot write .*pmi: No space left"):
        maker(of="other").add_to(data)
    monkeypatch.undo()
    assert read_knowledge_manifest(data, "pmi") == first


def test_words_stay_in_the_words_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Of credentialed data nothing but the prepared folder holds a word, and there only one file of the table."""
    data = prepared(tmp_path / "secret", [("quokka fever", "quokka pain")] * 3, credentialed=True)
    maker().add_to(data)
    assert capfd.readouterr() == ("", "")
    holding = {
        path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file() and b"quokka" in path.read_bytes()
    }
    names = {str(path) for path in holding if path.suffix != ".parquet"}
    assert names == {"secret/knowledge/wordsim/words.txt"}  # pmi needs more than one input
    assert "quokka" not in json.dumps(maker().add_to(data))


def test_data_without_a_training_split(tmp_path: Path) -> None:
    data = prepared(tmp_path / "d", TRAIN)
    bare = PreparedPairs(data.folder, data.manifest, {"test": data.splits["test"]})
    with pytest.raises(DataError, match="knowledge is made of the training split, and there is none"):
        maker().add_to(bare)
