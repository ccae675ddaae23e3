"""`measure` against ir_measures' own door on random rankings with ties; the protocols against hand-made means."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import ir_measures
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ir_measures import AP, RR, R, nDCG

from agcli.measures.ranking import MEASURES, joined, measure
from agcli.measures.tie_rule import descending, strictly_decreasing
from agcli.measures.trec import qrels_lines, run_lines

THEIRS = (RR, R @ 1, R @ 3, R @ 5, R @ 20, nDCG @ 10, AP)
DOCUMENTS = st.sampled_from([f"d{number}" for number in range(25)])
QUERIES = st.sampled_from(["q1", "q2", "q10", "漢"])
TIED = st.sampled_from([-1.0, 0.0, 0.5, 0.5 + 1e-9, 1.0, 1.0 + 1e-12]) | st.floats(-9, 9)
RUNS = st.dictionaries(QUERIES, st.dictionaries(DOCUMENTS, TIED, max_size=25), max_size=4)
QRELS = st.dictionaries(QUERIES, st.dictionaries(DOCUMENTS, st.integers(-1, 3), min_size=1, max_size=8), max_size=4)


def by_ir_measures(run: dict[str, dict[str, float]], qrels: dict[str, dict[str, int]]) -> dict[str, dict[str, float]]:
    """Query -> measure -> value of the queries with a relevant document."""
    judged = {query: grades for query, grades in qrels.items() if max(grades.values()) >= 1}
    found: dict[str, dict[str, float]] = {query: {} for query in judged}
    for metric in ir_measures.iter_calc(THEIRS, judged, run) if judged else ():
        found[metric.query_id][str(metric.measure)] = metric.value
    return found


def untied(scores: Mapping[str, float]) -> dict[str, float]:
    """The same ranking as it is written: in our order, with scores that leave no tie."""
    ids, kept = list(scores), np.array(list(scores.values()), dtype=np.float64)
    order = descending(ids, kept)
    lowered = strictly_decreasing(kept[order].astype(np.float32))
    return {ids[index]: float(score) for index, score in zip(order, lowered, strict=True)}


def test_names_are_those_of_ir_measures() -> None:
    assert tuple(map(str, THEIRS)) == MEASURES


@given(RUNS, QRELS)
def test_every_value_is_that_of_ir_measures(run: dict[str, dict[str, float]], qrels: dict[str, dict[str, int]]) -> None:
    found = measure(run, qrels)
    expected = by_ir_measures(run, qrels)
    assert list(found.queries) == list(expected)
    for query, row in zip(found.queries, found.values, strict=True):
        assert dict(zip(MEASURES, row.tolist(), strict=True)) == expected[query]


@given(RUNS, QRELS)
def test_what_is_written_measures_as_the_tied_scores(
    run: dict[str, dict[str, float]], qrels: dict[str, dict[str, int]]
) -> None:
    assert by_ir_measures({query: untied(scores) for query, scores in run.items()}, qrels) == by_ir_measures(run, qrels)


@given(RUNS, QRELS)
def test_parts_joined_are_the_whole(run: dict[str, dict[str, float]], qrels: dict[str, dict[str, int]]) -> None:
    whole = measure(run, qrels)
    parts = joined([measure(run, {query: grades}) for query, grades in qrels.items()])
    assert parts.queries == whole.queries
    np.testing.assert_array_equal(parts.values, whole.values)
    np.testing.assert_array_equal(parts.retrieved, whole.retrieved)


RUN = {"hit": {"a": 1.0, "b": 2.0}, "miss": {"x": 1.0}, "unjudged": {"a": 9.0}}
JUDGED = {"hit": {"a": 1}, "none": {"a": 1}, "miss": {"a": 2, "x": 0}, "irrelevant": {"a": 0}}


def test_the_protocols_differ_by_the_queries_without_a_hit() -> None:
    found = measure(RUN, JUDGED)
    assert found.queries == ("hit", "none", "miss")
    assert found.retrieved.tolist() == [True, False, False]
    assert found.means("all")["RR"] == pytest.approx(0.5 / 3)
    assert found.means("all")["n"] == 3
    assert found.means("conditional")["RR"] == 0.5
    assert found.means("conditional")["R@1"] == 0
    assert found.means("conditional")["n"] == 1
    assert found.of("conditional").shape == (1, len(MEASURES))
    assert list(found.means("all")) == [*MEASURES, "n"]


def test_a_mean_of_no_query_is_not_a_number() -> None:
    means = measure({}, {"q": {"a": 1}}).means("conditional")
    assert means["n"] == 0
    assert all(math.isnan(means[name]) for name in MEASURES)
    assert measure(RUN, {}).values.shape == (0, len(MEASURES))
    assert joined([]).queries == ()


def test_numbers_of_numpy_are_numbers_too() -> None:
    found = measure({"q": {"a": np.float32(1)}}, {"q": {"a": np.int64(1)}})  # type: ignore[dict-item]
    assert found.means("all")["RR"] == 1


def test_the_command_line_of_ir_measures_says_the_same_of_our_files(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    run = {f"q{query}": {f"d{document}": int(random.integers(4)) / 3 for document in range(30)} for query in range(40)}
    qrels = {query: {f"d{random.integers(45)}": 1, f"d{45 + int(query[1:])}": 0} for query in run}
    lines = {}
    for query, scores in run.items():
        ranked = untied(scores)
        lines[query] = run_lines(query, list(ranked), np.array(list(ranked.values()), np.float32), "test")
    (tmp_path / "run.trec").write_text("".join(lines.values()))
    (tmp_path / "qrels.trec").write_text("".join(qrels_lines(query, grades) for query, grades in qrels.items()))
    command = [sys.executable, "-m", "ir_measures", "qrels.trec", "run.trec", *MEASURES, "--places", "-1"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60).stdout
    theirs = {name: float(value) for name, value in (line.split() for line in said.splitlines())}
    means = measure(run, qrels).means("all")
    assert 0 < means["R@1"] < means["RR"] < means["R@20"] < 1
    assert theirs == pytest.approx({name: means[name] for name in MEASURES}, abs=1e-12)


def test_a_query_in_two_parts_is_a_fault() -> None:
    part = measure(RUN, {"hit": {"a": 1}})
    with pytest.raises(ValueError, match="two parts"):
        joined([part, part])
