"""MedNLI: found, or explained; its text in no message whatever goes wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from source_files import LABELS

from agcli.data.prepared import PreparedPairs
from agcli.errors import AgError, DataError

SECRET = "Zebrafisch"
Record = dict[str, object]


def records(split: str, count: int = 12) -> list[Record]:
    return [
        {
            "sentence1": f"{SECRET} premise {split} {n}",
            "sentence2": f"{SECRET} hypothesis {split} {n}",
            "gold_label": LABELS[n % 3],
            "pairID": f"{split}-{n}",
        }
        for n in range(count)
    ]


def write(folder: Path, split: str, content: list[Record]) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"mli_{split}_v1.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in content))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for split in ("train", "dev", "test"):
        write(tmp_path / "physionet", split, records(split))
    return tmp_path / "physionet"


@pytest.mark.parametrize("name", ["mednli", "multinli", "another-name"])
def test_is_credentialed_whatever_it_is_called(folder: Path, make: Callable[..., PreparedPairs], name: str) -> None:
    prepared = make(name, source=str(folder))
    assert prepared.credentialed
    assert list(prepared.splits) == ["train", "dev", "test"]
    assert SECRET not in json.dumps(prepared.manifest)


@pytest.mark.parametrize(
    "options", [{"name": "MedNLI"}, {"name": "data/mednli"}, {"name": "own", "credentialed": True}]
)
def test_renamed_files_are_credentialed_by_name_or_by_option(
    tmp_path: Path, make: Callable[..., PreparedPairs], options: dict[str, Any]
) -> None:
    for split in ("train", "dev", "test"):
        content = records(split)
        path = write(tmp_path / "renamed", split, [*content[:-1], {**content[-1], "gold_label": SECRET}])
        path.rename(path.with_name(f"{split}.jsonl"))
    with pytest.raises(DataError, match="label outside the set") as caught:
        make(source=str(tmp_path / "renamed"), **options)
    assert SECRET not in str(caught.value)


def test_what_is_no_gzip_file_is_not_quoted(folder: Path, make: Callable[..., PreparedPairs]) -> None:
    path = folder / "mli_train_v1.jsonl"
    path.rename(f"{path}.gz")
    with pytest.raises(DataError, match="not made by gzip"):
        make("mednli", source=str(folder))


def test_absent_files_are_explained(tmp_path: Path, folder: Path, make: Callable[..., object]) -> None:
    (folder / "mli_test_v1.jsonl").unlink()
    (tmp_path / "empty").mkdir()
    for source in (None, str(tmp_path / "empty"), str(tmp_path / "absent"), str(folder)):
        with pytest.raises(DataError) as caught:
            make("mednli", source=source)
        hint = str(caught.value.hint)
        assert "physionet.org/content/mednli/1.0.0" in hint
        assert "credentialed" in hint
        assert "mli_train_v1.jsonl" in hint
        assert "ag prepare --dataset mednli --from" in hint


def broken(split: list[Record], **change: object) -> list[Record]:
    return [*split[:-1], {**split[-1], **change}]


@pytest.mark.parametrize("name", ["mednli", "multinli", "own"])
@pytest.mark.parametrize(
    "content",
    [
        broken(records("train"), gold_label=f"{SECRET} label"),
        broken(records("train"), pairID="train-0"),
        broken(records("train"), pairID=f"{SECRET}\ud800"),
        broken(records("train"), sentence1=[SECRET]),
        broken(records("train"), gold_label=[SECRET]),
        [{key: record[key] for key in ("sentence1", "gold_label")} for record in records("train")],
        [*records("train"), records("test")[0]],
        [*records("train"), {**records("test")[1], "pairID": f"{SECRET} id"}],
        [{**record, "gold_label": "neutral"} for record in records("train")],
        [{**record, "gold_label": SECRET} for record in records("train")],
    ],
)
def test_no_error_shows_text(folder: Path, make: Callable[..., object], name: str, content: list[Record]) -> None:
    write(folder, "train", content)
    with pytest.raises(AgError) as caught:
        make(name, source=str(folder))
    assert SECRET not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize("line", [f'{{"sentence1": "{SECRET}', f'"{SECRET}"', f'{{"{SECRET}": 1}} {SECRET}'])
def test_no_json_error_shows_text(folder: Path, make: Callable[..., object], line: str) -> None:
    with (folder / "mli_dev_v1.jsonl").open("a") as handle:
        handle.write(line + "\n")
    with pytest.raises(DataError, match="row 13") as caught:
        make("mednli", source=str(folder))
    assert SECRET not in str(caught.value)


def headerless(suffix: str) -> str:
    rows = [(f"{SECRET} premise {n}", f"{SECRET} hypothesis {n}", LABELS[n % 3]) for n in range(12)]
    ends = {".tsv": ("\t", "\n"), ".csv": (",", "\n"), ".txt": ("\t", "\r")}
    between, end = ends[suffix]
    return "".join(between.join(row) + end for row in rows)


@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".txt"])
@pytest.mark.parametrize(
    "options",
    [{"name": "mednli"}, {"format": "tabular"}, {"format": "multinli"}, {"format": "scifact"}]
    + [{"format": "tabular", each: f"{SECRET[:-1]} premise 0"} for each in ("text_a", "label", "document")]
    + [{"format": "tabular", "label_map": {"x": "y"}}],
)
def test_a_file_without_a_header_stays_unseen(
    tmp_path: Path, make: Callable[..., object], suffix: str, options: dict[str, str]
) -> None:
    train = tmp_path / f"mli_train_v1{suffix}"
    train.write_text(headerless(suffix), newline="")
    (tmp_path / "corpus.jsonl").write_text(json.dumps({"doc_id": 1, "title": "t", "abstract": ["a"]}) + "\n")
    with pytest.raises(AgError) as caught:
        make(**{"name": "own", **options}, train=train, test=train)
    assert SECRET not in f"{caught.value} {caught.value.hint}"


def test_json_keys_and_renamed_files_stay_unseen(tmp_path: Path, make: Callable[..., object]) -> None:
    row = json.dumps({SECRET: 1, f"{SECRET} claim": "x"}) + "\n"
    for name in ("mli_train_v1.jsonl", "renamed.jsonl", "corpus.jsonl"):
        (tmp_path / name).write_text(row)
    for name, file, kind in (
        ("own", "mli_train_v1.jsonl", "scifact"),
        ("own", "mli_train_v1.jsonl", "tabular"),
        ("mednli", "renamed.jsonl", "tabular"),
    ):
        with pytest.raises(AgError) as caught:
            make(name, train=tmp_path / file, test=tmp_path / file, format=kind)
        assert SECRET not in f"{caught.value} {caught.value.hint}"


def test_text_columns_named_as_labels_or_splits_stay_unseen(folder: Path, make: Callable[..., object]) -> None:
    train = folder / "mli_train_v1.jsonl"
    for options in ({"label": "sentence1"}, {"split_column": "sentence2"}):
        with pytest.raises(AgError) as caught:
            make("own", source=str(train), format="tabular", dev_fraction=0.2, **options)
        assert SECRET not in f"{caught.value} {caught.value.hint}"
