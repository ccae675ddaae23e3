"""Results laid out as the paper's tables, and written as text, Markdown, records and LaTeX."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from agcli.cli.tables import print_table
from agcli.errors import DataError, UsageError
from agcli.paper.paper_table import paper_table
from agcli.paper.published import published_table, shipped, short_name
from agcli.paper.recipes import RECIPES, recipe
from agcli.tables.latex import document, escaped, latex
from agcli.tables.markdown import markdown
from agcli.tables.recorded_table import RecordedTable
from agcli.tables.table import Number, Table, cell_text

FILES = ("csv", "json", "md", "tex")

ACCURACIES = {"none": (0.70, 0.71, 0.72, 0.73, 0.74), "both": (0.72, 0.73, 0.74, 0.75, 0.76)}
"""Means 72 and 74 %, both with the standard deviation sqrt(2.5) = 1.58 points."""


FIGURE_3_SUMS = [75.39, 76.23, 77.53, 77.78]
"""76.02 less 0.63, and plus 0.21, 1.51 and 1.76, which section 4.2 prints."""


def cells(model: str, dataset: str, variant: str, values: Any, **other: Any) -> list[dict[str, Any]]:
    """A row of results for each value; the other metrics lie below the first by a tenth each."""
    names = ["RR", "R@1", "R@3", "R@5", "R@20"] if dataset == "cross-genre-ir" else None
    names = names or ["accuracy", "precision_macro", "recall_macro", "f1_macro"]
    return [
        {
            **{"cell": f"{seed:016x}", "model": model, "dataset": dataset, "variant": variant},
            **{"mdg": 0.01 if variant in ("mdg", "both") else 0.0, "pdg": 0.001 if variant in ("pdg", "both") else 0.0},
            **{"guide_mode": "received", "layers": "all", "size": 1.0, "learning_rate": 1e-5, "seed": seed},
            **{"role": "single", "state": "finished", "diverged": 0, "reason": "", "metric": names[0]},
            **{f"test:{name}": value - 0.1 * place for place, name in enumerate(names)},
            **other,
        }
        for seed, value in enumerate(values, 1)
    ]


def frame(*rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame([row for each in rows for row in each])


def plain_sweep(model: str = "bert", dataset: str = "mednli", **other: Any) -> pd.DataFrame:
    return frame(*(cells(model, dataset, variant, values, **other) for variant, values in ACCURACIES.items()))


def found(table: RecordedTable, row: str, group: str, column: str) -> SimpleNamespace:
    """A number of ours and the paper's; of a place without either, which must be there, nothing."""
    assert row in row_names(table)
    assert group in group_names(table)
    place = {"row": row, "group": group, "column": column}
    empty = {"ours": None, "ours_sd": None, "n": 0, "stars": "", "best": 0, "paper": None}
    record = next((each for each in table.records if place.items() <= each.items()), empty)
    return SimpleNamespace(
        mean=record["ours"],
        sd=record["ours_sd"],
        n=record["n"],
        stars=record["stars"],
        best=bool(record["best"]),
        paper=record["paper"],
        where=record,
    )


def row_names(table: RecordedTable) -> list[str]:
    return list(dict.fromkeys(str(row[0]) for row in table.table.rows))


def group_names(table: RecordedTable) -> list[str]:
    return [heading for heading, _ in table.table.groups]


def group_of(table: RecordedTable, heading: str) -> list[tuple[str, ...]]:
    """The rows of a group of columns as text."""
    (group,) = (each for each in table.table.by_groups(1) if each.title == heading)
    return [tuple(map(cell_text, row)) for row in group.rows]


def first_of_ours(table: RecordedTable) -> tuple[str, ...]:
    """Our first row on MedNLI."""
    return next(row for row in group_of(table, "MedNLI") if row[1] == "ours")


