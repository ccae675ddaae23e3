"""The report of a sweep from its saved results alone: the paper's table and the right picture for a recipe."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_up_results import Row, failed, row
from matplotlib.figure import Figure
from pictures import all_text

from agcli.cli.ablate_display import draw_figures
from agcli.measures.classification import Predictions, prediction_rows
from agcli.measures.ranking import MEASURES, PER_QUERY_COLUMNS
from agcli.paper.paper_table import recipe_table
from agcli.paper.recipes import recipe, weights_tried
from agcli.runs.folder import RunFolder
from agcli.sweep import report as reports
from agcli.sweep.report import Report, _scores
from agcli.tables.csv_json import csv_text

write_report = partial(reports.write_report, draw=draw_figures, lay_out=recipe_table)
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
            **weights,
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
    words = " ".join(" ".join(all_text(curve)).split())
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
    assert not any("Paper:" in text for figure in drawn for text in all_text(figure))
    assert not list((tmp_path / "sweep" / "report").glob("paper_table.*"))


@pytest.mark.parametrize(("options", "expected"), [({"epochs": 2}, ["Given beside the recipe: --epochs 2."]), ({}, [])])
def test_what_was_given_beside_the_recipe_is_said(
    tmp_path: Path, drawn: list[Figure], options: dict[str, Any], expected: list[str]
) -> None:
    report = write_report(sweep(tmp_path / "sweep", "figure6", sized(), **options))
    assert [line for line in report.lines if line.startswith("Given")] == expected
    assert report.paper_table is not None
    assert set(expected) <= set(report.paper_table.table.notes)
    text = (tmp_path / "sweep" / "report" / "report.md").read_text(encoding="utf-8")
    assert text.count("where no option was given") == 1


def table_of(report: Report, title: str) -> list[dict[str, object]]:
    """A table's rows by column."""
    found = next(each for each in report.tables if each.title == title)
    return [dict(zip(found.columns, cells, strict=True)) for cells in found.rows]


EVIDENCE = Path(__file__).parents[2] / "data" / "evidence" / "ablation"


@pytest.mark.parametrize("name", sorted(path.name for path in EVIDENCE.iterdir() if path.is_dir()))
def test_results_without_their_runs_are_still_read(tmp_path: Path, drawn: list[Figure], name: str) -> None:
    for file in ("sweep.json", "results.csv"):
        (tmp_path / file).write_bytes((EVIDENCE / name / file).read_bytes())
    report = write_report(tmp_path)
    recorded = pd.read_csv(EVIDENCE / name / "means.csv")
    assert [row["mean"] for row in report.means] == pytest.approx(recorded["mean"].tolist(), abs=1e-12)
    assert any("nothing over examples, as cells of these seeds are not in" in line for line in report.lines)


CHANCE = {"baseline": "majority class", "test:baseline": 0.33, "dev:baseline": 0.34}


def test_collapsed_and_diverged_seeds_are_counted_apart(tmp_path: Path, drawn: list[Figure]) -> None:
    rows = [row("none", 1, 0.3, collapsed=1), row("none", 2, 0.6), failed("none", 3)]
    report = write_report(sweep(tmp_path / "sweep", None, rows))
    (found,) = table_of(report, "Means")
    assert [found[name] for name in ("seeds", "collapsed", "diverged", "failed")] == [2, 1, 1, 1]
    assert [report.means[0][name] for name in ("n", "collapsed", "diverged", "failed")] == [2, 1, 1, 1]


def test_the_majority_class_has_a_row_after_the_arms_of_each_training_set(tmp_path: Path, drawn: list[Figure]) -> None:
    rows = [row(variant, 1, 0.6, size=size, **CHANCE) for size in (300, 600) for variant in ("none", "mdg")]
    found = table_of(write_report(sweep(tmp_path / "sweep", None, rows)), "Means")
    assert [each["variant"] for each in found] == ["none", "mdg", "majority class"] * 2
    assert [each["size"] for each in found] == ["300"] * 3 + ["600"] * 3
    assert [found[2][name] for name in ("mean ± sd", "split", "seeds")] == ["33.00", "test", None]
    text = (tmp_path / "sweep" / "report" / "report.md").read_text(encoding="utf-8")
    assert "| majority class | accuracy | test |" in text


def test_results_without_the_majority_class_say_how_to_get_it(tmp_path: Path, drawn: list[Figure]) -> None:
    report = write_report(sweep(tmp_path / "sweep", None, [row("none", 1, 0.6)]))
    assert len(table_of(report, "Means")) == 1
    assert any("the sweep's own command adds it" in line for line in report.lines)


def test_equal_seeds_are_not_estimable(tmp_path: Path, drawn: list[Figure]) -> None:
    found = table_of(write_report(sweep(tmp_path / "sweep", None, [row("none", 1, 0.6), row("none", 2, 0.6)])), "Means")
    assert (found[0]["mean ± sd"], found[0]["95 % t-interval"]) == ("60.00 ± 0.00", "not estimable")


