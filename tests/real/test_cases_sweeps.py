"""Reported inputs that sweeps, interrupted runs and other orders of labels have to stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from reported_cases import needs_cases, run_case

pytestmark = [pytest.mark.cases, needs_cases]


def test_33_arms_and_seeds_that_are_all_alike(tmp_path: Path) -> None:
    done = run_case("33-all-alike", tmp_path)
    assert done.output.count("rc 0") == 3, done.everything
    assert "not estimable" in done.output
    assert "seeds detect 0.00 points" not in done.output
    assert re.search(r"^0$", done.output, re.MULTILINE), "no NaN in the JSON"
    report = (done.folder / "sweeps" / "s" / "report" / "report.md").read_text(encoding="utf-8")
    assert "majority class" in report
    assert not re.search(r"\bnan\b", report, re.IGNORECASE)


def test_36_resumed_runs_end_in_the_same_bytes(tmp_path: Path) -> None:
    done = run_case("36-resume", tmp_path)
    for words in ("whole rc 0", "resumed rc 0", "best checkpoint deleted, resume rc 0", "predictions same"):
        assert words in done.output, done.everything
    for file in ("predictions.csv", "history.csv", "metrics.json", "model/model.safetensors"):
        assert f"{file} same" in done.output, done.everything
    assert "resume a finished run with more epochs rc 2" in done.output
    assert "the same, only --epochs rc 2" in done.output


def test_47_labels_in_another_order(tmp_path: Path) -> None:
    output = run_case("47-other-label-order", tmp_path).output
    judged = re.findall(r'^{"value":([0-9.]+)', output, re.MULTILINE)
    trained = [line for line in output.splitlines() if line[:1].isdigit()]
    assert (len(judged), len(trained)) == (3, 2), output
    assert len({*judged, *trained}) == 1
    assert "reordered" in output