def test_ours_stands_beside_the_papers() -> None:
    table = paper_table("table1", plain_sweep())
    cell = found(table, "BERT+AG", "MedNLI", "ACC")
    assert (cell.mean, cell.sd) == (pytest.approx(74.0), pytest.approx(1.5811388))
    assert (cell.n, cell.paper, cell.best) == (5, 77.22, True)
    assert found(table, "BERT", "MedNLI", "ACC").mean == pytest.approx(72.0)
    assert not found(table, "BERT", "MedNLI", "ACC").best
    assert found(table, "BERT", "MedNLI", "F1").mean == pytest.approx(42.0)
    untouched = found(table, "SciBERT+AG", "Cross-genre-IR", "R@20")
    assert (untouched.mean, untouched.n, untouched.paper, untouched.best) == (None, 0, 97.41, False)
    text = markdown(table.table)
    assert "| BERT+AG | ours | **74.00 ± 1.58** |" in text
    assert "|  | paper | 77.22 | 77.35 | 77.24 | 77.26 |  |" in text


@pytest.mark.parametrize("name", RECIPES)
def test_every_number_of_the_paper_is_shown_without_a_result(name: str) -> None:
    """What is laid out is what is shipped: as many numbers, each once."""
    numbers = [row["numbers"] for row in shipped()["tables"][name]["rows"]]
    leaves = json.dumps(numbers).translate(str.maketrans("[],", "   ")).split()
    expected = sorted(float(word) for word in leaves if word != "null")
    if name == "figure3":
        assert set(FIGURE_3_SUMS) < set(expected)
    empty = plain_sweep().iloc[:0]
    if name == "table4":
        empty = timing([]).iloc[:0]
    table = paper_table(name, empty)
    assert sorted(record["paper"] for record in table.records) == pytest.approx(expected)
    assert all(record["ours"] is None for record in table.records)


def test_the_papers_headings_and_rows_are_in_its_order() -> None:
    one, two, three = published_table("table1"), published_table("table2"), published_table("table3")
    assert [group.heading for group in one.groups] == ["MultiNLI", "MedNLI", "Cross-genre-IR"]
    assert [column.name for column in one.groups[1].columns] == ["ACC", "Precision", "Recall", "F1"]
    assert [column.name for column in one.groups[2].columns] == ["MRR", "R@1", "R@3", "R@5", "R@20"]
    assert [row.name for row in two.rows[:4]] == ["BERT", "BERT+AG", "+[First]", "+[Next]"]
    assert [row.name for row in three.rows] == ["Default", "w/o-AG", "w/o-MDG", "w/o-PDG"]
    assert one.numbers["BERT+AG", "MedNLI", "F1"] == 77.26
    assert three.numbers["w/o-PDG", "MedNLI, BlueBERT", "ACC"] == 82.98


def test_other_models_and_data_get_places_of_their_own() -> None:
    table = paper_table("table1", pd.concat([plain_sweep("minilm"), plain_sweep("minilm", "mnli_20k")]))
    assert group_names(table)[3:] == ["mnli_20k"]
    assert row_names(table)[-2:] == ["minilm", "minilm+AG"]
    for group in ("MedNLI", "mnli_20k"):
        cell = found(table, "minilm+AG", group, "ACC")
        assert (cell.mean, cell.paper) == (pytest.approx(74.0), None)
    assert [row[:2] for row in group_of(table, "mnli_20k")] == [("minilm", "ours"), ("minilm+AG", "ours")]


def test_guides_alone_stand_behind_their_encoder() -> None:
    table = paper_table("table2", frame(cells("bert", "mednli", "mdg", (0.5, 0.6))))
    names = row_names(table)
    assert names.index("BERT+MDG") > names.index("BERT+AG")
    assert found(table, "BERT+MDG", "MedNLI", "ACC").paper is None


def test_table_3_puts_pdg_alone_under_without_mdg() -> None:
    table = paper_table(
        "table3",
        frame(cells("bluebert", "mednli", "pdg", (0.6, 0.6)), cells("bluebert", "mednli", "mdg", (0.5, 0.5))),
    )
    without_mdg = found(table, "w/o-MDG", "MedNLI, BlueBERT", "ACC")
    assert (without_mdg.mean, without_mdg.paper) == (pytest.approx(60.0), 84.18)
    assert found(table, "w/o-PDG", "MedNLI, BlueBERT", "ACC").mean == pytest.approx(50.0)
    other = paper_table("table3", plain_sweep("minilm", "mnli_20k"))
    assert found(other, "Default", "mnli_20k, minilm", "ACC").mean == pytest.approx(74.0)


