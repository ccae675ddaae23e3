"""A guide that is registered and named nowhere else works in every command."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import as_flags

TESTS = Path(__file__).parent


def ag(*words: object) -> str:
    """`ag` with one more guide; what it prints."""
    program = [sys.executable, str(TESTS / "entropy_guide.py"), *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "COLUMNS": "240", "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(program, capture_output=True, text=True, timeout=600, env=environment)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def table(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_fine_tuning_has_its_options_its_value_and_its_name(options: dict[str, Any], tmp_path: Path) -> None:
    assert "received_entropy" in ag("finetune", "--help")
    flags = as_flags(options | {"epochs": 1, "mdg": 0.0, "pdg": 0.0})
    words = ["--guide", "received_entropy=0.5,power=2", "--monitor", "received_entropy"]
    metrics = json.loads(ag("finetune", *flags, *words, "--output", tmp_path / "run", "--json"))
    assert metrics["guides"]["received_entropy"] > 0
    saved = json.loads((tmp_path / "run" / "config.json").read_text())
    assert saved["guide"] == ["received_entropy=0.5,power=2"]
    again = json.loads(
        ag("finetune", *flags, "--guide", "received_entropy=0.5", "--output", tmp_path / "plain", "--json")
    )
    assert again["guides"]["received_entropy"] != metrics["guides"]["received_entropy"], "its option has an effect"


@pytest.mark.slow
def test_a_sweep_has_its_variants_its_column_and_its_report(options: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    words = [*as_flags(options | {"epochs": 1}), "--variants", "none,received_entropy,mdg+received_entropy"]
    assert "received_entropy" in ag("ablate", "--help")
    words += ["--guide", "received_entropy=0.5,power=2", "--seeds", 2, "--output", folder]
    shown = ag("ablate", *words)
    rows = table(folder / "results.csv")
    assert [(row["variant"], row["mdg"], row["pdg"], row["received_entropy"]) for row in rows] == [
        *[("none", "0.0", "0.0", "0.0")] * 2,
        *[("received_entropy", "0.0", "0.0", "0.5,power=2")] * 2,
        *[("mdg+received_entropy", "0.01", "0.0", "0.5,power=2")] * 2,
    ]
    assert len({row["cell"] for row in rows}) == 6
    assert "" not in {row["test:accuracy"] for row in rows}
    report = json.loads((folder / "report" / "report.json").read_text())
    assert [(row["variant"], row["received_entropy"], row["n"]) for row in report["contrasts"]] == [
        ("received_entropy", "0.5,power=2", 2),
        ("mdg+received_entropy", "0.5,power=2", 2),
    ]
    assert "received_entropy=0.5,power=2" in shown
    assert "forest.png" in report["pictures"]
    (grid,) = json.loads((folder / "sweep.json").read_text())["grids"]
    assert (grid["mdg"], grid["pdg"], grid["received_entropy"]) == ([0.01], [0.001], [0.5])
    assert grid["guide"] == ["received_entropy=0.5,power=2"]


@pytest.mark.slow
def test_its_weight_is_searched_like_any_other(options: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    words = ["--variants", "none,received_entropy", "--guide-grid", "received_entropy=0.1,0.01"]
    words += ["--seeds", 1, "--select-seeds", 1]
    shown = ag("ablate", *as_flags(options | {"epochs": 1}), *words, "--output", folder)
    assert "received_entropy=0." in shown
    chosen = [row["received_entropy"] for row in table(folder / "results.csv") if row["role"] == "report"]
    assert chosen[0] == "0.0"
    assert chosen[1] in ("0.1", "0.01")
    assert len(list((folder / "report").glob("weight_heatmap_*.png"))) == 1


@pytest.mark.slow
def test_its_cost_is_timed(dataset: Path, encoder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "timing"
    sizes = ["--lengths", 16, "--batch-size", 2, "--steps", 2, "--rounds", 2, "--warmup", 1]
    words = ["--models", encoder, "--dataset", dataset, "--variants", "none,received_entropy", *sizes]
    words += ["--guide", "received_entropy=0.5,power=2", "--against", "eager"]
    ag("timing", *words, "--output", folder, "--offline")
    rows = {row["variant"]: row for row in table(folder / "timing.csv")}
    assert list(rows) == ["none", "received_entropy", "eager"]
    assert all(row["step_seconds"] for row in rows.values())
    assert "guide received_entropy=0.5,power=2" in rows["received_entropy"]["notes"]
    assert "guide received_entropy=0.5,power=2" in rows["eager"]["notes"]
