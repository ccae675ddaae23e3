"""The readers: MultiNLI in its forms, claims with a corpus, any table."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from source_files import nli_rows, write_jsonl, write_txt

from agcli.data.prepared import PreparedPairs, load_prepared
from agcli.errors import DataError, UsageError

Make = Callable[..., PreparedPairs]
TRAIN = [*nli_rows(40), ('"lone mark', "NA", "neutral"), ("x", "no gold", "-"), ("  ", "null", "neutral")]
HELD_OUT = [*nli_rows(12, "m"), ("y", "z", "-")]


@pytest.mark.parametrize("suffix", ["txt", "jsonl"])
@pytest.mark.parametrize("zipped", [False, True])
def test_multinli_folder_and_zip(tmp_path: Path, make: Make, suffix: str, zipped: bool) -> None:
    write = write_txt if suffix == "txt" else write_jsonl
    folder = tmp_path / "multinli_1.0"
    write(folder / f"multinli_1.0_train.{suffix}", TRAIN)
    write(folder / f"multinli_1.0_dev_matched.{suffix}", HELD_OUT)
    write(folder / f"multinli_1.0_dev_mismatched.{suffix}", nli_rows(12, "mm"))
    (folder / "README.txt").write_text("about")
    source = folder
    if zipped:
        source = tmp_path / "multinli_1.0.zip"
        with zipfile.ZipFile(source, "w") as archive:
            for file in folder.iterdir():
                archive.write(file, f"multinli_1.0/{file.name}")
    prepared = make(source=str(source))
    manifest = prepared.manifest
    assert manifest["labels"] == ["entailment", "neutral", "contradiction"]
    assert manifest["roles"] == {"dev": "test"}
    assert manifest["dropped"] == {"train": {"no gold label": 1, "empty text": 1}, "test": {"no gold label": 1}}
    assert list(prepared.splits["test"]["text_a"]) == [a for a, _, _ in nli_rows(12, "m")]
    rows = {split: facts["rows"] for split, facts in manifest["splits"].items()}
    assert rows == {"train": 36, "dev": 5, "test": 12}
    assert manifest["dev_cut"]["by"] == "text"
    assert any("mismatched" in file for file in manifest["not_used"])
    kept = pd.concat(prepared.splits.values())
    assert ('"lone mark', "NA") in set(zip(kept["text_a"], kept["text_b"], strict=True))
    assert load_prepared(prepared.folder).digest == prepared.digest


def test_forms_of_one_data_set_give_one_digest(tmp_path: Path, make: Make) -> None:
    digests = set()
    for suffix, write in (("txt", write_txt), ("jsonl", write_jsonl)):
        write(tmp_path / suffix / f"train.{suffix}", TRAIN)
        write(tmp_path / suffix / f"dev.{suffix}", HELD_OUT)
        digests.add(make(source=str(tmp_path / suffix), output=tmp_path / "out" / suffix).digest)
    assert len(digests) == 1


def test_glue_test_set_without_labels_is_not_used(tmp_path: Path, make: Make) -> None:
    folder = tmp_path / "MNLI"
    write_txt(folder / "train.tsv", TRAIN)
    write_txt(folder / "dev_matched.tsv", HELD_OUT)
    write_txt(folder / "original" / "multinli_1.0_train.txt", TRAIN)
    (folder / "test_matched.tsv").write_text("index\tsentence1\tsentence2\n0\ta\tb\n")
    prepared = make(source=str(folder))
    assert prepared.manifest["not_used"]["test_matched.tsv"] == "no labels"
    assert prepared.manifest["roles"] == {"dev": "test"}
    assert prepared.manifest["sources"][0]["file"] == "train.tsv"


def test_a_strangers_files_are_recognised_by_their_columns(tmp_path: Path, make: Make) -> None:
    for split, rows in (("train", nli_rows(30)), ("val", nli_rows(9, "v"))):
        lines = ["sentence1\tsentence2\tlabel\tgenre", *(f"{a}\t{b}\t{label}\tg" for a, b, label in rows)]
        (tmp_path / f"own_{split}.tsv").write_text("\n".join(lines) + "\n")
    (tmp_path / "other_val.tsv").write_text("sentence1\tsentence2\tlabel\na\tb\tneutral\n")
    prepared = make(name="own", source=str(tmp_path))
    assert prepared.manifest["source_format"] == "multinli"
    assert prepared.splits["test"]["id"].tolist()[0] == "test:2"
    assert "other_val.tsv" in prepared.manifest["not_used"]


def test_only_one_file_needs_a_dev_fraction(tmp_path: Path, make: Make) -> None:
    train = write_txt(tmp_path / "train.txt", nli_rows(40))
    with pytest.raises(DataError, match="at least train and a held-out file"):
        make(source=str(train))
    prepared = make(source=str(train), dev_fraction=0.25)
    assert {split: len(frame) for split, frame in prepared.splits.items()} == {"train": 30, "dev": 10}


def test_named_dev_stays_dev(tmp_path: Path, make: Make) -> None:
    train, dev = write_txt(tmp_path / "a.txt", nli_rows(30)), write_txt(tmp_path / "b.txt", nli_rows(9, "d"))
    assert list(make(train=train, dev=dev).splits) == ["train", "dev"]


def claims_folder(folder: Path, cited: str = "cited_doc_ids") -> Path:
    folder.mkdir()
    corpus = [{"doc_id": n, "title": f"Title {n}.", "abstract": ["One.", f"Two {n}."]} for n in range(30)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(record) + "\n" for record in corpus))
    for split, base in (("train", 0), ("dev", 100), ("test", 200)):
        records: list[dict[str, Any]] = [{"id": base + n, "claim": f"Claim {base + n}"} for n in range(20)]
        for n, record in enumerate(records if split != "test" else []):
            label = "SUPPORT" if n % 2 else "CONTRADICT"
            record[cited] = [n, n + 1, n]
            record["evidence"] = {str(n): [{"sentences": [0], "label": label}, {"sentences": [1], "label": label}]}
        (folder / f"claims_{split}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder


def test_scifact(tmp_path: Path, make: Make) -> None:
    prepared = make(name="scifact", source=str(claims_folder(tmp_path / "scifact")))
    test = prepared.splits["test"]
    assert tuple(test.iloc[0]) == ("100:0", "Claim 100", "Title 0. One. Two 0.", "CONTRADICT", "0")
    assert tuple(test.iloc[1][["label", "document"]]) == ("NEI", "1")
    assert len(test) == 40
    assert prepared.manifest["not_used"] == {"claims_test.jsonl": "no labels"}
    assert prepared.manifest["dropped"]["test"] == {"document cited twice by one claim": 20}
    assert prepared.manifest["documents_shared"]["train/test"]["of"] == 21
    assert set(prepared.splits["train"]["text_a"]).isdisjoint(prepared.splits["dev"]["text_a"])
    assert prepared.labels == ("SUPPORT", "NEI", "CONTRADICT")


def test_healthver_key_and_recognition(tmp_path: Path, make: Make) -> None:
    folder = claims_folder(tmp_path / "claims", "doc_ids")
    digests = {make(name=name, source=str(folder)).digest for name in ("healthver", "any-name")}
    assert len(digests) == 1


def test_claim_citing_an_unknown_document(tmp_path: Path, make: Make) -> None:
    folder = claims_folder(tmp_path / "scifact")
    with (folder / "claims_train.jsonl").open("a") as handle:
        handle.write(json.dumps({"id": 9, "claim": "c", "cited_doc_ids": [999], "evidence": {}}) + "\n")
    with pytest.raises(DataError, match=r"row 21, column 'cited_doc_ids'.*corpus\.jsonl lacks.*'999'"):
        make(name="scifact", source=str(folder))
    (folder / "corpus.jsonl").unlink()
    with pytest.raises(DataError, match="documents are missing"):
        make(name="scifact", source=str(folder))


ROWS = [(f"text {n}, with a comma", f'says "{n}"', "yes" if n % 3 else "no") for n in range(30)]


def write_table(path: Path, rows: list[tuple[str, ...]], header: tuple[str, ...] = ("q", "p", "y")) -> Path:
    frame = pd.DataFrame(rows, columns=list(header))
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return path


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_tables(tmp_path: Path, make: Make, suffix: str) -> None:
    write_table(tmp_path / f"train.{suffix}", ROWS)
    write_table(tmp_path / f"test.{suffix}", [("NA", "null", "yes"), ("b", "c", "no")])
    prepared = make(name="own", source=str(tmp_path), text_a="q", text_b="p", label="y")
    assert prepared.labels == ("no", "yes")
    assert prepared.splits["test"][["text_a", "text_b"]].to_numpy().tolist() == [["NA", "null"], ["b", "c"]]
    train = pd.concat([prepared.splits["train"], prepared.splits["dev"]])
    assert {(a, b) for a, b, _ in ROWS} == set(zip(train["text_a"], train["text_b"], strict=True))
    quoting = {source["file"]: source["quoting"] for source in prepared.manifest["sources"]}
    expected = {"csv": "minimal", "tsv": "minimal"}.get(suffix)
    assert quoting[f"train.{suffix}"] == expected


def test_quoting_can_be_overridden(tmp_path: Path, make: Make) -> None:
    with (tmp_path / "train.tsv").open("w", newline="") as handle:
        csv.writer(handle, delimiter="\t").writerows([("text_a", "text_b", "label"), *ROWS])
    prepared = make(name="own", source=str(tmp_path / "train.tsv"), dev_fraction=0.2, quoting="none")
    assert prepared.manifest["sources"][0]["quoting"] == "none"
    assert '"says ""7"""' in set(pd.concat(prepared.splits.values())["text_b"])


