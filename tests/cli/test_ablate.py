"""`ag ablate` as its user meets it."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from narrow_terminal import assert_narrows
from tiny_runs import ROWS, as_flags, short_options, write_encoder
from typer.testing import Result

from agcli.paper import recipes
from agcli.timing import request

Ag = Callable[..., Result]


@pytest.fixture
def flags(options: dict[str, Any]) -> list[str]:
    """The options of a short run, one epoch."""
    return as_flags(options | {"epochs": 1})


def test_a_grid_is_run_reported_and_reported_again(ag: Ag, flags: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    shown = ag("ablate", *flags, "--variants", "none,both", "--seeds", 2, "--sizes", "24", "--output", folder)
    assert "4 cells, 0 of them finished" in shown.stderr
    assert "Guided minus unguided" in shown.stdout
    assert "no claim" in shown.stdout  # of two seeds
    with (folder / "results.csv").open(newline="") as file:
        assert [row["state"] for row in csv.DictReader(file)] == ["finished"] * 4
    left = {path.name for path in (folder / "report").iterdir()}
    assert {"means.csv", "contrasts.csv", "report.json", "report.md", "forest.png", "forest.svg", "forest.pdf"} <= left
    assert_narrows("ablate", "--report", folder)
    again = ag("ablate", "--report", folder, "--json")
    assert [row["variant"] for row in json.loads(again.stdout)["contrasts"]] == ["both"]


def test_a_plan_is_printed_and_nothing_written(ag: Ag, flags: list[str], tmp_path: Path) -> None:
    words = ["ablate", *flags, "--variants", "none,mdg", "--mdg-grid", "0.1,0.01", "--seeds", 1, "--sizes", "24"]
    shown = ag(*words, "--select-seeds", 1, "--output", tmp_path / "sweep", "--dry-run")
    assert "select cells, mdg" in shown.stdout
    assert "then, with the winners" in shown.stdout
    assert not (tmp_path / "sweep").exists()


def test_a_file_says_the_same(ag: Ag, flags: list[str], tmp_path: Path) -> None:
    file = tmp_path / "grid.toml"
    file.write_text('variants = ["none", "pdg"]\nseeds = 3\nsizes = [24]\nset = ["dropout=0.0,0.1"]\n')
    words = ["ablate", *flags, "--config", file, "--output", tmp_path / "sweep", "--dry-run", "--json"]
    cells = json.loads(ag(*words).stdout)["cells"]
    assert len(cells) == 2 * 3 * 2
    assert {cell["dropout"] for cell in cells} == {0.0, 0.1}


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--variants", "none,bth"], "Did you mean 'both'"),
        (["--set", "dropot=0.1"], "Did you mean 'dropout'"),
        (["--mdg-grid", "a"], "--mdg-grid: 'a' is no number"),
        (["--address", "auto"], "--address and --gpus belong to --engine ray"),
        (["--recipe", "tabel1"], "Did you mean 'table1'"),
    ],
)
def test_what_cannot_be_is_named(ag: Ag, flags: list[str], tmp_path: Path, words: list[str], problem: str) -> None:
    assert problem in ag("ablate", *flags, *words, "--output", tmp_path / "sweep", code=2).stderr


def test_values_out_of_range_are_refused_together(ag: Ag, flags: list[str], tmp_path: Path) -> None:
    words = ["--workers", 0, "--engine", "rya", "--gpus", -1, "--seeds", 0, "--layers", "eech", "--dropout", 2]
    shown = " ".join(ag("ablate", *flags, *words, "--output", tmp_path / "sweep", code=2).stderr.split())
    for problem in (
        "--workers: 0 is not allowed; allowed: at least 1.",
        "--engine: 'rya' is not allowed; allowed: one of local, ray. Did you mean 'ray'?",
        "--gpus: -1.0 is not allowed; allowed: at least 0.",
        "--seeds: 0 is not allowed; allowed: at least 1 and at most 1000.",
        "--layers: 'eech' is not allowed; allowed: one of all, each.",
        "--dropout: 2.0 is not allowed; allowed: at least 0 and at most 0.9.",
        "next: `ag ablate --help` lists every option",
    ):
        assert problem in shown


@pytest.fixture
def small(dataset: Path, tmp_path: Path) -> list[str]:
    """Options of a recipe at small scale, on an encoder in a folder that has the name of `minilm` on the hub."""
    folder = Path(shutil.copytree(dataset, tmp_path / "pairs"))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["splits"] = {split: {"rows": rows} for split, rows in ROWS.items()}  # as `ag prepare` writes it
    (folder / "manifest.json").write_text(json.dumps(manifest))
    options = short_options(folder, write_encoder(tmp_path / "all-MiniLM-L6-v2"))
    return ["--scale", "small", "--seeds", "1", *as_flags(options | {"epochs": 1})]


def test_a_recipe_ends_in_the_papers_table(ag: Ag, small: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    shown = ag("ablate", "--recipe", "table1", *small, "--output", folder).stdout
    title = "The paper's Table 1: pre-trained encoders with and without attention guiding"
    assert shown.index("Guided minus unguided") < shown.index(title) < shown.index("where no option was given")
    assert re.search(r"BERT\+AG +│ paper +│ +77\.22 │ +77\.35", shown)
    assert re.search(r"minilm\+AG +│ ours +│ +\d+\.\d\d │", shown)
    assert "--epochs 1" in next(line for line in shown.splitlines() if line.startswith("Given beside the recipe"))
    assert {f"paper_table.{kind}" for kind in ("csv", "json", "md", "tex")} <= {
        path.name for path in (folder / "report").iterdir()
    }
    assert_narrows("ablate", "--report", folder)
    again = json.loads(ag("ablate", "--report", folder, "--json").stdout)
    assert again == json.loads((folder / "report" / "report.json").read_text(encoding="utf-8"))
    beside = {(row["row"], row["group"], row["column"]): row for row in again["paper_table"]}
    assert beside["BERT+AG", "MedNLI", "ACC"]["paper"] == 77.22
    ours = next(row["mean"] for row in again["means"] if row["variant"] == "both")
    assert beside["minilm+AG", "pairs", "ACC"]["ours"] == pytest.approx(100 * ours, abs=1e-5)
    assert title in (folder / "report" / "report.md").read_text(encoding="utf-8")


def test_a_report_of_no_sweep(ag: Ag, tmp_path: Path) -> None:
    assert "no sweep" in ag("ablate", "--report", tmp_path, code=3).stderr
    assert "--output: a sweep needs a folder" in ag("ablate", code=2).stderr


@pytest.mark.slow
def test_the_timed_recipe_ends_in_the_papers_table_of_seconds(
    ag: Ag, dataset: Path, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(recipes.SMALL, "max_length", 32)
    monkeypatch.setitem(recipes.SMALL, "batch_size", 4)
    monkeypatch.setattr(request, "TimingRequest", partial(request.TimingRequest, steps=4, rounds=2, warmup=1))
    words = ["ablate", "--recipe", "table4", "--scale", "small", "--model", encoder, "--dataset", dataset]
    words += ["--output", tmp_path / "timed"]
    assert "Plan" in ag(*words, "--dry-run").stdout
    assert not (tmp_path / "timed").exists()
    shown = ag(*words)
    assert "seconds of a training epoch" in shown.stdout
    numbers = json.loads((tmp_path / "timed" / "paper_table.json").read_text())["numbers"]
    ours = [row for row in numbers if row["ours"] is not None]
    assert len(ours) == 2, "without guides and with both"
    assert (tmp_path / "timed" / dataset.name / "timing.csv").is_file()
    again = ag(*words, code=2)
    assert "is left alone" in again.stderr


def test_a_sweep_whose_cells_diverge_says_so_and_fails(ag: Ag, flags: list[str], tmp_path: Path) -> None:
    words = ["--variants", "none", "--seeds", 1, "--learning-rate", "1e30", "--output", tmp_path / "sweep"]
    shown = ag("ablate", *flags, *words, code=1)
    assert "1 of the cells failed" in shown.stderr
    means = list(csv.DictReader((tmp_path / "sweep" / "report" / "means.csv").open()))
    assert (means[0]["diverged"], means[0]["failed"], means[0]["n"]) == ("1", "1", "0")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--sizes", "24,5000"], r"--sizes 5000: \S+ has 44 training examples\. next: --sizes 44 at most"),
        (["--set", "x=1"], r"--set x=1: there is no option 'x'\."),
        (["--set", "dropout"], r"--set dropout: give an option and one or more values\. next: --set dropout=0\.0,0\.1"),
        (["--set", "dropout="], r"--set dropout=: give an option"),
    ],
)
def test_the_option_that_was_given_is_the_one_blamed(
    ag: Ag, flags: list[str], tmp_path: Path, words: list[str], problem: str
) -> None:
    errors = " ".join(ag("ablate", *flags, *words, "--output", tmp_path / "sweep", code=2).stderr.split())
    assert re.search(problem, errors), errors
    assert "--train-limit" not in errors
    assert not (tmp_path / "sweep").exists()


def test_the_log_names_cells_in_words_and_the_report_shows_the_majority_class(
    ag: Ag, flags: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "sweep"
    shown = ag("ablate", *flags, "--variants", "none,both", "--seeds", 1, "--sizes", "24", "--output", folder)
    (one, two) = (line for line in shown.stderr.splitlines() if " finished in " in line)
    assert re.fullmatch(r"none, size 24, seed 1 \(cell [0-9a-f]{16}\) finished in \d+ s \(1 of 2\)", one)
    assert two.startswith("both, size 24, seed 1 (cell ")
    with (folder / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["baseline"] for row in rows} == {"majority class"}
    for row in rows:
        metrics = json.loads((folder / "cells" / row["cell"] / "metrics.json").read_text())
        assert float(row["test:baseline"]) == metrics["baseline"]["test"]["accuracy"]
        assert float(row["dev:baseline"]) == metrics["baseline"]["dev"]["accuracy"]
    assert "majority class" in shown.stdout


def test_a_cell_that_fails_is_named_in_words(ag: Ag, flags: list[str], tmp_path: Path) -> None:
    words = ["--variants", "none", "--seeds", 1, "--set", "learning_rate=1e30,1e-3", "--output", tmp_path / "sweep"]
    shown = ag("ablate", *flags, *words, "--fail-fast", code=1).stderr
    assert re.search(r"warning: none, learning_rate 1e\+30, seed 1 \(cell [0-9a-f]{16}\) failed: ", shown)
    assert re.search(r"error: none, learning_rate 1e\+30, seed 1 \(cell [0-9a-f]{16}\): ", shown)


def planned(ag: Ag, flags: list[str], *words: object) -> list[dict[str, Any]]:
    """The cells of a plan; of one unguided variant and one seed where nothing else is given."""
    shown = ag("ablate", *flags, "--variants", "none", *words, "--dry-run", "--json").stdout
    cells: list[dict[str, Any]] = json.loads(shown)["cells"]
    return cells


def test_every_option_of_a_run_has_its_own_name_here(ag: Ag, flags: list[str], tmp_path: Path) -> None:
    given = {"train_limit": 24, "guide_layers": "0", "data_seed": 3, "checkpoint_every": 2, "keep_checkpoints": True}
    words = [*as_flags(given), "--seed", 7, "--recipe", "paper", "--output", tmp_path / "sweep"]
    (cell,) = planned(ag, flags, *words)
    expected = {**given, "seed": 7, "recipe": "paper"}
    assert {name: cell[name] for name in expected} == expected
    assert [cell["train_fraction"] for cell in planned(ag, flags, "--train-fraction", 0.5, *words[-2:])] == [0.5] * 5


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--train-limit", 24, "--sizes", "24"], "--train-limit beside --sizes"),
        (["--train-fraction", 0.5, "--sizes", "24"], "--train-fraction beside --sizes"),
        (["--seed", 1, "--seeds", 2], "--seed beside --seeds"),
        (["--guide-layers", "0", "--layers", "each"], "--guide-layers beside --layers"),
        (["--mdg", 0.1, "--mdg-grid", "0.1,0.2"], "--mdg beside --mdg-grid"),
        (["--train-limit", 5000], "--train-limit 5000"),
        (["--recipe", "figure6", "--scale", "small", "--train-limit", 24], "--train-limit beside --sizes"),
    ],
)
def test_a_run_option_beside_the_axis_that_varies_it_is_refused(
    ag: Ag, flags: list[str], tmp_path: Path, words: list[object], problem: str
) -> None:
    assert problem in " ".join(ag("ablate", *flags, *words, "--output", tmp_path / "sweep", code=2).stderr.split())


def test_an_axis_on_the_command_line_wins_over_a_file_s_option(ag: Ag, flags: list[str], tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    file.write_text(json.dumps({"seed": 4, "train_limit": 30, "guide_layers": "0", "subset_seed": None}))
    words = ["--config", file, "--output", tmp_path / "sweep"]
    assert [(cell["seed"], cell["train_limit"]) for cell in planned(ag, flags, *words)] == [(4, 30)]
    cells = planned(ag, flags, *words, "--seeds", 2, "--sizes", "20")
    assert [(cell["seed"], cell["train_limit"], cell["guide_layers"]) for cell in cells] == [(1, 20, "0"), (2, 20, "0")]
