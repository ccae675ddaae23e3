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
    """`ag` with the third guide; what it prints."""
    program = [sys.executable, str(TESTS / "entropy_guide.py"), *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "COLUMNS": "240", "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(program, capture_output=True, text=True, timeout=600, env=environment)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.slow
def test_fine_tuning_has_its_options_its_value_and_its_name(options: dict[str, Any], tmp_path: Path) -> None:
    assert "received_entropy" in ag("finetune", "--help")
    flags = as_flags(options | {"epochs": 1, "mdg": 0.0, "pdg": 0.0})
    guide = "received_entropy=0.50,entropy_power=2"
    metrics = json.loads(ag("finetune", *flags, "--guide", guide, "--output", tmp_path / "run", "--json"))
    assert metrics["guides"]["received_entropy"] > 0
    saved = json.loads((tmp_path / "run" / "config.json").read_text())
    assert saved["guide"] == ["received_entropy=0.5,entropy_power=2"]


@pytest.mark.slow
def test_a_sweep_has_its_variant_its_column_and_its_report(options: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    words = [*as_flags(options | {"epochs": 1}), "--variants", "none,entropy", "--seeds", 2, "--output", folder]
    assert "--entropy-grid" in ag("ablate", "--help")
    shown = ag("ablate", *words)
    with (folder / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["variant"], row["mdg"], row["pdg"], row["entropy"]) for row in rows] == [
        *[("none", "0.0", "0.0", "0.0")] * 2,
        *[("entropy", "0.0", "0.0", "0.05")] * 2,
    ]
    assert len({row["cell"] for row in rows}) == 4
    assert rows[0]["test:accuracy"] != "" != rows[2]["test:accuracy"]
    report = json.loads((folder / "report" / "report.json").read_text())
    assert [(row["variant"], row["entropy"], row["n"]) for row in report["contrasts"]] == [("entropy", 0.05, 2)]
    assert "entropy" in shown
    assert "forest.png" in report["pictures"]
    (grid,) = json.loads((folder / "sweep.json").read_text())["grids"]
    assert (grid["mdg"], grid["pdg"], grid["entropy"]) == ([0.01], [0.001], [0.05])


@pytest.mark.slow
def test_its_weight_is_searched_like_any_other(options: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    words = ["--variants", "none,entropy", "--entropy-grid", "0.1,0.01", "--seeds", 1, "--select-seeds", 1]
    shown = ag("ablate", *as_flags(options | {"epochs": 1}), *words, "--output", folder)
    assert "entropy=0." in shown
    with (folder / "results.csv").open(newline="") as file:
        chosen = [row["entropy"] for row in csv.DictReader(file) if row["role"] == "report"]
    assert (chosen[0], chosen[1] in ("0.1", "0.01")) == ("0.0", True)


@pytest.mark.slow
def test_its_cost_is_timed(dataset: Path, encoder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "timing"
    sizes = ["--lengths", 16, "--batch-size", 2, "--steps", 2, "--rounds", 2, "--warmup", 1]
    words = ["--models", encoder, "--dataset", dataset, "--variants", "none,entropy", *sizes]
    ag("timing", *words, "--output", folder, "--offline")
    with (folder / "timing.csv").open(newline="") as file:
        assert {row["variant"] for row in csv.DictReader(file)} == {"none", "entropy"}
