"""Shards are one file; other files that give one split twice are refused by name."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from source_files import LABELS, nli_rows, write_jsonl

from agcli.data.prepared import PreparedPairs
from agcli.errors import DataError

Make = Callable[..., PreparedPairs]
HEADER = ["premise", "hypothesis", "label"]


def put(path: Path, rows: list[tuple[str, str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame(rows, columns=HEADER)
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    elif ".json" in path.name:
        frame.to_json(path, orient="records", lines=".jsonl" in path.name)
    else:
        frame.to_csv(path, index=False, sep="," if ".csv" in path.name else "\t")


@pytest.mark.parametrize("suffix", ["parquet", "jsonl", "csv", "tsv.gz"])
@pytest.mark.parametrize("start", [0, 1])
def test_complete_shards_are_joined(tmp_path: Path, make: Make, suffix: str, start: int) -> None:
    names = [f"train-{n:05d}-of-00003.{suffix}" for n in range(start, start + 3)]
    for n, name in enumerate(names):
        put(tmp_path / "data" / name, nli_rows(12, f"s{n}"))
    put(tmp_path / "data" / f"validation-00000-of-00001.{suffix}", nli_rows(6, "v"))
    put(tmp_path / "data" / f"test-00000-of-00001-0123456789abcdef.{suffix}", nli_rows(6, "t"))
    prepared = make("own", source=str(tmp_path / "data"))
    assert {split: len(frame) for split, frame in prepared.splits.items()} == {"train": 36, "dev": 6, "test": 6}
    assert prepared.splits["train"]["text_a"].tolist() == [a for n in range(3) for a, _, _ in nli_rows(12, f"s{n}")]
    assert [source["file"] for source in prepared.manifest["sources"]][:3] == names


def test_missing_shards_are_named(tmp_path: Path, make: Make) -> None:
    for n in (0, 2):
        put(tmp_path / f"train-{n:05d}-of-00004.parquet", nli_rows(12, f"s{n}"))
    put(tmp_path / "test.parquet", nli_rows(6, "t"))
    with pytest.raises(DataError, match=r"2 of 4 shards are missing: train-00001-of-00004\.parquet, train-00003-of-"):
        make("own", source=str(tmp_path))
    with pytest.raises(DataError, match="3 of 4 shards are missing"):
        make("own", source=str(tmp_path / "train-00000-of-00004.parquet"), dev_fraction=0.2)
    assert len(make("one", train=tmp_path / "train-00000-of-00004.parquet", dev_fraction=0.2).splits["train"]) < 12


def test_shards_that_nobody_reads_need_not_be_complete(tmp_path: Path, make: Make) -> None:
    put(tmp_path / "train.csv", nli_rows(30))
    put(tmp_path / "test.csv", nli_rows(6, "t"))
    (tmp_path / "model-00001-of-00002.safetensors").write_bytes(b"x")
    make("own", source=str(tmp_path))


def test_shards_must_have_the_same_columns(tmp_path: Path, make: Make) -> None:
    for suffix in ("csv", "parquet"):
        folder = tmp_path / suffix
        put(folder / f"train-00000-of-00002.{suffix}", nli_rows(12))
        frame = pd.DataFrame(nli_rows(12, "b"), columns=["hypothesis", "premise", "label"])
        path = folder / f"train-00001-of-00002.{suffix}"
        frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path)
        with pytest.raises(DataError, match=r"train-00001-of-00002.*(header is not that|columns are not those) of"):
            make("own", source=str(folder), dev_fraction=0.2)


@pytest.mark.parametrize(
    ("names", "split"),
    [
        (("train_part1.tsv", "train_part2.tsv", "test.tsv"), "train"),
        (("train_1.tsv", "train_2.tsv", "test_1.tsv", "test_2.tsv"), "train"),
        (("train.tsv", "train.tsv.gz", "test.tsv"), "train"),
        (("train.tsv", "training.tsv", "test.tsv"), "train"),
        (("train.tsv", "test.part1.tsv", "test.part2.tsv"), "test"),
        (("train.tsv", "val.tsv", "validation.tsv"), "dev"),
        (("fold1/train.tsv", "fold2/train.tsv"), "train"),
    ],
)
def test_two_files_for_one_split_are_named(tmp_path: Path, make: Make, names: tuple[str, ...], split: str) -> None:
    for n, name in enumerate(names):
        put(tmp_path / "set" / name, nli_rows(12, f"f{n}"))
    with pytest.raises(DataError, match=f"2 files give {split}: ") as caught:
        make("own", source=str(tmp_path / "set"))
    assert all(name in str(caught.value) for name in names if name.rpartition("/")[2].startswith(split[:2]))


def test_names_that_differ_are_train_and_test_all_the_same(tmp_path: Path, make: Make) -> None:
    put(tmp_path / "snli_train.tsv", nli_rows(30))
    put(tmp_path / "held_out_test.csv", nli_rows(6, "t"))
    prepared = make("own", source=str(tmp_path))
    assert len(prepared.splits["test"]) == 6


@pytest.mark.parametrize("name", ["test.tsv.gz", "test.csv"])
def test_a_test_file_of_another_kind_is_the_test_set(tmp_path: Path, make: Make, name: str) -> None:
    for split, tag in (("train", "a"), ("dev", "b")):
        put(tmp_path / f"{split}.tsv", nli_rows(12, tag))
    put(tmp_path / name.removesuffix(".gz"), nli_rows(9, "t"))
    if name.endswith(".gz"):
        (tmp_path / name).write_bytes(gzip.compress((tmp_path / "test.tsv").read_bytes()))
        (tmp_path / "test.tsv").unlink()
    prepared = make("own", source=str(tmp_path))
    assert {split: len(frame) for split, frame in prepared.splits.items()} == {"train": 12, "dev": 12, "test": 9}


@pytest.mark.parametrize(
    "names", [("mine_train.tsv", "mine_dev.tsv", "test.tsv"), ("train_v1.tsv", "dev_v1.tsv", "test_v2.tsv")]
)
def test_dev_is_no_test_set_where_another_file_may_be_it(tmp_path: Path, make: Make, names: tuple[str, ...]) -> None:
    for name in names:
        put(tmp_path / name, nli_rows(12, name))
    with pytest.raises(DataError, match=f"is {names[2]} the test set of") as caught:
        make("own", source=str(tmp_path))
    assert "--test FILE" in str(caught.value.hint)


def test_files_left_alone_get_the_true_reason(tmp_path: Path, make: Make) -> None:
    for name, tag in (("train.tsv", "a"), ("dev.tsv", "b"), ("other_dev.tsv", "c"), ("other_test.tsv", "d")):
        put(tmp_path / name, nli_rows(12, tag))
    not_used = make("own", source=str(tmp_path)).manifest["not_used"]
    assert not_used["other_dev.tsv"] == "another file gives this split"
    assert "does not go with" in not_used["other_test.tsv"]


def test_a_clone_of_multinli_from_the_hub(tmp_path: Path, make: Make) -> None:
    for name, count in (("train", 30), ("validation_matched", 9), ("validation_mismatched", 9)):
        rows = [(a, b, LABELS.index(label)) for a, b, label in nli_rows(count, name)]
        frame = pd.DataFrame([*rows, ("x", name, -1)], columns=HEADER)
        frame.insert(0, "pairID", [f"{name}{n}" for n in range(count + 1)])
        (tmp_path / "clone" / "data").mkdir(parents=True, exist_ok=True)
        frame.to_parquet(tmp_path / "clone" / "data" / f"{name}-00000-of-00001.parquet")
    prepared = make("multinli", source=str(tmp_path / "clone"))
    assert prepared.labels == LABELS
    assert prepared.splits["test"]["label"].tolist() == [label for _, _, label in nli_rows(9)]
    assert prepared.manifest["dropped"] == {"train": {"no gold label": 1}, "test": {"no gold label": 1}}
    assert list(prepared.manifest["not_used"]) == ["data/validation_mismatched-00000-of-00001.parquet"]


def test_shards_of_claims_are_joined_too(tmp_path: Path, make: Make) -> None:
    for n in range(2):
        write_jsonl(tmp_path / f"train-{n:05d}-of-00002.jsonl", nli_rows(12, f"s{n}"))
        path = tmp_path / f"train-{n:05d}-of-00002.jsonl"
        path.write_text(path.read_text().replace("train-", f"t{n}-"))
    write_jsonl(tmp_path / "test.jsonl", nli_rows(6, "t"))
    prepared = make("multinli", source=str(tmp_path))
    assert sum(len(prepared.splits[split]) for split in ("train", "dev")) == 24


@pytest.mark.parametrize(
    ("names", "split"),
    [
        (("train1.csv", "train2.csv", "test.csv"), "train"),
        (("train1.parquet", "train2.parquet", "test.parquet"), "train"),
        (("train.csv", "test1.csv", "test2.csv"), "test"),
        (("train.csv", "train2.csv", "test.csv"), "train"),
        (("my_train01.jsonl.gz", "my_train02.jsonl.gz", "my_test.jsonl.gz"), "train"),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_a_number_behind_a_split_word_is_no_other_word(
    tmp_path: Path, make: Make, names: tuple[str, ...], split: str, zipped: bool
) -> None:
    for n, name in enumerate(names):
        put(tmp_path / "set" / name, nli_rows(12, f"f{n}"))
    source = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "set") if zipped else tmp_path / "set"
    with pytest.raises(DataError, match=f"2 files give {split}: ") as caught:
        make("own", source=str(source))
    assert all(name in str(caught.value) for name in names if split in name)


def test_one_numbered_file_a_split_is_read(tmp_path: Path, make: Make) -> None:
    put(tmp_path / "train2.csv", nli_rows(30))
    put(tmp_path / "test2.csv", nli_rows(6, "t"))
    put(tmp_path / "constrain1.csv", nli_rows(6, "c"))
    prepared = make("own", source=str(tmp_path))
    assert len(prepared.splits["test"]) == 6
    assert list(prepared.manifest["not_used"]) == ["constrain1.csv"]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "txt", "jsonl", "json", "parquet", "csv.gz"])
def test_tables_whose_names_speak_of_no_split_are_named(tmp_path: Path, make: Make, suffix: str) -> None:
    put(tmp_path / "test.csv", nli_rows(6, "t"))
    put(tmp_path / f"mydata.{suffix}", nli_rows(30))
    (tmp_path / "README.txt").write_text("Pairs of texts.\n")
    (tmp_path / "config.json").write_text('{"labels": 3}\n')
    (tmp_path / "empty.txt").touch()
    manifest = make("own", source=str(tmp_path)).manifest
    assert list(manifest["not_used"]) == [f"mydata.{suffix}"]
    assert any(f"no training data: a model can be evaluated on this set, but not trained; not used: mydata.{suffix} "
               "(its name speaks of no split" in line for line in manifest["warnings"])  # fmt: skip


def test_only_training_data_names_what_was_left_alone(tmp_path: Path, make: Make) -> None:
    put(tmp_path / "train.csv", nli_rows(30))
    put(tmp_path / "heldout.csv", nli_rows(6, "t"))
    with pytest.raises(DataError, match=r"only training data: .* are needed; not used: heldout\.csv \("):
        make("own", source=str(tmp_path))


@pytest.mark.parametrize("name", ["train.xlsx", "train.zip", "my_train.tar.gz", "train1.arrow"])
def test_a_split_in_a_kind_of_file_that_is_not_read_is_named(tmp_path: Path, make: Make, name: str) -> None:
    put(tmp_path / "test.csv", nli_rows(6, "t"))
    (tmp_path / name).write_bytes(b"x")
    (tmp_path / "test.py").write_bytes(b"x")
    manifest = make("own", source=str(tmp_path)).manifest
    assert list(manifest["not_used"]) == [name]
    assert "is not read: .tsv, .txt, .csv" in manifest["not_used"][name]
    assert any(f"not used: {name} (" in line for line in manifest["warnings"])


def test_a_split_column_does_not_hide_what_was_left_alone(tmp_path: Path, make: Make) -> None:
    rows = [(*row, "train" if n < 12 else "test") for n, row in enumerate(nli_rows(24))]
    pd.DataFrame(rows, columns=[*HEADER, "part"]).to_csv(tmp_path / "train.csv", index=False)
    put(tmp_path / "mydata.csv", nli_rows(6, "m"))
    prepared = make("own", source=str(tmp_path), split_column="part")
    assert list(prepared.manifest["not_used"]) == ["mydata.csv"]
