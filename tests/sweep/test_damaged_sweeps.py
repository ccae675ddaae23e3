"""Sweeps whose files somebody damaged: told with the file's name, or mended, and never a crash."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made_up_results import arm, row

from agcli.errors import DataError
from agcli.runs.folder import RunFolder
from agcli.sweep.cell import read_record
from agcli.sweep.comparisons import family
from agcli.sweep.report import write_report
from agcli.sweep.sweep import Sweep, read_plan

TEXTS = ["", "{", "[]", "null", '"x"', "{}", '{"threads": "x", "grids": []}', '{"threads": 1, "grids": {}}']


@pytest.mark.parametrize("text", TEXTS)
def test_a_damaged_plan_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "sweep.json").write_text(text)
    for look in (read_plan, write_report):
        with pytest.raises(DataError, match=r"sweep\.json"):
            look(tmp_path)


def test_no_text_at_all_is_named_too(tmp_path: Path) -> None:
    (tmp_path / "sweep.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"sweep\.json"):
        read_plan(tmp_path)


@pytest.mark.parametrize("text", [*TEXTS, '{"fingerprint": "x"}'])
def test_a_cell_with_a_damaged_record_is_not_finished(tmp_path: Path, text: str) -> None:
    (tmp_path / "cell.json").write_text(text)
    assert read_record(RunFolder(tmp_path)) is None


@pytest.mark.parametrize("text", ['{"x": 1}', '{"x": {"y": 1}}', "[", "[]"])
def test_a_damaged_list_of_failures_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "failures.json").write_text(text)
    with pytest.raises(DataError, match=r"failures\.json"):
        Sweep((), tmp_path, 1).failures()


@pytest.mark.parametrize(
    ("column", "value"), [("seed", ""), ("seed", "inf"), ("seed", "x"), ("size", ""), ("size", "nan"), ("size", "-1")]
)
def test_a_setting_that_cannot_be_is_named(column: str, value: str) -> None:
    import pandas as pd

    rows = [*arm("none", [0.5, 0.6]), row("mdg", 1, 0.5)]
    with pytest.raises(DataError, match=column):
        family(pd.DataFrame([*rows, {**row("mdg", 2, 0.5), column: value}]))


def test_metrics_without_a_split_are_named(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps({"dev": None}))
    with pytest.raises(DataError, match=r"metrics\.json"):
        _ = RunFolder(tmp_path).metrics