def test_split_column(tmp_path: Path, make: Make) -> None:
    splits = ["train"] * 18 + ["validation"] * 6 + ["test"] * 6
    rows = [(*row, split) for row, split in zip(ROWS, splits, strict=True)]
    path = write_table(tmp_path / "all.csv", rows, ("text_a", "text_b", "label", "part"))
    prepared = make(name="own", source=str(path), split_column="part")
    assert {split: len(frame) for split, frame in prepared.splits.items()} == {"train": 18, "dev": 6, "test": 6}
    write_table(path, [*rows, ("a", "b", "yes", "somewhere")], ("text_a", "text_b", "label", "part"))
    with pytest.raises(DataError, match="row 32, column 'part': not a split"):
        make(name="own2", source=str(path), split_column="part")
    with pytest.raises(DataError, match=r"column 'prat'.*Did you mean 'part'"):
        make(name="own2", source=str(path), split_column="prat")


def test_labels_fix_set_and_order(tmp_path: Path, make: Make) -> None:
    path = write_table(tmp_path / "all.csv", ROWS, ("text_a", "text_b", "label"))
    assert make(name="own", source=str(path), dev_fraction=0.2, labels=("yes", "no")).labels == ("yes", "no")
    with pytest.raises(DataError, match="label outside the set"):
        make(name="other", source=str(path), dev_fraction=0.2, labels=("yes", "maybe"))
    with pytest.raises(UsageError, match="two or more"):
        make(name="other", source=str(path), labels=("yes",))


