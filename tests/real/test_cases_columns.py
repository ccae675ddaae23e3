"""Reported inputs: columns, labels and credentialed text of pairs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from reported_cases import needs_cases, run_case

pytestmark = [pytest.mark.cases, needs_cases]


@pytest.mark.parametrize(
    ("case", "times"), [("01-minus-one-csv", 3), ("02-dash-tabular", 3), ("02b-snli-own-columns", 9)]
)
def test_rows_without_a_gold_label_are_dropped_and_counted(tmp_path: Path, case: str, times: int) -> None:
    outcome = run_case(case, tmp_path)
    assert outcome.everything.count("dropped (no gold label)") == times
    assert " rc 3" not in outcome.output


@pytest.mark.parametrize("case", ["03-label-case", "03b-label-case-everywhere"])
def test_one_label_in_two_spellings(tmp_path: Path, case: str) -> None:
    outcome = run_case(case, tmp_path)
    message = " ".join(outcome.errors.split())
    assert "one label in two spellings" in message
    assert re.search(r"row \d+, column .label.", message)
    assert "--label-map" in message


def test_a_label_outside_the_set_stays_an_error(tmp_path: Path) -> None:
    assert "contradictory" in run_case("04-contradictory", tmp_path).errors


@pytest.mark.parametrize("case", ["05-null-words", "06-u2028"])
def test_odd_texts_work(tmp_path: Path, case: str) -> None:
    assert run_case(case, tmp_path).code == 0


def test_ids_that_restart(tmp_path: Path) -> None:
    outcome = run_case("10-ids-restart", tmp_path)
    assert outcome.output.split().count("3") == 2
    assert outcome.errors.count("--no-ids") == 2


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    outcome = run_case("11-column-typo", tmp_path, tracebacks=1)
    assert "right rc 3" in outcome.output
    assert "typo rc 3" in outcome.output
    assert "Did you mean 'pair_id'" in " ".join(outcome.errors.split())


def test_keys_of_all_records(tmp_path: Path) -> None:
    outcome = run_case("12-first-record-short", tmp_path, tracebacks=1)
    message = " ".join(outcome.errors.split())
    assert outcome.output.count("rc 3") == 2
    assert "documents of" in message
    assert "row 1, column 'label'" in message


def test_no_cell_of_credentialed_pairs(tmp_path: Path) -> None:
    outcome = run_case("44-credentialed-headerless", tmp_path)
    assert "SECRET-NOTE" not in outcome.everything
    assert "was seen in clinic" not in outcome.everything
