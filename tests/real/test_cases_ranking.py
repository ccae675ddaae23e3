"""Reported inputs of ranking data and of `ag evaluate`: what each of their calls shows."""

from __future__ import annotations

from pathlib import Path

import pytest
from reported_cases import needs_cases, run_case

pytestmark = [pytest.mark.cases, needs_cases]


def test_negative_grades_have_a_way_through(tmp_path: Path) -> None:
    shown = run_case("21-negative-grades", tmp_path)
    for line in ("covid rc 3", "floats rc 0", "graded rc 0", "web rc 3", "covid --drop-missing rc 3"):
        assert line in shown.output
    assert shown.errors.count("--negative-grades as-zero") == 3


def test_odd_run_files_are_clear(tmp_path: Path) -> None:
    shown = run_case("22-trec-run-habits", tmp_path).output
    assert "ties rc 0" in shown
    for name in ("mixed", "five", "spaces", "twice", "inf", "nbsp"):
        assert f"{name} rc 3" in shown


def test_ids_like_numbers_stay_as_they_are(tmp_path: Path) -> None:
    shown = run_case("31-ids-like-numbers", tmp_path).output
    assert "files rc 0" in shown
    assert "\nnull," in shown
    assert "'" not in shown.split("ir_measures")[0].split("│")[0]


def test_nothing_retrieved_is_no_nan(tmp_path: Path) -> None:
    shown = run_case("32-nothing-retrieved", tmp_path)
    assert shown.output.count("rc 0") >= 8
    assert shown.code == 0


def test_long_claims_are_cut_and_counted(tmp_path: Path) -> None:
    """The second call finds the folder of the first, which now succeeds."""
    shown = run_case("35-long-claims", tmp_path)
    for line in ("prepare rc 0", "finetune 128 rc 0", "finetune 512 rc 0", "rank --text rc 0"):
        assert line in shown.output
    assert "queries leave no room for a document at --max-length 128" in " ".join(shown.errors.split())


def test_strays_and_re_saved_predictions(tmp_path: Path) -> None:
    shown = run_case("43-evaluate-glob", tmp_path)
    returned = [line for line in shown.output.splitlines() if "rc " in line]
    assert returned == ["rc 3", "rc 0", "rc 2", "rc 2", "BOM (saved by Excel) rc 0", "semicolons rc 3"]
    assert "a file, no run folder" in shown.errors
    assert len(shown.errors) < 3000


def test_no_cell_of_credentialed_ranking_data_is_shown(tmp_path: Path) -> None:
    shown = run_case("44-credentialed-headerless", tmp_path)
    assert "SECRET-CLAIM" not in shown.everything
    assert "SECRET-DOC" not in shown.everything


def test_ids_with_signs_are_those_of_the_source(tmp_path: Path) -> None:
    shown = run_case("45-ids-with-signs", tmp_path).output
    assert shown.count("ids that are the source's: 12 of 12") == 2
