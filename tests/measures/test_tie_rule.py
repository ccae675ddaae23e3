"""The one tie rule, against plain sorting; scores that leave no tie, against np.nextafter in a loop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agcli.measures.tie_rule import descending, strictly_decreasing

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-(2.0**100), max_value=2.0**100)
LEAST, NEXT_TO_ONE = (float(np.nextafter(np.float32(low), np.float32(2))) for low in (0, 1))
NEAR = st.sampled_from([-1.5, -LEAST, -0.0, 0.0, LEAST, 0.125, 1.0, NEXT_TO_ONE])
IDS = st.text(st.sampled_from("aB09é漢🙂~"), min_size=1, max_size=3)


def test_score_first_then_the_greater_id() -> None:
    order = descending(["d9", "d10", "d1", "x"], np.array([1.0, 1.0, 1.0, 2.0]))
    assert order.tolist() == [3, 0, 1, 2]  # d9 > d10 > d1 as strings


def test_scores_that_float32_cannot_tell_apart_are_tied() -> None:
    assert descending(["a", "b"], np.array([1.0 + 1e-12, 1.0])).tolist() == [1, 0]
    assert descending(["a", "b"], np.array([16777217.0, 16777216.0])).tolist() == [1, 0]


def test_zero_has_one_place() -> None:
    assert descending(["a", "b"], np.array([0.0, -0.0], dtype=np.float32)).tolist() == [1, 0]


@given(st.dictionaries(IDS, NEAR | FLOATS, max_size=30))
def test_the_rule_is_sorting_by_score_and_bytes(scores: dict[str, float]) -> None:
    ids = list(scores)
    found = [ids[index] for index in descending(ids, np.array(list(scores.values()), dtype=np.float32))]
    assert found == sorted(ids, key=lambda name: (scores[name], name.encode()), reverse=True)


@pytest.mark.parametrize("scores", [[1.0, float("nan")], [1.0], [[1.0, 2.0]]])
def test_wrong_scores_have_no_order(scores: list[float]) -> None:
    with pytest.raises(ValueError):
        descending(["a", "b"], np.array(scores))


def lowered_one_by_one(scores: list[np.float32]) -> list[np.float32]:
    kept: list[np.float32] = []
    for score in scores:
        below = np.nextafter(kept[-1], np.float32(-np.inf)) if kept else score
        kept.append(min(score, below))
    return kept


@given(st.lists(NEAR | FLOATS, max_size=40))
def test_ties_go_down_by_the_least_step(scores: list[float]) -> None:
    ranked = -np.sort(-np.array(scores, dtype=np.float32))
    found = strictly_decreasing(ranked)
    assert found.dtype == np.float32
    assert found.tolist() == [float(score) for score in lowered_one_by_one(list(ranked))]
    assert (np.diff(found.astype(np.float64)) < 0).all()


def test_scores_without_ties_stay() -> None:
    scores = np.array([3.0, 2.5, -1.0], dtype=np.float32)
    assert strictly_decreasing(scores).tobytes() == scores.tobytes()


@pytest.mark.parametrize(
    "scores", [[1.0, 2.0], [np.inf, 1.0], [1.0, np.nan], [float(np.finfo(np.float32).min)] * 2], ids=str
)
def test_what_is_no_ranking_is_refused(scores: list[float]) -> None:
    with pytest.raises(ValueError):
        strictly_decreasing(np.array(scores, dtype=np.float32))