def test_figure_3_goes_by_layer() -> None:
    layered = [cells("bert", "mednli", "pdg", (0.5, 0.6), layers=str(layer)) for layer in (11, 9, 0)]
    table = paper_table("figure3", frame(cells("bert", "mednli", "none", (0.7, 0.8)), *layered))
    assert row_names(table) == ["all layers", *(f"layer {layer}" for layer in (0, 5, 6, 7, 9, 11))]
    nine = found(table, "layer 9", "MedNLI, BERT", "ACC, PDG")
    assert (nine.mean, nine.paper) == (pytest.approx(55.0), 77.43)
    base = found(table, "all layers", "MedNLI, BERT", "ACC, no guide")
    assert (base.mean, base.paper, base.best) == (pytest.approx(75.0), 76.02, True)
    assert found(table, "layer 6", "MedNLI, BERT", "ACC, MDG + PDG").paper == 77.78
    assert found(table, "layer 5", "MedNLI, BERT", "ACC, MDG").paper == 75.39
    assert any("mdg at layer 5 -0.63, mdg at layer 6 +0.21" in note for note in table.table.notes)


def test_figure_6_goes_by_size() -> None:
    sized = [cells("bert", "mednli", "mdg", (0.5, 0.6), size=size) for size in (1.0, 0.2, 400)]
    table = paper_table("figure6", frame(*sized))
    assert row_names(table) == ["20 %", "100 %", "400 examples"]
    assert found(table, "20 %", "MedNLI, BERT", "ACC, MDG").paper == 69.62
    assert [column for column in table.table.columns[2:] if column != "n"] == ["ACC, no guide", "ACC, MDG", "ACC, PDG"]
    both = paper_table("figure6", frame(*sized, cells("bert", "mednli", "both", (0.5, 0.6))))
    assert found(both, "100 %", "MedNLI, BERT", "ACC, MDG + PDG").mean == pytest.approx(55.0)


def test_table_1_begins_with_what_was_best_before() -> None:
    table = paper_table("table1", plain_sweep())
    assert row_names(table)[0] == "SOTA"
    assert found(table, "SOTA", "MultiNLI", "ACC").paper == 87.9
    assert found(table, "SOTA", "MultiNLI", "F1").paper is None
    assert [found(table, "SOTA", "Cross-genre-IR", name).paper for name in ("MRR", "R@20")] == [69.5, 82.8]
    assert any(note.startswith("SOTA: the best methods by November 2021") for note in table.table.notes)


BIOBERT = "dmis-lab/biobert-v1.1"


@pytest.mark.parametrize(
    "asked", ["biobert", BIOBERT, "biobert-v1.1", "/models/biobert-v1.1", "./biobert", "a/b/biobert"]
)
def test_a_hub_id_or_a_folder_finds_the_papers_row(asked: str) -> None:
    contrast = {"model": asked, "dataset": "mednli", "variant": "both", "size": "1.0", "layers": "all", "stars": "*"}
    table = paper_table("table1", plain_sweep(asked), [contrast])
    cell = found(table, "BioBERT+AG", "MedNLI", "ACC")
    assert (cell.mean, cell.paper, cell.stars) == (pytest.approx(74.0), 82.63, "*")
    assert cell.where["asked_model"] == asked
    assert (f"biobert is {asked}, as it was asked for." in table.table.notes) == (asked != "biobert")


@pytest.mark.parametrize("other", ["somebody/biobert-v1.1", "biobert-large", "./my-biobert", "minilm"])
def test_another_model_does_not(other: str) -> None:
    table = paper_table("table1", plain_sweep(other))
    assert found(table, "BioBERT+AG", "MedNLI", "ACC").mean is None
    assert found(table, f"{other}+AG", "MedNLI", "ACC").mean == pytest.approx(74.0)


def test_a_folder_that_is_here_is_no_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert short_name("models/biobert") == "models/biobert"
    (tmp_path / "models" / "biobert").mkdir(parents=True)
    assert short_name("models/biobert") == "biobert"


def test_two_names_of_one_encoder_are_not_merged() -> None:
    table = paper_table("table1", pd.concat([plain_sweep(BIOBERT), plain_sweep("biobert")]))
    for row in ("BioBERT+AG", f"{BIOBERT}+AG"):
        assert found(table, row, "MedNLI", "ACC").n == 5


def test_a_timing_finds_its_row_too() -> None:
    table = paper_table("table4", timing([(BIOBERT, "mednli", "both", 90.0)]))
    cell = found(table, "BioBERT+AG", "MedNLI", "s per epoch")
    assert (cell.mean, cell.paper) == (90.0, 87.0)