def test_one_comparison_is_singular(tmp_path: Path, drawn: list[Figure]) -> None:
    report = write_report(sweep(tmp_path / "sweep", None, [row("none", 1, 0.6), row("mdg", 1, 0.7)]))
    [table] = [table for table in report.tables if table.title == "Guided minus unguided"]
    assert "over the 1 comparison here;" in table.caption


def test_a_variant_that_waits_is_not_on_dev(tmp_path: Path, drawn: list[Figure]) -> None:
    waiting = failed("mdg", 1, state="pending", diverged=0, reason="")
    report = write_report(sweep(tmp_path / "half", None, [row("none", 1, 0.6), waiting]))
    assert [(row["variant"], row["split"], row["n"]) for row in report.means] == [
        ("none", "test", 1),
        ("mdg", "test", 0),
    ]
    report = write_report(sweep(tmp_path / "none", None, [waiting]))
    assert [(each["split"], each["n"]) for each in report.means] == [(None, 0)]
    on_dev = [row("none", 1, None), waiting]
    assert write_report(sweep(tmp_path / "dev", None, on_dev)).means[1]["split"] == "dev"


def test_a_re_ranker_below_the_first_stage_gets_a_sentence(tmp_path: Path, drawn: list[Figure]) -> None:
    ranked = {"metric": "RR", "dev:RR": 0.5, "baseline": "first stage", "test:baseline": 0.726}
    rows = [row("none", 1, 0.0, **{"test:RR": 0.779}, **ranked), row("both", 1, 0.0, **{"test:RR": 0.31}, **ranked)]
    lines = [line for line in write_report(sweep(tmp_path / "sweep", None, rows)).lines if "first stage" in line]
    assert lines == [
        "minilm on mnli, size 100 %, both: RR 31.00 is 41.60 points below the first stage (72.60): re-ranking loses to "
        "the order it was given, and a difference between such arms says little."
    ]


def test_a_classifier_no_better_than_the_majority_class_gets_one_too(tmp_path: Path, drawn: list[Figure]) -> None:
    rows = [row("none", 1, 0.33, **CHANCE), row("mdg", 1, 0.34, **CHANCE)]
    found = [line for line in write_report(sweep(tmp_path / "sweep", None, rows)).lines if "majority" in line]
    assert len(found) == 1
    assert found[0].startswith("minilm on mnli, size 100 %, none: accuracy 33.00 is no better than the majority class")


@pytest.mark.parametrize(("seeds", "shown"), [(4, False), (5, True)])
def test_seeds_and_examples_are_resampled_from_five_seeds_on_and_cautioned(
    tmp_path: Path, drawn: list[Figure], seeds: int, shown: bool
) -> None:
    """Every second seed of the guided arm gets all examples right, so that seeds make all of the spread."""
    folder = sweep(tmp_path / "sweep", None, [])
    rows = []
    for seed in range(1, seeds + 1):
        for variant, right in (("none", 0), ("mdg", 40 * (seed % 2))):
            save_answers(folder / "cells" / f"{variant}{seed}", right)
            rows.append(row(variant, seed, right / 40))
    pd.DataFrame(rows).to_csv(folder / "results.csv", index=False)
    lines = write_report(folder).lines
    found = [line for line in lines if "over seeds and examples both resampled" in line]
    assert len(found) == shown
    assert all("narrower than the t-interval" in line for line in found)
    assert any("To detect 0.50 points" in line for line in lines)


def save_answers(cell: Path, right: int) -> None:
    """A cell that gets the first so many of 40 test examples right."""
    cell.mkdir(parents=True)
    gold = np.zeros(40, dtype=np.int64)
    answers = np.where(np.arange(40) < right, 0, 1)
    ids = tuple(map(str, range(40)))
    found = Predictions(ids, ("yes", "no"), gold, np.eye(2)[answers])
    RunFolder(cell).write_predictions({"test": prediction_rows(found)})


def test_claims_that_an_older_version_marked_are_those_of_the_other_cells(tmp_path: Path) -> None:
    """A sweep may have been begun with the version that put an apostrophe before signs."""
    for name, mark, told in (("old", "'", {}), ("new", "", {"claims_cut": 0})):
        folder = tmp_path / name / "rankings" / "test"
        folder.mkdir(parents=True)
        rows = [[f"{mark}-{claim}", 1, *[0.25] * len(MEASURES), *[0.5] * len(MEASURES)] for claim in range(3)]
        (folder / "per_query.csv").write_text(csv_text([PER_QUERY_COLUMNS, *rows]))
        (folder / "qrels.trec").write_text("".join(f"-{claim} 0 d 1\n" for claim in range(3)))
        metrics = {"task": "ranking", "dataset": "health", "digest": "abc", "split": "test", "depth": 9, **told}
        RunFolder(folder).write_json("metrics.json", metrics)
    assert _scores([tmp_path / "old", tmp_path / "new"]).tolist() == [[0.5] * 3] * 2
