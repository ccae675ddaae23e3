"""Labels of a table: marks for "no gold label", spellings, renaming, sets to evaluate on."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest

from agcli.data.labels import parse_label_map
from agcli.data.prepared import PreparedPairs
from agcli.errors import DataError, UsageError

Make = Callable[..., PreparedPairs]
HEADER = ("premise", "hypothesis", "label")


def write(
    folder: Path, split: str, labels: Sequence[object], suffix: str = ".csv", header: Sequence[str] = HEADER
) -> Path:
    frame = pd.DataFrame([(f"{split} {n}", "b", label) for n, label in enumerate(labels)], columns=list(header))
    path = folder / f"{split}{suffix}"
    if suffix == ".parquet":
        frame.to_parquet(path)
    elif suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_csv(path, index=False, sep="\t" if suffix == ".tsv" else ",")
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
@pytest.mark.parametrize(("classes", "mark"), [((0, 1, 2), -1), (("no", "yes"), "-")])
@pytest.mark.parametrize("named", [False, True])
def test_no_gold_label(
    tmp_path: Path, make: Make, suffix: str, classes: tuple[object, ...], mark: object, named: bool
) -> None:
    for split in ("train", "dev", "test"):
        write(tmp_path, split, [*classes * 4, mark, mark], suffix)
    columns = dict(zip(("text_a", "text_b", "label"), HEADER, strict=True)) if named else {}
    prepared = make(name="own", source=str(tmp_path), **columns)
    assert prepared.labels == tuple(map(str, classes))
    assert prepared.manifest["dropped"] == {split: {"no gold label": 2} for split in ("train", "dev", "test")}
    kept = make(name="all", source=str(tmp_path), labels=(str(mark), *map(str, classes)), **columns)
    assert kept.manifest["splits"]["test"]["labels"][str(mark)] == 2
    assert kept.manifest["dropped"] == {}


@pytest.mark.parametrize("labels", [("1", "-1"), ("+", "-"), ("-1", "-2", "0", "1")])
def test_marks_that_are_needed_as_classes_are_classes(tmp_path: Path, make: Make, labels: tuple[str, ...]) -> None:
    path = write(tmp_path, "train", labels * 20)
    assert set(make(name="own", source=str(path), dev_fraction=0.2).labels) == set(labels)


@pytest.mark.parametrize(
    "labels", [("no", "yes", "-1"), ("1", "2", "3", "-1"), (0.0, 1.0, -1.0), ("0", "1", " -1"), ("no", "yes", " - ")]
)
def test_no_gold_label_in_other_spellings(tmp_path: Path, make: Make, labels: tuple[object, ...]) -> None:
    path = write(tmp_path, "train", labels * 20)
    prepared = make(name="own", source=str(path), dev_fraction=0.2)
    assert prepared.labels == tuple(map(str, labels[:-1]))
    assert prepared.manifest["dropped"] == {"train": {"no gold label": 20}}


def test_rows_without_a_label_can_be_left_out(tmp_path: Path, make: Make) -> None:
    path = write(tmp_path, "train", ["yes", "no", ""] * 20)
    with pytest.raises(DataError, match=r"row 4.*a row without a label") as caught:
        make(name="own", source=str(path), dev_fraction=0.2)
    assert "--label-map =-" in str(caught.value.hint)
    prepared = make(name="own", source=str(path), dev_fraction=0.2, label_map=parse_label_map(["=-"]))
    assert prepared.labels == ("no", "yes")
    assert prepared.manifest["dropped"] == {"train": {"no gold label": 20}}


def test_a_column_of_texts_is_no_label_column(tmp_path: Path, make: Make) -> None:
    path = write(tmp_path, "train", [f"patient {n} " * 90 for n in range(2)] * 20)
    with pytest.raises(DataError, match="a label of 900 characters; is this the label column") as caught:
        make(name="own", source=str(path), dev_fraction=0.2)
    assert "patient" not in str(caught.value)


def test_a_split_that_dropping_emptied_says_what_was_dropped(tmp_path: Path, make: Make) -> None:
    rows = {split: write(tmp_path, split, ["yes", "no"] * 4) for split in ("train", "test")}
    rows["test"].write_text(rows["train"].read_text())
    with pytest.raises(DataError, match=r"no rows .0 rows; 8 dropped: pair shared with a later split") as caught:
        make(name="own", **rows, drop_shared_pairs=True)
    assert caught.value.hint is None


def test_a_split_without_any_gold_label_is_left_alone(tmp_path: Path, make: Make) -> None:
    write(tmp_path, "train", [0, 1] * 60)
    write(tmp_path, "dev", [0, 1, 0])
    write(tmp_path, "test", [-1] * 5)
    assert make(name="own", source=str(tmp_path)).manifest["not_used"] == {"test.csv": "no labels"}


@pytest.mark.parametrize("everywhere", [False, True])
def test_two_spellings_of_a_label_are_refused_and_can_be_united(tmp_path: Path, make: Make, everywhere: bool) -> None:
    good = ["yes", "no", "yes", "no", "yes"]
    for split in ("train", "dev", "test"):
        write(tmp_path, split, [*good, "Yes", "no "] if everywhere or split == "test" else good)
    with pytest.raises(DataError, match=r"row 7, column 'label': one label in two spellings.*'yes', 'Yes'") as caught:
        make(name="own", source=str(tmp_path))
    assert caught.value.file == ("train.csv" if everywhere else "test.csv")
    flag, option = shlex.split(str(caught.value.hint))
    assert flag == "--label-map"
    prepared = make(name="own", source=str(tmp_path), label_map=parse_label_map([option]))
    assert prepared.labels == ("no", "yes")
    assert prepared.manifest["label_map"] == {"Yes": "yes", "no ": "no"}
    assert Counter(prepared.splits["test"]["label"]) == {"yes": 4, "no": 3}


def test_label_map(tmp_path: Path, make: Make) -> None:
    assert parse_label_map(["A=b,C=d", "E=b"]) == {"A": "b", "C": "d", "E": "b"}
    for wrong in (["A"], ["A="], ["A=b", "A=c"]):
        with pytest.raises(UsageError, match="--label-map"):
            parse_label_map(wrong)
    path = write(tmp_path, "train", ["NEUTRAL", "ENTAILMENT", "CONTRADICTION", "-"] * 10)
    names = {name.upper(): name for name in ("neutral", "entailment", "contradiction")}
    prepared = make(name="own", source=str(path), dev_fraction=0.2, label_map=names)
    assert prepared.labels == ("entailment", "neutral", "contradiction")
    assert prepared.manifest["label_map"] == names
    with pytest.raises(DataError, match=r"no row is labelled 'NEUTRL'\. Did you mean 'NEUTRAL'"):
        make(name="other", source=str(path), dev_fraction=0.2, label_map={"NEUTRL": "neutral"})
    with pytest.raises(DataError, match="Did you mean 'neutral'") as caught:
        make(name="other", source=str(path), dev_fraction=0.2, labels=("neutral", "entailment"))
    assert "--label-map" in str(caught.value.hint)


@pytest.mark.parametrize("labels", [["entailment"] * 4, ["entailment", "neutral"] * 2])
def test_a_test_set_alone(tmp_path: Path, make: Make, labels: list[str]) -> None:
    prepared = make(name="challenge", test=write(tmp_path, "set", labels))
    assert list(prepared.splits) == ["test"]
    assert prepared.labels == tuple(sorted(set(labels)))
    assert any("no training data" in warning for warning in prepared.manifest["warnings"])
    with pytest.raises(DataError, match="no training data that dev could be cut from"):
        make(name="other", test=tmp_path / "set.csv", dev_fraction=0.1)


def test_pairs_without_labels_are_refused_as_such(tmp_path: Path, make: Make) -> None:
    marks = write(tmp_path, "marks", ["-"] * 4)
    column = write(tmp_path, "no-column", [""] * 4, header=("premise", "hypothesis", "x"))
    labelled = write(tmp_path, "labelled", ["yes", "no"] * 60)
    for files in (
        {"train": marks, "test": marks},
        {"train": column},
        {"test": marks},
        {"source": str(column)},
        {"train": labelled, "test": marks},
    ):
        with pytest.raises(DataError) as caught:
            make(name="own", **files)
        assert "pairs without labels are not supported yet" in f"{caught.value} {caught.value.hint}"


def test_no_columns_found_names_the_options(tmp_path: Path, make: Make) -> None:
    for header in (("q", "p", "y"), ("premise", "hypothesis", "y")):
        path = write(tmp_path, "train", ["a", "b"] * 9, header=header)
        with pytest.raises(DataError, match=f"Allowed: {', '.join(header)}") as caught:
            make(name="own", source=str(path), dev_fraction=0.2)
        assert "--text-a COLUMN --text-b COLUMN --label COLUMN" in str(caught.value.hint)


@pytest.mark.parametrize("role", ["text_a", "text_b", "label", "id", "document", "split_column"])
@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_named_column_exists(tmp_path: Path, make: Make, role: str, suffix: str) -> None:
    path = write(tmp_path, "train", ["a", "b"] * 9, suffix, ("premise", "hypothesis", "label"))
    with pytest.raises(DataError, match=r"column 'premis'.*no such column\. Did you mean 'premise'"):
        make(name="own", source=str(path), dev_fraction=0.2, format="tabular", **{role: "premis"})


def test_columns_of_json_are_the_keys_of_all_records(tmp_path: Path, make: Make) -> None:
    records = [
        {"premise": f"a{n}", "hypothesis": "b", "label": "yn"[n % 2], "uid": f"u{n}", "pmid": f"d{n % 6}"}
        for n in range(40)
    ]
    del records[0]["uid"], records[0]["pmid"]
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    prepared = make(name="own", source=str(path), dev_fraction=0.2, id="uid", document="pmid")
    rows = pd.concat(prepared.splits.values()).set_index("text_a")
    assert rows.loc["a0", ["id", "document"]].tolist() == ["train:1", ""]
    assert rows.loc["a7", ["id", "document"]].tolist() == ["u7", "d1"]
    del records[3]["label"]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    with pytest.raises(DataError, match="row 4, column 'label': this record lacks the column"):
        make(name="other", source=str(path), dev_fraction=0.2)


@pytest.mark.parametrize("form", ["own", "multinli"])
def test_ids_that_restart_can_be_left_alone(tmp_path: Path, make: Make, form: str) -> None:
    texts = ("sentence1", "sentence2", "gold_label", "pairID") if form == "multinli" else (*HEADER, "id")
    for split in ("train", "test"):
        rows = [(f"{split} {n}", "b", ("entailment", "neutral", "contradiction")[n % 3], n) for n in range(40)]
        pd.DataFrame(rows, columns=list(texts)).to_csv(tmp_path / f"{split}.tsv", sep="\t", index=False)
    with pytest.raises(DataError, match="this id occurs already") as caught:
        make(name=form, source=str(tmp_path))
    assert "--no-ids" in str(caught.value.hint)
    assert make(name=form, source=str(tmp_path), no_ids=True).splits["test"]["id"][0] == "test:2"
    with pytest.raises(UsageError, match="exclude each other"):
        make(name=form, source=str(tmp_path), no_ids=True, id="id")
    with pytest.raises(DataError) as caught:
        make(name=form, source=str(tmp_path), output=tmp_path / "other", format="tabular", id="none")
    assert "--no-ids" in str(caught.value.hint)


def test_claims_without_their_ids(tmp_path: Path, make: Make) -> None:
    corpus = [{"doc_id": n, "title": "t", "abstract": [f"a{n}"]} for n in range(3)]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(each) + "\n" for each in corpus))
    label = [{"label": "SUPPORT"}]
    for split in ("train", "dev", "test"):
        claims = [
            {"id": n, "claim": f"{split} {n}", "cited_doc_ids": [0, 1], "evidence": {"0": label}} for n in range(9)
        ]
        (tmp_path / f"claims_{split}.jsonl").write_text("".join(json.dumps(each) + "\n" for each in claims))
    prepared = make(name="scifact", source=str(tmp_path), no_ids=True)
    assert prepared.splits["test"]["id"].tolist()[:2] == ["test:1:0", "test:1:1"]
