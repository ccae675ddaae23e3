"""Guides of the registry, their options, sums and shares in `ag ablate`."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import as_flags
from typer.testing import Result

from agcli.cli.ablate_guides import guides_and_weights, parse_weights
from agcli.errors import UsageError

Ag = Callable[..., Result]


@pytest.fixture
def flags(options: dict[str, Any]) -> list[str]:
    """The options of a short run, one epoch."""
    return as_flags(options | {"epochs": 1})


def planned(ag: Ag, flags: list[str], folder: Path, *words: object) -> list[dict[str, Any]]:
    """The cells of a plan."""
    shown = ag("ablate", *flags, *words, "--output", folder, "--dry-run", "--json")
    cells: list[dict[str, Any]] = json.loads(shown.stdout)["cells"]
    return cells


def test_options_and_weights_of_guides_reach_the_cells_that_have_them(ag: Ag, flags: list[str], tmp_path: Path) -> None:
    words = ["--variants", "none,next,mdg+next,next+first", "--guide", "next=0.05,heads=2", "--seeds", 1]
    cells = planned(ag, flags, tmp_path / "sweep", *words)
    assert [(cell["variant"], cell["mdg"], cell["pdg"], cell.get("guide")) for cell in cells] == [
        ("none", 0.0, 0.0, None),
        ("next", 0.0, 0.0, ["next=0.05,heads=2"]),
        ("mdg+next", 0.01, 0.0, ["next=0.05,heads=2"]),
        ("next+first", 0.0, 0.0, ["next=0.05,heads=2", "first=0.01"]),
    ]
    (plain,) = planned(ag, flags, tmp_path / "sweep", "--variants", "next", "--guide", "next=0.05", "--seeds", 1)
    assert plain["cell"] not in {cell["cell"] for cell in cells}


def test_several_weights_are_tried_of_any_guide(ag: Ag, flags: list[str], tmp_path: Path) -> None:
    file = tmp_path / "grid.toml"
    file.write_text('guide = ["next=0.05,share=0.5"]\nguide_grid = {next = [0.1, "share:0.2"], mdg = "paper"}\n')
    words = ["--variants", "none,mdg,next", "--config", file, "--seeds", 1, "--select-seeds", 1]
    cells = planned(ag, flags, tmp_path / "sweep", *words)
    assert [cell["guide"] for cell in cells if cell["variant"] == "next"] == [
        ["next=0.1,share=0.5"],
        ["next=share:0.2,share=0.5"],
    ]
    assert [cell["mdg"] for cell in cells if cell["variant"] == "mdg"] == [0.1, 0.01, 0.001, 0.0001]
    assert len([cell for cell in cells if cell["variant"] == "none"]) == 4
    replaced = planned(ag, flags, tmp_path / "sweep", *words, "--guide-grid", "next=0.3", "--guide-grid", "mdg=0.1,0.2")
    assert [cell["guide"] for cell in replaced if cell["variant"] == "next"] == [["next=0.3,share=0.5"]]


def test_one_grid_serves_every_guide_without_its_own(ag: Ag, flags: list[str], tmp_path: Path) -> None:
    words = ["--seeds", 1, "--select-seeds", 1, "--guide-grid", "all=0.3,0.2", "--guide-grid", "prev=0.5"]
    variants = ["--variants", "none,mdg,next,prev", "--guide", "next=0.01,share=0.5"]
    cells = planned(ag, flags, tmp_path / "sweep", *variants, *words)
    assert [(cell["variant"], cell["mdg"], cell.get("guide", [])) for cell in cells if cell["variant"] != "none"] == [
        ("mdg", 0.3, []),
        ("mdg", 0.2, []),
        ("next", 0.0, ["next=0.3,share=0.5"]),
        ("next", 0.0, ["next=0.2,share=0.5"]),
        ("prev", 0.0, ["prev=0.5"]),
    ]
    fair = ["--variants", "none,both,next+first,next", *words[:4], "--guide-grid", "all=0.3,0.2"]
    tried = planned(ag, flags, tmp_path / "sweep", *fair)
    assert [(cell["variant"], cell["mdg"], cell["pdg"], cell.get("guide", [])) for cell in tried][2:] == [
        ("both", 0.3, 0.03, []),
        ("both", 0.2, 0.02, []),
        ("next+first", 0.0, 0.0, ["next=0.3", "first=0.3"]),
        ("next+first", 0.0, 0.0, ["next=0.2", "first=0.2"]),
        ("next", 0.0, 0.0, ["next=0.3"]),
        ("next", 0.0, 0.0, ["next=0.2"]),
    ]
    recipe = [*TABLE2, "--variants", "none,both,next,prev", "--guide", "next=0.01,heads=1", "--mdg", 0.7]
    tried = planned(ag, flags, tmp_path / "sweep", *TABLE2, "--variants", "none,both,next,prev", *words)
    assert [(cell["mdg"], cell["pdg"]) for cell in tried if cell["variant"] == "both"] == [(0.3, 0.03), (0.2, 0.02)]
    tried = planned(ag, flags, tmp_path / "sweep", *recipe, *words)
    assert [(cell["mdg"], cell["pdg"]) for cell in tried if cell["variant"] == "both"] == [(0.7, 0.3), (0.7, 0.2)]
    assert [cell.get("guide", []) for cell in tried if cell["variant"] in ("next", "prev")] == [
        ["next=0.3,heads=1"],
        ["next=0.2,heads=1"],
        ["prev=0.5,share=0.5"],
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--variants", "none,nxt"], "--variants: 'nxt' is none of none, mdg, pdg, both, next, .* mean 'next'"),
        (["--variants", "none,both,mdg+pdg"], "both and mdg\\+pdg have the same guides"),
        (["--variants", "next+next"], "'next\\+next' has a guide twice"),
        (["--variants", "none+next"], "'none' is the variant without guides, and no part of a sum"),
        (["--variants", "none,next", "--guide-grid", "prev=0.1,0.2"], "--guide-grid prev: no variant has this guide"),
        (["--variants", "none,next", "--mdg-grid", "0.1,0.2"], "--mdg-grid: no variant has this guide.* none,next,mdg"),
        (
            ["--variants", "none,next", "--layers", "each", "--guide", "next=0.1,layers=0"],
            "--layers each beside --guide next=0.1,layers=0",
        ),
        (["--variants", "none,mdg", "--guide", "next=0.1"], "--guide next: no variant has this guide"),
        (["--variants", "none,next", "--guide", "next=0"], "a variant without the guide is `none`"),
        (["--variants", "none,next", "--guide", "next=0.1,head=2"], "next has no option 'head'; .*mean 'heads'"),
        (["--variants", "none,next", "--guide", "next=0.1,heads=0,3"], "no option '3'.* listed with \\+, as in 0\\+3"),
        (["--variants", "none,next", "--guide-grid", "nxt=0.1"], "no guide 'nxt'.* mean 'next'"),
        (["--variants", "none,nxt", "--guide-grid", "all=0.1,0.2"], "--variants: 'nxt' is none of"),
        (["--variants", "none", "--guide-grid", "all=0.1,0.2", "--guide-grid", "all=0.3"], "all is given twice"),
        (["--variants", "none,next", "--guide-grid", "next"], "it has no weights; write next=0.1,0.01"),
        (["--variants", "none,next", "--guide-grid", "next=a"], "--guide-grid next: 'a' is no number"),
        (
            ["--variants", "none,next", "--guide-grid", "next=0.1,0"],
            "--guide-grid next needs different weights above 0",
        ),
        (["--variants", "none,mdg", "--mdg", 1, "--guide", "mdg=2"], "--mdg and --guide both give weights of mdg"),
        (["--variants", "none,mdg", "--mdg-grid", 1, "--guide-grid", "mdg=2"], "--mdg-grid and --guide-grid both"),
        (["--set", "guide=next=1"], "--set guide: not an option that can be varied so"),
    ],
)
def test_what_cannot_be_is_refused(ag: Ag, flags: list[str], tmp_path: Path, words: list[Any], message: str) -> None:
    import re

    shown = ag("ablate", *flags, *words, "--output", tmp_path / "sweep", code=2)
    assert re.search(message, " ".join(shown.stderr.split())), shown.stderr
    assert not (tmp_path / "sweep").exists()


def test_a_share_is_one_weight_in_one_spelling() -> None:
    assert parse_weights("share:0.050,0.1", "--guide-grid next") == ("share:0.05", 0.1)
    with pytest.raises(UsageError, match="'x' is no number"):
        parse_weights("share:x", "--guide-grid next")
    assert guides_and_weights({"guide": ["next=share:0.10"]}, {}) == (("next=share:0.1",), {})


@pytest.mark.slow
def test_guides_shares_and_sums_end_in_a_report(ag: Ag, flags: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    words = ["--variants", "none,next,mdg+next", "--guide", "next=share:0.1,heads=2", "--seeds", 2, "--output", folder]
    shown = ag("ablate", *flags, *words).stdout
    with (folder / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["variant"], row["mdg"], row["pdg"], row["next"], row["state"]) for row in rows] == [
        *[("none", "0.0", "0.0", "0.0", "finished")] * 2,
        *[("next", "0.0", "0.0", "share:0.1,heads=2", "finished")] * 2,
        *[("mdg+next", "0.01", "0.0", "share:0.1,heads=2", "finished")] * 2,
    ]
    assert "first" not in rows[0]
    report = json.loads((folder / "report" / "report.json").read_text())
    assert [(row["variant"], row["next"], row["n"]) for row in report["contrasts"]] == [
        ("next", "share:0.1,heads=2", 2),
        ("mdg+next", "share:0.1,heads=2", 2),
    ]
    assert "Weights: next next=share:0.1,heads=2; mdg+next mdg=0.01, next=share:0.1,heads=2." in " ".join(shown.split())
    again = ag("ablate", *flags, *words)
    assert "finished in" not in again.stderr, "no cell is run again"


@pytest.mark.slow
def test_the_best_weight_of_any_guide_is_chosen(ag: Ag, flags: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    words = ["--variants", "none,next,first", "--guide-grid", "next=0.1,0.01", "--seeds", 1, "--select-seeds", 1]
    shown = ag("ablate", *flags, *words, "--output", folder).stdout
    with (folder / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    chosen = {row["variant"]: (row["next"], row["first"]) for row in rows if row["role"] == "report"}
    assert chosen["none"] == ("0.0", "0.0")
    assert chosen["next"][0] in ("0.1", "0.01")
    assert chosen["first"] == ("0.0", "0.01")
    assert f"next={chosen['next'][0]}" in shown
    assert len(list((folder / "report").glob("weight_heatmap_*.png"))) == 1


TABLE2 = ["--recipe", "table2", "--scale", "small"]


def test_table_2_wants_knowledge_before_anything_is_trained(
    ag: Ag, flags: list[str], dataset: Path, tmp_path: Path
) -> None:
    shown = ag("ablate", *flags, *TABLE2, "--output", tmp_path / "sweep", code=3).stderr
    assert f"ag prepare --dataset {dataset} --knowledge pmi,dependency,wordsim" in " ".join(shown.split())
    assert not (tmp_path / "sweep").exists()
    few = ag("ablate", *flags, *TABLE2, "--variants", "none,pmi", "--output", tmp_path / "sweep", code=3).stderr
    assert "--knowledge pmi" in few
    assert "wordsim" not in few
    counted = ["--variants", "pmi", "--guide", "pmi=0.1,counts=sentence", "--seeds", 1]
    (cell,) = planned(ag, flags, tmp_path / "sweep", *counted)
    assert cell["guide"] == ["pmi=0.1,counts=sentence"]


def test_every_row_of_table_2_has_four_trials_on_half_the_heads(ag: Ag, flags: list[str], tmp_path: Path) -> None:
    words = [*TABLE2, "--variants", "none,both,next,delim,match", "--seeds", 1, "--select-seeds", 1]
    cells = planned(ag, flags, tmp_path / "sweep", *words)
    grid = ["0.1", "0.01", "0.001", "0.0001"]
    for guide in ("next", "delim", "match"):
        assert [cell["guide"] for cell in cells if cell["variant"] == guide] == [
            [f"{guide}={weight},share=0.5"] for weight in grid
        ]
    assert [(cell["mdg"], cell["pdg"]) for cell in cells if cell["variant"] == "both"] == [
        (0.1, 0.01),
        (0.01, 0.001),
        (0.001, 0.0001),
        (0.0001, 0.00001),
    ]
    assert len({cell["learning_rate"] for cell in cells if cell["variant"] == "none"}) == 4
    assert len(cells) == 20
    given = [*words, "--guide", "next=0.5,heads=1", "--mdg", 0.3]
    cells = planned(ag, flags, tmp_path / "sweep", *given)
    assert [cell["guide"] for cell in cells if cell["variant"] == "next"] == [["next=0.5,heads=1"]]
    assert [(cell["mdg"], cell["pdg"]) for cell in cells if cell["variant"] == "both"] == [
        (0.3, float(weight)) for weight in grid
    ]


@pytest.mark.slow
def test_table_2_ends_in_its_table(ag: Ag, flags: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    words = [*TABLE2, "--variants", "none,both,next,delim", "--seeds", 2, "--select-seeds", 1, "--output", folder]
    shown = " ".join(ag("ablate", *flags, *words).stdout.split())
    rows = list(csv.DictReader((folder / "report" / "paper_table.csv").open(newline="")))
    ours = {row["row"]: row for row in rows if row["ours"] and row["column"] == "ACC"}
    assert len(ours) == 4
    assert {row["n"] for row in ours.values()} == {"2"}
    next_row = next(row for name, row in ours.items() if name.endswith("+[Next]"))
    assert next_row["next"].endswith(",share=0.5")
    assert {row["paper"] for row in rows if row["row"] == "+[Next]" and row["column"] == "ACC"} >= {"83.71", "76.93"}
    assert {row["row"] for row in rows if row["paper"]} >= {"BERT", "BERT+AG", "+[WordSim]"}
    for text in ("half the heads of every layer", "every row has four trials", "--variants none,both,next,delim"):
        assert text in shown
    for name in ("paper_table.csv", "paper_table.json", "paper_table.md", "paper_table.tex"):
        assert "Delim" in (folder / "report" / name).read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--variants", "none,period"], "The guide period needs a piece that spells a period, which"),
        (["--variants", "none,next", "--guide", "next=0.1,heads=5"], "--guide next=0.1,heads=5: it takes 5 heads"),
        (["--variants", "none,mdg", "--guide", "mdg=0.1,layers=2"], "layer 2 is too high"),
        (["--variants", "none", "--monitor", "period"], "The guide period needs a piece"),
    ],
)
def test_encoders_without_what_a_guide_needs_are_refused_before_anything_is_trained(
    ag: Ag, flags: list[str], tmp_path: Path, words: list[str], message: str
) -> None:
    assert message in ag("ablate", *flags, *words, "--output", tmp_path / "sweep", code=2).stderr
    assert not (tmp_path / "sweep").exists()