def test_a_terminal_shows_our_best_means_bold() -> None:
    shown = io.StringIO()
    print_table(Console(file=shown, force_terminal=True, width=120), paper_table("table1", plain_sweep()).table)
    assert "\x1b[1m74.00 ± 1.58\x1b[0m" in shown.getvalue()
    assert "\x1b[1m72.00" not in shown.getvalue()
    assert "\x1b[1m77.22" not in shown.getvalue(), "which the paper prints"


def test_all_files_of_a_table_say_the_same(tmp_path: Path) -> None:
    table = paper_table("table1", plain_sweep())
    for name, text in table.files("paper_table").items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert {path.name for path in tmp_path.iterdir()} == {f"paper_table.{kind}" for kind in FILES}
    whole = json.loads((tmp_path / "paper_table.json").read_text(encoding="utf-8"))
    with (tmp_path / "paper_table.csv").open(encoding="utf-8", newline="") as file:
        assert [row["ours"] for row in csv.DictReader(file)] == [str(row["ours"] or "") for row in whole["numbers"]]
    assert (tmp_path / "paper_table.md").read_text(encoding="utf-8") == markdown(table.table)
    assert "\\end{document}" in (tmp_path / "paper_table.tex").read_text(encoding="utf-8")


def timing(rows: list[tuple[str, str, str, float]]) -> pd.DataFrame:
    names = ["model", "data", "variant", "epoch_seconds", "arm", "attention", "length", "padding", "batch_size"]
    fixed = ("auto", 256, "max", 64)
    return pd.DataFrame([[*row, row[2], *fixed] for row in rows], columns=names).assign(precision="fp32")


def test_table_4_takes_the_rows_of_a_timing() -> None:
    seconds = timing([("bert", "mednli", "none", 51.26), ("bert", "mednli", "both", 1234.5)])
    table = paper_table("table4", seconds)
    assert found(table, "BERT", "MedNLI", "s per epoch").mean == pytest.approx(51.26)
    assert found(table, "BERT+AG", "MedNLI", "s per epoch").paper == 112.0
    assert not any(record["best"] for record in table.records)
    text = markdown(table.table)
    assert "| BERT | ours | 51.3 |" in text
    assert " 1234 |" in text
    assert "Guiding costs 18 %" in text
    assert " n |" not in text


def test_stars_come_from_the_matching_contrast_and_stay_on_the_primary_metric() -> None:
    sweep = pd.concat([plain_sweep(), plain_sweep("albert")])
    contrast = {"model": "bert", "dataset": "mednli", "variant": "both", "size": "1.0", "layers": "all", "stars": "**"}
    table = paper_table("table1", sweep, [contrast])
    starred = [(record["row"], record["column"]) for record in table.records if record["stars"]]
    assert starred == [("BERT+AG", "ACC")]
    assert "**74.00 ± 1.58**\\*\\*" in markdown(table.table)
    assert "\\textbf{74.00} {\\scriptsize$\\pm$ 1.58}\\textsuperscript{**}" in latex(table.table)


def test_few_seeds_make_no_claim() -> None:
    few = frame(*(cells("bert", "mednli", variant, values[:4]) for variant, values in ACCURACIES.items()))
    contrast = {"model": "bert", "dataset": "mednli", "variant": "both", "stars": "**"}
    table = paper_table("table1", few, [contrast])
    assert found(table, "BERT+AG", "MedNLI", "ACC").stars == ""
    assert any("no claim" in note for note in table.table.notes)
    assert not any("no claim" in note for note in paper_table("table1", plain_sweep()).table.notes)


def test_one_seed_has_no_spread() -> None:
    table = paper_table("table1", frame(cells("bert", "mednli", "none", (0.7,))))
    assert (found(table, "BERT", "MedNLI", "ACC").sd, found(table, "BERT", "MedNLI", "ACC").n) == (None, 1)
    assert "| BERT | ours | 70.00 | 60.00 | 50.00 | 40.00 | 1 |" in markdown(table.table)


