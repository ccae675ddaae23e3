"""Reported inputs about what people see: markup in names, encodings, broken pipes, narrow terminals."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from reported_cases import needs_cases, run_case

pytestmark = [pytest.mark.cases, needs_cases]


def test_names_that_are_words_of_rich(tmp_path: Path) -> None:
    done = run_case("28-rich-words", tmp_path)
    assert "names:100:[v2]" in done.output
    assert "runs/a [b]:100:c" in done.output
    assert re.findall(r"^rc (\d+)$", done.output, re.MULTILINE)[:3] == ["0", "0", "0"]
    assert "runs/a [b]:100:d" in done.errors
    assert "💯" not in done.everything


def test_terminals_of_few_characters(tmp_path: Path) -> None:
    done = run_case("29-ascii-terminal", tmp_path)
    codes = re.findall(r" rc (\d+)$", done.output, re.MULTILINE)
    assert len(codes) == 27
    assert set(codes) == {"0"}


def test_locales(tmp_path: Path) -> None:
    done = run_case("29b-locales", tmp_path)
    codes = re.findall(r" rc (\d+)\b", done.output)
    assert len(codes) == 11
    assert set(codes) == {"0"}
    assert "finished" in done.output
    assert not re.search(r"^\w*Error", done.output, re.MULTILINE)


def test_pipes_that_close(tmp_path: Path) -> None:
    done = run_case("30-closed-pipes", tmp_path)
    lines = re.findall(r"^(.*): rc (\d+), stderr: (.*)$", done.output, re.MULTILINE)
    assert len(lines) == 30
    again = lines.pop(6)  # `cmd` prepares the same folder twice
    assert again == ("prepare --dataset sample --output d1 --json | true", "3", "error: d1: already there.")
    for call, code, error in lines:
        full = call.endswith("/dev/full")
        assert code == ("1" if full and not call.startswith("prepare") else "0"), (call, error)
        assert ("No space left on device" in error) == full, (call, error)
    assert len(re.findall(r"rc 0\b(?!,)", done.output)) == 3
    assert done.output.count('"finished"') == 3


def test_narrow_terminals(tmp_path: Path) -> None:
    done = run_case("42-narrow", tmp_path)
    codes = re.findall(r" rc (\d+) ", done.output)
    assert set(codes) == {"0"}
    assert done.output.splitlines()[-2:] == ["0", "0"] or done.output.splitlines()[-2] == "0"
