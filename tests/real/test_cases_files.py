"""How files and containers are opened, recognised and read: the reported inputs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from reported_cases import needs_cases, run_case

pytestmark = [pytest.mark.cases, needs_cases]


def codes(text: str) -> list[str]:
    """Exit codes as the calls print them."""
    return re.findall(r"\brc (\d+)", text)


def test_sharded_parquet(tmp_path: Path) -> None:
    done = run_case("07-sharded-parquet", tmp_path)
    assert codes(done.output) == ["0", "0"]
    for name in ("train-00000", "train-00001", "test-00000", "test-00001", "validation-00000"):
        assert f"{name}-of-0000" in done.output


def test_parts(tmp_path: Path) -> None:
    done = run_case("07b-parts", tmp_path)
    assert codes(done.output) == ["3", "3", "0"]
    assert "2 files give train: train_part1.tsv, train_part2.tsv" in done.errors
    assert "2 files give train: train_1.tsv, train_2.tsv" in done.errors


def test_locked_zip(tmp_path: Path) -> None:
    done = run_case("08-zip-password", tmp_path)
    assert codes(done.output) == ["3", "3"]
    assert done.errors.count("locked.zip/train.tsv: locked with a password") == 2


def test_locked_and_damaged_zips_of_ranking_data_and_parquet(tmp_path: Path) -> None:
    done = run_case("08b-zip-password-ranking", tmp_path)
    assert codes(done.output) == ["3", "3", "3"]
    assert done.output.count("locked with a password") == 2
    assert "corpus.jsonl: cannot be read" in done.output


def test_damaged_zips(tmp_path: Path) -> None:
    done = run_case("09-zip-damaged", tmp_path)
    assert codes(done.output) == ["3"] * 5
    assert done.errors.count("set/train.tsv: cannot be read") == 4
    assert "cut.zip: not a readable zip archive" in done.errors


def test_backslashes_before_quotation_marks(tmp_path: Path) -> None:
    done = run_case("13-spark-csv", tmp_path)
    assert codes(done.output) == ["0", "0", "0"]
    assert done.output.count("(quoting: backslash)") == 9
    assert "\\" not in done.output


def test_spreadsheets(tmp_path: Path) -> None:
    done = run_case("14-spreadsheets", tmp_path)
    assert codes(done.output) == ["0", "0", "0", "3", "0", "0", "3", "0", "0"]
    assert "data/mac_cr: already there" in done.everything  # mac_cr.tsv is written to where mac_cr.csv went
    assert "iconv -f cp1252 -t utf-8 cp1252.csv > cp1252.utf8.csv" in done.everything


def test_json_in_other_shapes(tmp_path: Path) -> None:
    done = run_case("15-json-array", tmp_path)
    assert codes(done.output)[:4] == ["0", "0", "3", "3"]
    assert done.output.count("this one JSON object holds the whole table") == 2


def test_packed_files(tmp_path: Path) -> None:
    """All calls of this case write to one place; so the second and later ones end at what the first has written."""
    done = run_case("16-compressed", tmp_path)
    assert codes(done.output) == ["0"] + ["3"] * 9
    assert "train: train.tsv.gz" in done.output
    assert done.errors.count("already there") == 9


def test_what_may_not_be_read(tmp_path: Path) -> None:
    done = run_case("38-unreadable", tmp_path)
    assert codes(done.output) == ["3"] * 8
    assert done.output.count("cannot be read (Permission denied)") == 7
    assert "a folder, where a file is needed" in done.output


def test_a_clone_of_multinli_from_the_hub(tmp_path: Path) -> None:
    done = run_case("46-hub-clone-multinli", tmp_path)
    assert codes(done.output) == ["0", "0"]
    assert "contradiction" in done.output
