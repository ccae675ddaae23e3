"""Every kind of bad input gets one clear error, and nothing half-written stays."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from source_files import HEADER, nli_rows, write_jsonl, write_txt

from agcli.errors import DataError

GOOD = b"neutral\t\tA\tB\t0\tp0\n"
HEAD = HEADER.encode() + b"\n"


def refused(make: Callable[..., object], tmp_path: Path, **options: object) -> DataError:
    with pytest.raises(DataError) as caught:
        make(**options)
    left = list((tmp_path / "prepared").rglob("*")) if (tmp_path / "prepared").exists() else []
    assert left == [], "nothing may stay behind"
    return caught.value


@pytest.mark.parametrize(
    ("content", "row", "words"),
    [
        (b"", None, "empty"),
        (b"\xef\xbb\xbf", None, "empty"),
        (HEAD, None, "a header and no rows"),
        (HEAD + GOOD + b"neutral\t\tA\0\tB\t0\tp1\n", 3, "NUL byte at byte 11"),
        (HEAD + GOOD + b"neutral\t\tcaf\xe9\tB\t0\tp1\n", 3, "byte 0xe9 at byte 13"),
        (b"\xff\xfe" + "gold_label".encode("utf-16-le")[:-1], 1, "not UTF-16"),
        ("gold_label".encode("utf-16-le"), 1, "UTF-16 without its mark"),
        (HEAD + GOOD + b"neutral\t\tA\tB\t0\n", 3, "5 columns where the header has 6"),
        (HEAD + GOOD + b"neutral\t\tA\tB\t0\tp1\tmore\n", 3, "7 columns where the header has 6"),
        (HEAD + GOOD + b"\n" + GOOD, 3, "blank row"),
        (HEAD + GOOD + b"Neutral\t\tA\tC\t0\tp1\n", 3, "Did you mean 'neutral'"),
        (HEAD + GOOD + GOOD, 3, "row 2"),
        (HEAD.replace(b"sentence2", b"sentense2") + GOOD, 1, "Did you mean 'sentense2'"),
    ],
)
def test_text_file(tmp_path: Path, make: Callable[..., object], content: bytes, row: int | None, words: str) -> None:
    (tmp_path / "train.txt").write_bytes(content)
    write_txt(tmp_path / "test.txt", nli_rows(6, "t"))
    error = refused(make, tmp_path, train=tmp_path / "train.txt", test=tmp_path / "test.txt")
    assert words in str(error)
    assert str(error).startswith("train.txt")
    assert error.row == row


def test_label_outside_the_set_names_file_row_column_value_and_the_set(
    tmp_path: Path, make: Callable[..., object]
) -> None:
    train = write_txt(tmp_path / "train.txt", [*nli_rows(3), ("a", "b", "maybe")])
    test = write_txt(tmp_path / "test.txt", nli_rows(3, "t"))
    error = refused(make, tmp_path, train=train, test=test)
    assert (error.file, error.row, error.column, error.value) == ("train.txt", 5, "gold_label", "maybe")
    assert "Allowed: entailment, neutral, contradiction" in str(error)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"gold_label": "neutral", "sentence1": "a"', "not valid JSON"),
        ("[1, 2]", "one JSON object"),
        ('{"gold_label": "neutral", "sentence1": "a", "pairID": "q"}', "lacks the column"),
        ('{"gold_label": "neutral", "sentence1": 7, "sentence2": "b", "pairID": "q"}', "type int"),
        ('{"gold_label": "neutral", "sentence1": "\\ud800", "sentence2": "b", "pairID": "q"}', "surrogate"),
    ],
)
def test_json_lines(tmp_path: Path, make: Callable[..., object], line: str, words: str) -> None:
    train = write_jsonl(tmp_path / "train.jsonl", nli_rows(6))
    train.write_text(train.read_text() + line + "\n")
    test = write_jsonl(tmp_path / "test.jsonl", nli_rows(6, "t"))
    error = refused(make, tmp_path, train=train, test=test)
    assert words in str(error)
    assert error.row == 7


def test_broken_parquet(tmp_path: Path, make: Callable[..., object]) -> None:
    frame = pd.DataFrame(nli_rows(6), columns=["text_a", "text_b", "label"])
    frame.to_parquet(tmp_path / "test.parquet")
    (tmp_path / "train.parquet").write_bytes((tmp_path / "test.parquet").read_bytes()[:-20])
    error = refused(make, tmp_path, name="own", source=str(tmp_path), format="tabular")
    assert "not a readable parquet file" in str(error)
    assert error.file == "train.parquet"


def test_one_class_split(tmp_path: Path, make: Callable[..., object]) -> None:
    train, dev = write_txt(tmp_path / "train.txt", nli_rows(9)), write_txt(tmp_path / "dev.txt", nli_rows(6, "d"))
    one_class = write_txt(tmp_path / "one.txt", [("a", "b", "neutral"), ("c", "d", "neutral")])
    assert "dev has one class (2 rows)" in str(refused(make, tmp_path, train=train, dev=one_class, test=dev))
    prepared = make(train=train, dev=dev, test=one_class)
    assert any("the split test has one class" in warning for warning in prepared.manifest["warnings"])  # type: ignore[attr-defined]


def test_one_file_is_named_once(tmp_path: Path, make: Callable[..., object]) -> None:
    rows = [(str(n), f"a{n}", "b", "yn"[n % 2], "train" if n < 20 else "test") for n in range(26)]
    rows.append(("99", "a0", "b", "y", "test"))
    path = tmp_path / "all.csv"
    pd.DataFrame(rows, columns=["id", "text_a", "text_b", "label", "part"]).to_csv(path, index=False)
    shared = refused(make, tmp_path, name="own", source=str(path), split_column="part")
    assert str(shared).startswith("all.csv: ")
    pd.DataFrame([*rows[:-1], ("3", "new", "b", "y", "test")], columns=pd.read_csv(path).columns).to_csv(
        path, index=False
    )
    twice = refused(make, tmp_path, name="own", source=str(path), split_column="part")
    assert "this id occurs already in row 5" in str(twice)
    assert "--no-ids" in str(twice.hint)


def test_shared_pairs_are_named_and_can_be_dropped_from_train(tmp_path: Path, make: Callable[..., object]) -> None:
    train = write_txt(tmp_path / "train.txt", [*nli_rows(30), *nli_rows(2, "t")])
    test = write_txt(tmp_path / "test.txt", nli_rows(6, "t"))
    error = refused(make, tmp_path, train=train, test=test)
    assert "2 pairs are shared between splits: train row 32 = test row 2 (ids train30, test0)" in str(error)
    prepared = make(train=train, test=test, drop_shared_pairs=True)
    assert prepared.manifest["dropped"] == {"train": {"pair shared with a later split": 2}}  # type: ignore[attr-defined]
    assert prepared.manifest["splits"]["test"]["rows"] == 6  # type: ignore[attr-defined]


def test_documents_shared_warn_and_can_be_an_error(tmp_path: Path, make: Callable[..., object]) -> None:
    for split in ("train", "dev", "test"):
        rows = [
            {"text_a": f"{split} {n}", "text_b": "d", "label": "yes" if n % 2 else "no", "document": str(n)}
            for n in range(4 if split == "train" else 6)
        ]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    refusal = refused(make, tmp_path, name="own", source=str(tmp_path), strict_splits=True)
    assert "4 of 6 documents of test occur in train too" in str(refusal)
    prepared = make(name="own", source=str(tmp_path))
    assert prepared.manifest["documents_shared"]["train/test"] == {"shared": 4, "of": 6}  # type: ignore[attr-defined]
    assert "4 of 6 documents of dev occur in train too" in prepared.manifest["warnings"]  # type: ignore[attr-defined]


def test_too_many_labels_means_the_wrong_column(tmp_path: Path, make: Callable[..., object]) -> None:
    frame = pd.DataFrame(
        {"text_a": [f"a{n}" for n in range(150)], "text_b": "b", "label": [str(n) for n in range(150)]}
    )
    frame.to_csv(tmp_path / "train.csv", index=False)
    frame.to_csv(tmp_path / "test.csv", index=False)
    assert "150 different labels" in str(refused(make, tmp_path, name="own", source=str(tmp_path)))


@pytest.mark.parametrize(
    ("header", "options", "words"),
    [
        ("text_a,text_a,text_b,label", {}, "column 'text_a': two columns have this name"),
        ("first,second,other,label", {"text_a": "first", "text_b": "first"}, "'first': one column for both texts"),
    ],
)
def test_columns_that_cannot_be_told_apart(
    tmp_path: Path, make: Callable[..., object], header: str, options: dict[str, object], words: str
) -> None:
    (tmp_path / "train.csv").write_text(header + "\n" + "".join(f"a{n},b{n},c{n},{n % 2}\n" for n in range(40)))
    assert words in str(refused(make, tmp_path, name="own", source=str(tmp_path), dev_fraction=0.2, **options))