def test_whole_number_labels_sort_by_number(tmp_path: Path, make: Make) -> None:
    rows = [(f"a{n}", "b", str(n % 12)) for n in range(48)]
    (tmp_path / "train.jsonl").write_text(
        "".join(json.dumps({"text_a": a, "text_b": b, "label": int(y)}) + "\n" for a, b, y in rows)
    )
    prepared = make(name="own", source=str(tmp_path / "train.jsonl"), dev_fraction=0.3)
    assert prepared.labels == tuple(str(n) for n in range(12))


def test_run_together_rows_are_pointed_at(tmp_path: Path, make: Make) -> None:
    rows = [*nli_rows(60), ("word " * 2000, "b", "neutral")]
    train, test = write_txt(tmp_path / "train.txt", rows), write_txt(tmp_path / "test.txt", nli_rows(9, "t"))
    warnings = make(train=train, test=test, dev=write_txt(tmp_path / "dev.txt", nli_rows(9, "d"))).manifest["warnings"]
    assert any("rows 62" in warning and "train.txt" in warning for warning in warnings)


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_a_spreadsheets_csv_need_not_have_commas(tmp_path: Path, make: Make, delimiter: str) -> None:
    frame = pd.DataFrame([(f"{a}{delimiter}x", b, y) for a, b, y in ROWS], columns=["q", "p", "y"])
    frame.to_csv(tmp_path / "excel.csv", index=False, sep=delimiter, encoding="utf-8-sig")
    source = str(tmp_path / "excel.csv")
    prepared = make(name="own", source=source, text_a="q", text_b="p", label="y", dev_fraction=0.2)
    pairs = pd.concat(prepared.splits.values())
    assert set(zip(pairs["text_a"], pairs["text_b"], strict=True)) == set(zip(frame["q"], frame["p"], strict=True))
