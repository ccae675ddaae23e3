"""What becomes of the steps: medians, ratios, intervals, shares."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from made_up_times import made_up
from scipy.stats import ttest_1samp

from agcli.paper.published import epoch_seconds
from agcli.timing.plan import Group, plan_groups
from agcli.timing.request import TimingRequest
from agcli.timing.rows import group_rows, ratio_interval

Make = Callable[..., TimingRequest]


NONE = [[0.10, 0.12], [0.11, 0.13], [0.12, 0.20]]
BOTH = [[0.11, 0.13], [0.11, 0.14], [0.13, 0.19]]


def test_ratio_and_interval_are_of_logs_within_rounds() -> None:
    found = ratio_interval([0.24, 0.25, 0.32], [0.22, 0.24, 0.32])
    assert found == pytest.approx((1.043532, 0.936570, 1.162710), abs=2e-6)
    interval = ttest_1samp(np.log([0.24 / 0.22, 0.25 / 0.24, 1.0]), 0.0).confidence_interval(0.95)
    assert found[1:] == pytest.approx((math.exp(interval.low), math.exp(interval.high)))


def test_an_interval_takes_three_rounds_and_drift_cancels() -> None:
    two = ratio_interval([2.0, 8.0], [1.0, 4.0])
    assert two == (pytest.approx(2.0), None, None)
    assert ratio_interval([2.0, 8.0, 20.0], [1.0, 4.0, 10.0]) == pytest.approx((2.0, 2.0, 2.0))


@pytest.fixture
def group(request_for: Make) -> Group:
    """`none` and `both` over six steps of four pairs."""
    return plan_groups(request_for())[0]


def test_a_row_says_what_the_steps_were(group: Group) -> None:
    none, both = group_rows(made_up(group, [NONE, BOTH]))
    assert (none.variant, none.attention, none.data, none.length, none.padding) == (
        "none",
        "reference",
        "pairs",
        24,
        "dynamic",
    )
    assert (none.batch_size, none.precision, none.steps) == (4, "fp32", 6)
    assert none.step_seconds == pytest.approx(0.12)
    assert (none.step_seconds_low, none.step_seconds_high) == pytest.approx((0.1125, 0.1275))
    assert none.examples_per_second == pytest.approx(24 / 0.78)
    assert none.tokens_per_second == pytest.approx(360 / 0.78)
    assert (none.epoch_seconds, none.epoch_kind) == (pytest.approx(44 * 0.78 / 24), "projected")
    assert (none.ratio, none.ratio_low, none.ratio_high, none.memory_ratio) == pytest.approx((1, 1, 1, 1))
    assert none.matmul_share == pytest.approx(3 * 24 * 1e6 / 0.78 / 1e9)
    expected = ratio_interval([0.24, 0.25, 0.32], [0.22, 0.24, 0.32])
    assert (both.ratio, both.ratio_low, both.ratio_high) == expected
    assert (both.peak_memory_bytes, both.memory_ratio) == (2_000_000_000, 2.0)


def test_a_measured_epoch_is_the_sum_of_its_steps(group: Group) -> None:
    (row, _) = group_rows(made_up(replace(group, epochs=2), [NONE, BOTH]))
    assert (row.epoch_seconds, row.epoch_kind) == (pytest.approx(0.39), "measured")


def test_without_a_population_there_is_no_epoch(group: Group) -> None:
    (row, _) = group_rows(made_up(replace(group, population=None), [NONE, BOTH]))
    assert (row.epoch_seconds, row.epoch_kind) == (None, None)


def test_without_none_there_is_no_ratio(group: Group, request_for: Make) -> None:
    failed = group_rows(made_up(group, ["out; of memory", BOTH]))[1]
    assert (failed.ratio, failed.memory_ratio, failed.step_seconds) == (None, None, pytest.approx(0.13))
    assert failed.notes == "no ratio: `none` failed"
    (other,) = plan_groups(request_for(variants=("both",)))
    (alone,) = group_rows(made_up(other, [BOTH]))
    assert (alone.ratio, alone.notes) == (None, "no ratio: `none` was not timed")


def test_notes_are_those_of_the_group_and_the_arm(group: Group) -> None:
    times = made_up(replace(group, notes=("random weights", "lengths: counted; all")), [NONE, "out; of memory"])
    assert [row.notes for row in group_rows(times)] == [
        "random weights; lengths: counted, all",
        "random weights; lengths: counted, all; out, of memory",
    ]


def test_a_share_takes_both_the_count_and_the_rate(group: Group) -> None:
    times = made_up(group, [NONE, BOTH])
    for lacking in (replace(times, forward_flops=None), replace(times, product_rates={"bf16": 1.0})):
        assert [row.matmul_share for row in group_rows(lacking)] == [None, None]


@pytest.mark.parametrize(("data", "seconds"), [("mednli", (95, 112)), ("mnli_20k", (None, None))])
def test_the_paper_stands_beside(group: Group, data: str, seconds: tuple[int | None, int | None]) -> None:
    times = made_up(replace(group, model="google-bert/bert-base-uncased", data=data), [NONE, BOTH])
    rows = group_rows(times, epoch_seconds)
    assert tuple(row.paper_seconds for row in rows) == seconds
    assert any(row.notes for row in rows) is (data == "mednli"), "the paper's BERT is out of line there"
    assert {row.paper_seconds for row in group_rows(times)} == {None}
