"""The prepared form: written whole or not at all, checked when loaded, found by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pandas as pd
import pytest
from closed_files import close
from source_files import nli_rows, write_txt
from tiny_rankings import write_ranking_dataset

from agcli.data import prepared
from agcli.data.bm25 import open_index
from agcli.data.catalogue import find_dataset
from agcli.data.formats.sample import sample_folder
from agcli.data.preparation import prepare
from agcli.data.prepared import PreparedPairs, load_prepared
from agcli.data.ranking.prepared import INDEX, load_ranking
from agcli.data.request import PrepareRequest
from agcli.data.split_files import split_of
from agcli.errors import DataError, ModelError, RunError
from agcli.tasks.base import load_dataset

Make = Callable[..., PreparedPairs]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write_txt(tmp_path / "source" / "train.txt", nli_rows(40))
    write_txt(tmp_path / "source" / "dev.txt", nli_rows(12, "d"))
    return tmp_path / "source"


def test_round_trip(make: Make, source: Path) -> None:
    written = make(source=str(source))
    read = load_prepared(written.folder)
    assert read.manifest == written.manifest
    assert read.labels == written.labels
    for split, frame in written.splits.items():
        assert frame.to_numpy().tolist() == read.splits[split].to_numpy().tolist()
    assert sorted(entry.name for entry in written.folder.parent.iterdir()) == ["multinli"]


def test_token_lengths_or_the_reason_without(make: Make, source: Path, tmp_path: Path) -> None:
    def count(text_a: list[str], text_b: list[str]) -> list[int]:
        return [len(a.split()) + len(b.split()) for a, b in zip(text_a, text_b, strict=True)]

    def absent(text_a: list[str], text_b: list[str]) -> list[int]:
        raise ModelError("not on this machine")

    request = PrepareRequest(name="multinli", output=tmp_path / "one", source=str(source))
    facts = prepare(request, count).manifest["splits"]["train"]
    assert facts["tokens"] == {"min": 6, "p50": 6, "p90": 6, "p95": 6, "p99": 6, "max": 6, "mean": 6.0}
    manifest = prepare(PrepareRequest(name="multinli", output=tmp_path / "two", source=str(source)), absent).manifest
    assert manifest["splits"]["train"]["tokens"] is None
    assert manifest["tokenizer"] == {"name": "minilm", "missing": "not on this machine"}


def test_existing_data_are_replaced_only_on_request(make: Make, source: Path, tmp_path: Path) -> None:
    first = make(source=str(source))
    (first.folder / "README.md").write_text("a note")
    with pytest.raises(DataError, match="already there") as caught:
        make(source=str(source), seed=2)
    assert "--overwrite" in str(caught.value.hint)
    assert load_prepared(first.folder).digest == first.digest
    second = make(source=str(source), seed=2, overwrite=True)
    assert load_prepared(first.folder).digest == second.digest != first.digest
    assert (first.folder / "README.md").read_text() == "a note"
    assert [entry.name for entry in first.folder.parent.iterdir()] == ["multinli"]


def test_a_folder_with_other_files_is_never_replaced(make: Make, source: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.tex").write_text("years of work")
    with pytest.raises(DataError, match=r"did not write.*thesis\.tex"):
        make(source=str(source), output=home, overwrite=True)
    assert (home / "thesis.tex").read_text() == "years of work"


def test_a_source_is_never_replaced_by_its_prepared_form(make: Make, source: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    raw = make(source=str(source)).splits
    home.mkdir()
    for split, frame in raw.items():
        frame.assign(annotator="A").to_parquet(home / f"{split}.parquet")
    with pytest.raises(DataError, match=r"did not write.*dev\.parquet"):
        make(source=str(source), output=home, overwrite=True)
    with pytest.raises(DataError, match="the source lies where its prepared form would replace it"):
        make(source=str(home), output=home, overwrite=True)
    with pytest.raises(DataError, match="a file is there already"):
        make(source=str(home), output=home / "train.parquet", overwrite=True)
    assert "annotator" in pd.read_parquet(home / "train.parquet")


def test_a_link_to_a_folder_stays_one(make: Make, source: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "data").symlink_to("disk")
    for overwrite in (False, True):
        make(source=str(source), output=tmp_path / "data", overwrite=overwrite)
    assert (tmp_path / "data").is_symlink()
    assert (tmp_path / "disk" / "manifest.json").is_file()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_folders_that_cannot_be_written_are_refused_before_the_reading(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for output in (Path(), tmp_path.parent):
        with pytest.raises(DataError, match="the current folder cannot be replaced"):
            make(source="nowhere", output=output)
    with pytest.raises(RunError, match="File name too long"):
        make(source="nowhere", output=tmp_path / ("n" * 300))


@pytest.mark.parametrize("moment", ["to_parquet", "rename"])
def test_a_failure_while_writing_leaves_the_old_data(
    make: Make, source: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    first = make(source=str(source))

    def full_disk(self: object, target: object, **_: object) -> None:
        if moment == "to_parquet" or str(self).endswith(".tmp"):
            raise OSError(28, "No space left on device")
        original(self, target)

    home = pd.DataFrame if moment == "to_parquet" else Path
    original = getattr(home, moment)
    monkeypatch.setattr(home, moment, full_disk)
    with pytest.raises(RunError, match="No space left"):
        make(source=str(source), seed=2, overwrite=True)
    monkeypatch.undo()
    assert load_prepared(first.folder).digest == first.digest
    assert [entry.name for entry in first.folder.parent.iterdir()] == ["multinli"]


def test_damage_is_found_at_loading(make: Make, source: Path, tmp_path: Path) -> None:
    folder = make(source=str(source)).folder
    manifest = folder / "manifest.json"
    good = json.loads(manifest.read_text())
    frame = pd.read_parquet(folder / "train.parquet")
    for change, words in [({"format": 9}, "format"), ({"splits": {"../x": {}}}, "unknown split")]:
        manifest.write_text(json.dumps({**good, **change}))
        with pytest.raises(DataError, match=words):
            load_prepared(folder)
    manifest.write_text(json.dumps({key: value for key, value in good.items() if key != "digest"}))
    with pytest.raises(DataError, match="column 'digest'"):
        load_prepared(folder)
    manifest.write_text(json.dumps(good))
    frame.assign(label="neutral").to_parquet(folder / "train.parquet", index=False)
    with pytest.raises(DataError, match="digest mismatch"):
        load_prepared(folder)
    (folder / "train.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="not a readable parquet"):
        load_prepared(folder)
    (folder / "train.parquet").unlink()
    with pytest.raises(DataError, match="missing"):
        load_prepared(folder)


def test_a_manifest_of_an_earlier_version_has_its_task_inferred(make: Make, source: Path) -> None:
    written = make(source=str(source))
    assert written.manifest["task"] == "classification"
    older = {key: value for key, value in written.manifest.items() if key != "task"}
    (written.folder / "manifest.json").write_text(json.dumps(older))
    read = load_dataset(written.folder)
    assert isinstance(read, PreparedPairs)
    assert (read.digest, read.manifest["task"]) == (written.digest, "classification")


def test_digest_sees_every_cell_and_the_order() -> None:
    frame = pd.DataFrame([["1", "a", "b", "x", ""], ["2", "c", "d", "y", ""]], columns=list(prepared.COLUMNS))
    digests = [prepared.data_digest(("x", "y"), {"train": frame})]
    for row in range(2):
        for column in prepared.COLUMNS:
            changed = frame.copy()
            changed.loc[row, column] += "!"
            digests.append(prepared.data_digest(("x", "y"), {"train": changed}))
    digests.append(prepared.data_digest(("x", "y"), {"train": frame.iloc[::-1]}))
    digests.append(prepared.data_digest(("y", "x"), {"train": frame}))
    digests.append(prepared.data_digest(("x", "y"), {"dev": frame}))
    assert len(set(digests)) == len(digests)


def test_finding_a_data_set(make: Make, source: Path, tmp_path: Path) -> None:
    folder = make(source=str(source), output=tmp_path / "data" / "multinli").folder
    assert find_dataset(str(folder), tmp_path / "elsewhere") == folder
    assert find_dataset("data/multinli", tmp_path) == folder
    assert find_dataset("multinli", tmp_path) == folder
    with pytest.raises(DataError, match="Did you mean 'multinli'") as caught:
        find_dataset("multinly", tmp_path)
    assert caught.value.hint == "ag prepare --dataset multinly --from PATH"
    with pytest.raises(DataError, match="not a prepared data set") as caught:
        find_dataset("source", tmp_path)
    assert caught.value.hint == "ag prepare --dataset source --from source"
    with pytest.raises(DataError, match="credentialed") as caught:
        find_dataset("mednli", tmp_path)
    assert "ag prepare --dataset mednli --from" in str(caught.value.hint)


def test_the_sample_is_found_anywhere_and_yields_to_your_own(make: Make, source: Path, tmp_path: Path) -> None:
    assert find_dataset("sample", tmp_path) == sample_folder()
    own = make("sample", output=tmp_path / "data" / "sample").folder
    assert find_dataset("sample", tmp_path) == own


@pytest.mark.parametrize("name", ["sample", "sample-hard"])
def test_the_shipped_samples_are_what_prepare_makes_of_their_pairs(make: Make, name: str) -> None:
    shipped, fresh = load_prepared(sample_folder(name)), make(name)
    assert shipped.digest == fresh.digest
    assert list(shipped.splits) == ["train", "dev", "test"]
    assert shipped.manifest["license"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("multinli_1.0_dev_matched", ("dev", "multinli 1 0")),
        ("multinli_1.0_dev_mismatched", (None, "multinli 1 0 mismatched")),
        ("mli_train_v1", ("train", "mli v1")),
        ("validation", ("dev", "")),
        ("training-set", ("train", "set")),
        ("train_test", (None, "")),
        ("constrain", (None, "constrain")),
        ("Train2", ("train", "2")),
        ("data_dev_10", ("dev", "data 10")),
        ("test1_train", (None, "1")),
        ("contest2", (None, "contest2")),
        ("test2b", (None, "test2b")),
    ],
)
def test_split_names(name: str, expected: tuple[str | None, str]) -> None:
    assert split_of(name) == expected


@pytest.mark.parametrize("name", ["manifest.json", ""])
def test_prepared_data_that_may_not_be_read(name: str, dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    close(dataset / name, monkeypatch)
    with pytest.raises(DataError, match=rf"{name or 'manifest.json'}: cannot be read \(Permission denied\)") as caught:
        load_prepared(find_dataset(str(dataset), Path.cwd()))
    assert f"chmod u+rX {dataset}" in str(caught.value.hint)


def test_prepared_rows_that_may_not_be_read(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: object) -> NoReturn:
        raise PermissionError(13, "Failed to open local file")  # as pyarrow says it

    monkeypatch.setattr(pd, "read_parquet", refuse)
    with pytest.raises(DataError, match=r"train\.parquet: cannot be read") as caught:
        load_prepared(dataset)
    assert f"chmod u+rX {dataset / 'train.parquet'}" in str(caught.value.hint)


@pytest.mark.parametrize("name", ["manifest.json", "corpus.arrow", "queries.parquet", "bm25/settings.json"])
def test_ranking_data_that_may_not_be_read(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_ranking_dataset(tmp_path / "ranking").folder
    close(folder / name, monkeypatch)
    with pytest.raises(DataError, match=rf"{name}: cannot be read \(Permission denied\)") as caught:
        open_index(folder / INDEX, load_ranking(folder).document_ids)
    assert f"chmod u+rX {folder / name}" in str(caught.value.hint)
