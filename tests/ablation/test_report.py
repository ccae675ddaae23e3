"""The report of a sweep from its saved results alone: the paper's table and the right picture for a recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from made_up_results import Row, row
from matplotlib.figure import Figure
from test_figures import said

from agcli.ablation.report import Report, write_report
from agcli.paper.recipes import recipe
from agcli.paper.settings import weights_tried

BERT = "google-bert/bert-base-uncased"


def sweep(folder: Path, name: str | None, rows: list[Row], **options: Any) -> Path:
    """A sweep's folder as the report reads it, without the runs: of one seed nothing is asked of them."""
    told = None
    if name is not None:
        asked = recipe(name)
        told = {"name": name, "scale": "full", "title": asked.title, "notes": list(asked.notes)}
    weights = weights_tried(name or "table1", "full")
    grids = [
        {
            "models": [BERT],
            "mdg": weights[0],
            "pdg": weights[1],
            "options": {"recipe": "paper", "learning_rate": 1e-5, "batch_size": 64, **options},
        }
    ]
    folder.mkdir()
    (folder / "sweep.json").write_text(json.dumps({"recipe": told, "grids": grids, "threads": 1}), encoding="utf-8")
    pd.DataFrame(rows).to_csv(folder / "results.csv", index=False)
    return folder


def of_the_paper(*rows: Row) -> list[Row]:
    return [each | {"model": BERT, "dataset": "mednli"} for each in rows]


def layered() -> list[Row]:
    guided = [row(variant, 1, 0.77, layers=str(at)) for variant in ("mdg", "pdg", "both") for at in range(12)]
    return of_the_paper(row("none", 1, 0.76), *guided)


def sized() -> list[Row]:
    sizes = (0.2, 0.4, 1.0)
    return of_the_paper(*(row(variant, 1, 0.7, size=size) for size in sizes for variant in ("none", "mdg", "pdg")))


def beside(report: Report, place: str, column: str) -> tuple[float, float]:
    """Our number and the paper's."""
    (found,) = (
        each for each in report.as_json()["paper_table"] if (each["row"], each["column"]) == (place, f"ACC, {column}")
    )
    return found["ours"], found["paper"]


def test_figure_3_ends_in_its_picture_and_its_table(tmp_path: Path, drawn: list[Figure]) -> None:
    report = write_report(sweep(tmp_path / "sweep", "figure3", layered()))
    assert "layer_curve_google-bert_bert-base-uncased_mednli.png" in report.pictures
    curve = next(figure for figure in drawn if len(figure.axes) == 3)
    printed = [
        sorted(zip(*(map(float, each) for each in line.get_data()), strict=True))
        for axes in curve.axes
        for line in axes.get_lines()
        if line.get_label() == "paper: guided"
    ]
    assert printed == [[(5, 75.39), (6, 76.23), (7, 77.36)], [(6, 77.53), (9, 77.43), (11, 75.81)], [(6, 77.78)]]
    words = " ".join(" ".join(said(curve)).split())
    assert "Paper: none 76.02; mdg 75.39 at layer 5, 76.23 at layer 6, 77.36 at layer 7; pdg" in words
    assert beside(report, "layer 9", "PDG") == (77.0, 77.43)
    assert beside(report, "all layers", "no guide") == (76.0, 76.02)
    assert len(pd.read_csv(tmp_path / "sweep" / "report" / "paper_table.csv")) == 1 + 3 * 12


def test_figure_6_ends_in_its_picture_and_its_table(tmp_path: Path, drawn: list[Figure]) -> None:
    report = write_report(sweep(tmp_path / "sweep", "figure6", sized()))
    assert "size_curve_google-bert_bert-base-uncased_mednli.png" in report.pictures
    curve = next(figure for figure in drawn if len(figure.axes) == 2)
    labels = [str(line.get_label()) for line in curve.axes[0].get_lines()]
    assert {"paper: none", "paper: guided"} <= set(labels)
    assert beside(report, "20 %", "MDG") == (70.0, 69.62)
    assert f"bert is {BERT}, as it was asked for." in report.lines


def test_a_sweep_of_ones_own_has_no_number_of_the_paper(tmp_path: Path, drawn: list[Figure]) -> None:
    report = write_report(sweep(tmp_path / "sweep", None, layered()))
    assert report.as_json()["paper_table"] == []
    assert "layer_curve_google-bert_bert-base-uncased_mednli.svg" in report.pictures
    assert not any("Paper:" in text for figure in drawn for text in said(figure))
    assert not list((tmp_path / "sweep" / "report").glob("paper_table.*"))


@pytest.mark.parametrize(("options", "expected"), [({"epochs": 2}, ["Given beside the recipe: --epochs 2."]), ({}, [])])
def test_what_was_given_beside_the_recipe_is_said(
    tmp_path: Path, drawn: list[Figure], options: dict[str, Any], expected: list[str]
) -> None:
    report = write_report(sweep(tmp_path / "sweep", "figure6", sized(), **options))
    assert [line for line in report.lines if line.startswith("Given")] == expected
    assert report.paper_table is not None
    assert set(expected) <= set(report.paper_table.notes)
    text = (tmp_path / "sweep" / "report" / "report.md").read_text(encoding="utf-8")
    assert text.count("where no option was given") == 1
