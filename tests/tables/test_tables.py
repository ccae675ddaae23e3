"""The table type and its writers: what is numeric, what is escaped, which rows a group of columns has."""

from __future__ import annotations

import json

import pytest

from agcli.tables.csv_json import csv_text, json_text, records_csv
from agcli.tables.latex import latex
from agcli.tables.markdown import escaped, markdown
from agcli.tables.table import Number, Table, cell_text

GROUPED = Table(
    "T",
    ["method", "from", "ACC", "n", "MRR"],
    [
        ["a", "ours", Number("1.00", "0.10", "*", best=True, footnotes=(2,)), "5", None],
        ["a", "paper", Number("1.50"), "", None],
        ["b", "ours", None, "", Number("2.00", footnotes=(1,))],
    ],
    groups=[("first", 2), ("second", 1)],
    footnotes={1: "one", 2: "two"},
    notes=["a note"],
)


def test_a_group_of_columns_has_the_rows_and_footnotes_with_a_cell_in_it() -> None:
    first, second = GROUPED.by_groups(1)
    assert (first.title, second.title) == ("first", "second")
    assert [row[:2] for row in first.rows] == [["a", "ours"], ["", "paper"]], "a name that repeats is left out"
    assert [[cell_text(cell) for cell in row] for row in second.rows] == [["b", "ours", "2.00 [1]"]]
    assert (first.footnotes, second.footnotes) == ({2: "two"}, {1: "one"})
    (both,) = GROUPED.by_groups(2)
    assert (both.title, len(both.rows), both.groups) == ("first, second", 3, [("first", 2), ("second", 1)])


def test_a_group_without_a_number_is_left_out() -> None:
    empty = Table("T", ["a", "b", "c"], [["x", None, ""]], groups=[("first", 1), ("second", 1)])
    assert list(empty.by_groups(3)) == []


@pytest.mark.parametrize(
    ("cell", "text"),
    [(None, "-"), (float("nan"), "-"), (0.12345, "0.1235"), (1e-7, "1e-07"), (3, "3"), ("a\x1b[31m", "a\ufffd[31m")],
)
def test_how_a_cell_reads(cell: object, text: str) -> None:
    assert cell_text(cell) == text


def test_columns_of_numbers_stand_on_the_right_in_markdown_and_latex() -> None:
    table = Table("T", ["name", "value", "p"], [["a", "0.81 [0.79, 0.83]", "<0.0001"], ["b", None, 0.25]])
    assert "| --- | ---: | ---: |" in markdown(table)
    assert "\\begin{tabular}{lrr}" in latex(table)


def test_markdown_has_a_grid_for_each_group() -> None:
    text = markdown(GROUPED)
    assert "**first**\n\n| method | from | ACC | n |\n" in text
    assert "| a | ours | **1.00 ± 0.10**\\* [2] | 5 |\n|  | paper | 1.50 |  |" in text
    assert text.endswith("\\[1] one  \n\\[2] two\n\n- a note\n")


@pytest.mark.parametrize("text", ["mnli_20k", "0.81 [0.79, 0.83]", "p < 0.05", "+[First]", "<0.0001"])
def test_markdown_keeps_what_means_nothing_there(text: str) -> None:
    assert escaped(text) == text


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a|b", r"a\|b"),
        ("**a** _b_", r"\*\*a\*\* \_b\_"),
        ("[a](b)", r"[a\](b)"),
        ("<b>", r"\<b>"),
        ("a\\`b\nc", r"a\\\`b c"),
    ],
)
def test_markdown_escapes_what_means_something(text: str, written: str) -> None:
    assert escaped(text) == written


def test_latex_has_rules_below_the_headings_of_groups() -> None:
    text = latex(GROUPED)
    assert "\\multicolumn{2}{c}{first} & second \\\\\n\\cmidrule(lr){3-4}\\cmidrule(lr){5-5}\n" in text
    assert "\\textbf{1.00} {\\scriptsize$\\pm$ 0.10}\\textsuperscript{*}\\textsuperscript{2} & 5 &  \\\\" in text
    assert "\\textsuperscript{2} two" in text
    assert text.count("a note") == 1


def test_records_are_csv_and_json() -> None:
    records = [{"a": 0.1, "b": "x,y"}, {"a": None, "b": "é"}]
    assert records_csv(records) == 'a,b\n0.1,"x,y"\n,é\n' == csv_text([["a", "b"], [0.1, "x,y"], [None, "é"]])
    assert json.loads(json_text(records)) == records
    assert "é" in json_text(records)