def test_lost_and_collapsed_seeds_are_said() -> None:
    sweep = plain_sweep().astype({"metric": object})
    sweep.loc[0, ["state", "metric", "test:accuracy", "diverged"]] = ["failed", "", None, 1]
    sweep.loc[1, ["state", "metric", "test:accuracy"]] = ["pending", "", None]
    sweep.loc[2, "diverged"] = 1
    table = paper_table("table1", sweep)
    assert found(table, "BERT", "MedNLI", "ACC").mean == pytest.approx(
        73.0
    )  # 0.72, 0.73, 0.74: the diverged one counts
    assert found(table, "BERT", "MedNLI", "ACC").n == 3
    told = next(record["notes"] for record in table.records if record["row"] == "BERT" and record["group"] == "MedNLI")
    assert "failed, without a number: 1 of 5" in told
    assert "collapsed to one class, kept in the mean: 1 of 5" in told
    assert "not run yet: 1 of 5" in told
    assert "[1]" in first_of_ours(table)[2]


def test_a_setting_whose_every_seed_failed_keeps_its_row() -> None:
    table = paper_table("table1", plain_sweep().assign(state="failed", metric=""))
    row = first_of_ours(table)
    assert (row[0], row[1], row[2], row[-1]) == ("BERT", "ours", "- [1]", "0")


def test_a_lost_first_seed_does_not_change_what_is_measured() -> None:
    """A cell that failed names no metric; ranked data stay ranked data, in a group of the paper's or of its own."""
    sweep = frame(cells("minilm", "cross-genre-ir", "none", (0.9, 0.8, 0.7))).astype({"metric": object})
    sweep.loc[0, ["state", "metric"]] = ["failed", ""]
    for dataset in ("cross-genre-ir", "claims"):
        table = paper_table("table1", sweep.assign(dataset=dataset))
        cell = found(table, "minilm", dataset if dataset == "claims" else "Cross-genre-IR", "MRR")
        assert (cell.mean, cell.n) == (pytest.approx(75.0), 2)


def test_cells_that_choose_are_not_reported() -> None:
    chosen = plain_sweep().assign(role="report")
    tried = plain_sweep().assign(role="select", mdg=0.1)
    table = paper_table("table1", pd.concat([chosen, tried]))
    assert found(table, "BERT+AG", "MedNLI", "ACC").n == 5
    only_tried = paper_table("table1", tried)
    assert all(record["ours"] is None for record in only_tried.records)
    assert any("bert, mednli, both: nothing is reported yet" in note for note in only_tried.table.notes)


def test_different_settings_are_never_averaged() -> None:
    sweep = pd.concat([plain_sweep(), plain_sweep(guide_mode="released")])
    table = paper_table("table1", sweep[(sweep["variant"] == "both")])
    assert found(table, "BERT+AG, guide_mode released", "MedNLI", "ACC").n == 5
    axis = "set:dropout"
    swept = pd.concat([plain_sweep(**{axis: 0.0}), plain_sweep(**{axis: 0.1}).assign(mdg=0.5, pdg=0.5)])
    names = row_names(paper_table("table1", swept))
    assert "BERT+AG, dropout 0.1" in names  # and not a word on weights, which were chosen for each dropout
    with pytest.raises(DataError, match="same seed"):
        paper_table("table1", pd.concat([plain_sweep(), plain_sweep()]))


def test_text_of_a_csv_file_lays_out_the_same() -> None:
    sweep = pd.concat([plain_sweep(), plain_sweep("minilm", "mnli_20k", size=2000)])
    written = io.StringIO()
    sweep.to_csv(written, index=False)
    as_text = pd.read_csv(io.StringIO(written.getvalue()), dtype=str, keep_default_na=False)
    assert paper_table("table1", as_text).records == paper_table("table1", sweep).records
    assert any("2000 examples" in note for note in paper_table("table1", as_text).table.notes)


def test_cautions_stand_with_the_figures_they_are_about() -> None:
    table = paper_table("table1", plain_sweep().iloc[:0])
    misprint = [record for record in table.records if "misprint" in record["notes"]]
    assert {(record["row"], record["group"]) for record in misprint} == {("SciBERT+AG", "MedNLI")}
    assert sum("misprint" in line for line in table.table.footnotes.values()) == 1
    twins = [line for line in table.table.footnotes.values() if "BioBERT+AG and ClinicalBERT+AG" in line]
    assert len(twins) == 1
    assert any(
        "identical in all four" in line for line in paper_table("table2", plain_sweep()).table.footnotes.values()
    )


