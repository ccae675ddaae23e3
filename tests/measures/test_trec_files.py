"""Run and qrels files: what is written reads back, here and in ir_measures; what is wrong is named with its place."""

from __future__ import annotations

from pathlib import Path

import ir_measures
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agcli.errors import DataError, RunError
from agcli.measures.trec import check_id, qrels_lines, read_qrels, read_run, run_lines

FINITE = st.floats(width=32, allow_nan=False, allow_infinity=False)


def written(folder: Path, text: str) -> Path:
    path = folder / "file.trec"
    path.write_text(text, encoding="utf-8")
    return path


def test_lines_of_a_run() -> None:
    lines = run_lines("q1", ["d2", "d1"], np.array([0.1, -2.0], dtype=np.float32), "bm25")
    assert lines == "q1 Q0 d2 1 0.1 bm25\nq1 Q0 d1 2 -2.0 bm25\n"


@given(st.lists(FINITE, min_size=1, max_size=20))
def test_scores_read_back_to_the_same_float32(scores: list[float]) -> None:
    kept = np.array(scores, dtype=np.float32)
    text = run_lines("q", [f"d{index}" for index in range(len(kept))], kept, "t")
    read = [found.score for found in ir_measures.read_trec_run(text)]
    assert np.array(read).astype(np.float32).tobytes() == kept.tobytes()


def test_a_run_reads_back_query_by_query(tmp_path: Path) -> None:
    text = run_lines("q2", ["b", "a"], np.array([2.0, 1.0], np.float32), "t")
    text += "\n" + run_lines("q1", ["漢"], np.array([1e-45], np.float32), "t")
    first, second = read_run(written(tmp_path, text))
    assert (first[0], first[1], first[2].tolist()) == ("q2", ["b", "a"], [2.0, 1.0])
    assert (second[0], second[1]) == ("q1", ["漢"])
    assert second[2].dtype == np.float32
    assert second[2][0] == np.float32(1e-45)


def test_the_order_is_by_score_and_id_not_by_rank_or_line(tmp_path: Path) -> None:
    path = written(tmp_path, "q Q0 a 1 1 t\nq Q0 c 2 1.0 t\nq Q0 b 3 7 t\n")
    ((_, documents, scores),) = read_run(path)
    assert documents == ["b", "c", "a"]
    assert scores.tolist() == [7, 1, 1]


def test_one_query_is_held_at_a_time(tmp_path: Path) -> None:
    """The first queries come before a fault further down is met."""
    queries = read_run(written(tmp_path, "q1 Q0 a 1 1 t\nq2 Q0 a 1 1 t\nbroken\n"))
    assert next(queries)[0] == "q1"
    with pytest.raises(DataError, match="row 3"):
        list(queries)


@pytest.mark.parametrize(
    ("row", "column", "problem"),
    [
        ("q1 Q0 d9 1 1.0", None, "5 columns instead of 6"),
        ("q1 Q0 d9 1 1.0 t more", None, "7 columns instead of 6"),
        ("q1 Q0 d9 1 high t", "score", "finite"),
        ("q1 Q0 d9 1 nan t", "score", "finite"),
        ("q1 Q0 d9 1 1e39 t", "score", "finite"),
        ("q1 Q0 d1 2 0.5 t", "document", "twice"),
        ("q0 Q0 d9 1 1.0 t", "query", "not together"),
    ],
)
def test_a_faulty_run_is_named_with_its_place(tmp_path: Path, row: str, column: str | None, problem: str) -> None:
    path = written(tmp_path, f"q0 Q0 d1 1 1.0 t\n\nq1 Q0 d1 1 1.0 t\n{row}\n")
    with pytest.raises(DataError, match=problem) as caught:
        list(read_run(path))
    assert (caught.value.file, caught.value.row, caught.value.column) == (path, 4, column)


def test_qrels_read_back_in_their_order(tmp_path: Path) -> None:
    qrels = {"q2": {"b": 1, "a": 0}, "q1": {"c": 2, "d": -1}}
    path = written(tmp_path, "".join(qrels_lines(query, grades) for query, grades in qrels.items()))
    assert read_qrels(path) == qrels
    assert list(read_qrels(path)) == ["q2", "q1"]
    theirs = [(found.query_id, found.doc_id, found.relevance) for found in ir_measures.read_trec_qrels(str(path))]
    assert theirs == [("q2", "b", 1), ("q2", "a", 0), ("q1", "c", 2), ("q1", "d", -1)]


def test_qrels_may_be_parted_by_tabs_and_mixed_by_query(tmp_path: Path) -> None:
    assert read_qrels(written(tmp_path, "q1\t0\ta\t1\nq2 0 a 1\nq1 0 b 0\n")) == {
        "q1": {"a": 1, "b": 0},
        "q2": {"a": 1},
    }


@pytest.mark.parametrize(
    ("row", "column", "problem"),
    [
        ("q1 d9 1", None, "3 columns instead of 4"),
        ("q1 0 d9 0.5", "relevance", "whole number"),
        ("q1 0 d1 1", "document", "twice"),
    ],
)
def test_faulty_qrels_are_named_with_their_place(tmp_path: Path, row: str, column: str | None, problem: str) -> None:
    path = written(tmp_path, f"q1 0 d1 1\n{row}\n")
    with pytest.raises(DataError, match=problem) as caught:
        read_qrels(path)
    assert (caught.value.file, caught.value.row, caught.value.column) == (path, 2, column)


def test_a_byte_order_mark_is_not_part_of_the_first_id(tmp_path: Path) -> None:
    assert read_qrels(written(tmp_path, "\ufeffq1 0 d1 1\n")) == {"q1": {"d1": 1}}


def test_a_file_that_is_absent_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_qrels(tmp_path / "none")
    (tmp_path / "latin").write_bytes("q1 0 \xe9 1\n".encode("latin-1"))
    with pytest.raises(DataError, match="UTF-8"):
        read_qrels(tmp_path / "latin")


@pytest.mark.parametrize("identifier", ["", " ", "a b", "a\u00a0b", "a\n", "\ta", "a\0b", "\ud800", "a\x1cb"])
def test_ids_that_trec_files_cannot_hold(identifier: str) -> None:
    with pytest.raises(DataError, match="cannot stand in a TREC file") as caught:
        check_id(identifier, file="corpus.jsonl", row=3, column="_id")
    assert (caught.value.row, caught.value.column) == (3, "_id")
    with pytest.raises(DataError):
        run_lines("q", [identifier], np.ones(1, np.float32), "t")
    with pytest.raises(DataError):
        qrels_lines(identifier, {"d": 1})


def test_ids_that_they_can_hold() -> None:
    for identifier in ("1", "PMC-1:2/3", "漢字", "é", "a'\"b,c"):
        check_id(identifier)


def test_a_score_that_is_no_number_is_never_written() -> None:
    with pytest.raises(RunError, match="1 of 2 scores of a query are not a number"):
        run_lines("q7", ["d1", "d2"], np.array([1.0, np.nan], np.float32), "t")
