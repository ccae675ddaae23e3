"""Rows of a sweep as one checked table, and their groups over seeds."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest
from made_up_results import MDG, UNGUIDED, arm, failed, row

from agcli.errors import DataError
from agcli.sweep.results import differing, first_name, read_results, results_of, spelled, split_of, weights_of
from agcli.sweep.seed_groups import over_seeds, setting_of
from agcli.tables.csv_json import csv_text

ROWS = [*arm("none", UNGUIDED), *arm("mdg", MDG), failed("mdg", 6)]


def test_a_file_and_rows_in_memory_are_the_same_table(tmp_path: Path) -> None:
    header = list(ROWS[0])
    lines = [[line.get(name) for name in header] for line in ROWS]
    (tmp_path / "results.csv").write_text(csv_text([header, *lines]))
    read, made = read_results(tmp_path / "results.csv"), results_of(ROWS)
    pd.testing.assert_frame_equal(read, made, check_dtype=False)
    pd.testing.assert_frame_equal(results_of(made), made)


@pytest.mark.parametrize(
    ("value", "text"),
    [("0.10", "0.1"), (0.1, "0.1"), ("7", "7"), (7.0, "7"), (None, ""), (math.nan, ""), ("6,7", "6,7"), (True, "True")],
)
def test_equal_numbers_have_one_spelling(value: object, text: str) -> None:
    assert spelled(value) == text


def test_what_older_results_lack_is_filled_in() -> None:
    rows = [{name: value for name, value in line.items() if name != "pdg"} for line in ROWS]
    table = results_of(rows)
    assert set(table["pdg"]) == {0.0}
    assert set(table["baseline"]) == {""}
    assert set(table["metric"]) == {"accuracy"}
    assert (first_name(table, "metric"), first_name(table, "baseline")) == ("accuracy", "")
    with pytest.raises(DataError, match="no column variant"):
        results_of([{name: value for name, value in line.items() if name != "variant"} for line in ROWS])


def test_weights_are_those_of_all_rows_or_none() -> None:
    table = results_of([*arm("mdg", MDG), *arm("both", MDG)])
    assert weights_of(table[table["variant"] == "mdg"]) == {"mdg": 0.01, "pdg": 0.0}
    assert weights_of(table) is None


def test_axes_are_named_before_the_weights_that_were_chosen_for_them() -> None:
    rows = [line for rate in (0.1, 0.2) for line in arm("mdg", MDG, mdg=rate, **{"set:dropout": rate})]
    keys = ["model", "dataset", "variant"]
    assert differing(results_of(rows), keys) == ["set:dropout"]
    assert differing(results_of(rows), [*keys, "set:dropout"]) == []
    assert differing(results_of([*arm("mdg", MDG), *arm("mdg", MDG, mdg=0.1)]), keys) == ["mdg"]


def test_the_split_is_test_where_there_is_one() -> None:
    assert split_of(results_of(ROWS), "mnli") == "test"
    assert split_of(results_of([row("none", 1, None)]), "mnli") == "dev"
    assert split_of(results_of([failed("none", 1)]), "mnli") is None


class TestSeeds:
    def test_lost_seeds_have_a_reason(self) -> None:
        table = results_of(ROWS)
        group = over_seeds(table[table["variant"] == "mdg"], "test")
        assert (group.values, group.failed, group.diverged) == (MDG, (6,), (6,))
        assert group.lost == ("failed: loss is nan",)
        assert (group.best, group.weights) == (0.66, {"mdg": 0.01, "pdg": 0.0})
        assert group.summary is not None
        assert group.summary.mean == pytest.approx(0.64)

    def test_another_metric_than_the_primary_one(self) -> None:
        assert over_seeds(results_of(ROWS), "test", "f1_macro", repeats=True).values == [0.1] * 5

    def test_a_gap_is_refused_or_lost(self) -> None:
        table = results_of([*arm("none", UNGUIDED), row("none", 6, None)])
        with pytest.raises(DataError, match="lacks its metric"):
            over_seeds(table, "test")
        assert over_seeds(table, "test", gaps=True).lost == ("not measured",)

    def test_a_seed_that_comes_twice_is_refused_or_counts_once(self) -> None:
        twice = results_of([*arm("none", UNGUIDED), *arm("none", UNGUIDED), failed("none", 1)])
        with pytest.raises(DataError, match="same seed"):
            over_seeds(twice, "test")
        group = over_seeds(twice, "test", repeats=True)
        assert (group.values, group.lost) == (UNGUIDED, ())
        different = results_of([*arm("none", UNGUIDED), *arm("none", MDG)])
        with pytest.raises(DataError, match="differ in no column"):
            over_seeds(different, "test", repeats=True)

    def test_a_setting_has_a_name(self) -> None:
        table = results_of(arm("mdg", MDG, layers=3, size=300, **{"set:dropout": "0.10"}))
        assert setting_of(table).name == "minilm on mnli, size 300, layer 3, dropout 0.1"