def test_records_fit_csv_and_json() -> None:
    table = paper_table("table1", plain_sweep(), notes=["N"])
    rows = table.records
    assert len({tuple(row) for row in rows}) == 1
    written = io.StringIO()
    writer = csv.DictWriter(written, list(rows[0]))
    writer.writerows(rows)
    whole = json.loads(json.dumps(table.as_json(), allow_nan=False))
    assert (whole["title"], whole["notes"][0], len(whole["numbers"])) == (recipe("table1").title, "N", len(rows))
    ours = next(row for row in rows if row["row"] == "BERT+AG" and row["ours"] is not None)
    assert (ours["ours"], ours["mdg"], ours["pdg"], ours["learning_rate"]) == (74.0, "0.01", "0.001", "1e-05")


def test_what_is_no_result_or_no_table_is_an_error() -> None:
    with pytest.raises(DataError, match="no column variant"):
        paper_table("table1", plain_sweep().drop(columns="variant"))
    with pytest.raises(UsageError, match="Did you mean 'table4'"):
        paper_table("table44", plain_sweep())


NASTY = r"a_b & 50 % $x$ #1 {c} \d ~e ^f <g> [h] *i* --j “k” α±×… é 日"


def test_latex_escapes_whatever_a_name_holds() -> None:
    text = escaped(NASTY)
    for written in (r"a\_b", r"\&", r"50 \%", r"\$x\$", r"\#1", r"\{c\}", r"\textbackslash{}d", r"$\alpha$", "{[}h{]}"):
        assert written in text
    assert "U+65E5" in text
    assert text.isascii() is False  # é stays: the font has it
    assert r"my\_model+AG" in latex(paper_table("table1", plain_sweep("my_model")).table)
    assert r"\caption{50 \% \& more}" in latex(Table("50 % & more", ["a"], [["b"]]))


def test_latex_stands_three_data_sets_side_by_side() -> None:
    text = latex(paper_table("table1", plain_sweep("minilm", "mnli_20k")).table)
    assert text.count("\\begin{table*}") == text.count("\\bottomrule") == 2
    assert "\\cmidrule(lr){3-7}\\cmidrule(lr){8-12}\\cmidrule(lr){13-18}" in text
    assert text.count("\\multicolumn{5}{c}{mnli\\_20k}") == 1
    for line in text.splitlines():
        if line.startswith("BERT &"):
            assert line.count(" & ") == 2 + 5 + 5 + 6 - 1


def test_latex_compiles(tmp_path: Path) -> None:
    """Every table with results, bold means and stars, with names that would break it, in one document of its pages."""
    program = shutil.which("pdflatex") or shutil.which("tectonic")
    if program is None:
        pytest.skip("neither pdflatex nor tectonic is installed")
    find = shutil.which("kpsewhich")
    if find and subprocess.run([find, "booktabs.sty"], capture_output=True, check=False).returncode:
        pytest.skip("LaTeX is installed without booktabs")
    sweep = pd.concat([plain_sweep(), plain_sweep("minilm", "mnli_20k"), plain_sweep(NASTY)])
    starred = [
        {"model": name, "dataset": "mednli", "variant": "both", "stars": stars}
        for name, stars in (("bert", "**"), (NASTY, "*"))
    ]
    drawn = [paper_table(name, sweep, starred, notes=recipe(name).notes).table for name in RECIPES if name != "table4"]
    drawn.append(paper_table("table4", timing([("bert", "mednli", "none", 50.0)]), notes=[NASTY]).table)
    drawn.append(Table(NASTY, ["a", NASTY], [[NASTY, 0.5], [Number("1.0", best=True), None]], caption=NASTY))
    file = tmp_path / "tables.tex"
    text = document(drawn)
    assert all(
        sign in text for sign in ("\\textbf{74.00}", "\\textsuperscript{**}", "\\textsuperscript{*}", "\\midrule")
    )
    file.write_text(text, encoding="utf-8")
    quiet = ["-interaction=nonstopmode", "-halt-on-error"] if "pdflatex" in program else ["--untrusted"]
    done = subprocess.run(
        [program, *quiet, file.name], cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=300
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout
    assert (tmp_path / "tables.pdf").read_bytes().startswith(b"%PDF")
