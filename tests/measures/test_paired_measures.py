"""Means over queries and paired tests, against scipy, brute force and cases worked by hand."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from agcli.errors import DataError
from agcli.measures import bootstrap
from agcli.measures.bootstrap import mean_estimates
from agcli.measures.paired_tests import MeasureComparison, compare_measures

Floats = NDArray[np.float64]


@pytest.fixture(autouse=True)
def _silent() -> Iterator[None]:
    """No comparison may warn, least of all a degenerate one."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def reciprocal_ranks(n: int, seed: int, deepest: int = 20) -> Floats:
    """1 / rank of a first relevant document, 0 where there is none."""
    ranks = np.random.default_rng(seed).integers(deepest + 1, size=n)
    return np.where(ranks > 0, 1 / np.maximum(ranks, 1), 0.0)


def paired(first: Any, second: Any, **options: Any) -> MeasureComparison:
    """The comparison on one measure, both of shape (num_queries,)."""
    [found] = compare_measures(*(np.reshape(values, (-1, 1)) for values in (first, second)), **options)
    return found


def mean_difference(first: Floats, second: Floats, axis: int = -1) -> Any:
    return second.mean(axis=axis) - first.mean(axis=axis)


class TestMeanIntervals:
    def test_they_agree_with_scipy(self) -> None:
        values = np.stack([reciprocal_ranks(200, 1), reciprocal_ranks(200, 2)], axis=1)
        for column, found in zip(values.T, mean_estimates(values, resamples=20_000), strict=True):
            expected = stats.bootstrap(
                (column,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1)
            ).confidence_interval
            assert [found.low, found.high] == pytest.approx([expected.low, expected.high], abs=1e-3)

    def test_a_share_has_the_interval_of_its_binomial(self) -> None:
        hits = (np.arange(400) % 4 == 0).astype(float)[:, None]
        [found] = mean_estimates(hits, resamples=20_000)
        expected = stats.binom.ppf((0.025, 0.975), 400, 0.25) / 400
        assert [found.low, found.high] == pytest.approx(expected, abs=1.1 / 400)

    def test_columns_are_resampled_together(self) -> None:
        values = reciprocal_ranks(50, 1)
        once, again, mirrored = mean_estimates(np.stack([values, values, 1 - values], axis=1))
        assert once == again
        assert mirrored.low == pytest.approx(1 - once.high)

    def test_seed_and_resamples_decide(self) -> None:
        values = reciprocal_ranks(50, 1)[:, None]
        assert mean_estimates(values) == mean_estimates(values, resamples=2000, seed=0)
        assert mean_estimates(values) != mean_estimates(values, seed=1)
        assert mean_estimates(values) != mean_estimates(values, resamples=1999)

    @pytest.mark.parametrize(
        ("values", "problem"), [(np.empty((0, 2)), "no query"), ([[0.5], [np.nan]], "row 2: .*not a finite number")]
    )
    def test_a_mean_that_does_not_exist_is_refused(self, values: Any, problem: str) -> None:
        with pytest.raises(DataError, match=problem):
            mean_estimates(values)

    def test_a_single_column_must_say_so(self) -> None:
        with pytest.raises(ValueError, match="num_queries, num_measures"):
            mean_estimates([0.5, 1.0])


class TestPaired:
    @pytest.mark.parametrize("n", [2, 30, 300])
    def test_the_t_test_is_scipys(self, n: int) -> None:
        first, second = reciprocal_ranks(n, 1), reciprocal_ranks(n, 2)
        assert paired(first, second).t_p == pytest.approx(stats.ttest_rel(second, first).pvalue)

    @pytest.mark.parametrize("seed", range(4))
    @pytest.mark.parametrize("deepest", [3, 1000])
    def test_few_queries_are_tested_exactly(self, seed: int, deepest: int) -> None:
        first, second = reciprocal_ranks(10, seed, deepest), reciprocal_ranks(10, seed + 50, deepest)
        found = paired(first, second, resamples=100)
        scipys = stats.permutation_test(
            (first, second), mean_difference, permutation_type="samples", vectorized=True, n_resamples=2**10
        )
        flips = np.array(list(itertools.product([-1, 1], repeat=10))) @ (second - first)
        brute_force = (np.abs(flips) >= abs((second - first).sum()) - 1e-12).mean()
        assert found.exact
        assert found.randomisation_p == pytest.approx(brute_force)
        assert found.randomisation_p == pytest.approx(scipys.pvalue)

    def test_on_a_measure_of_hits_it_is_exact_at_any_size_and_mcnemars(self) -> None:
        first, second = np.repeat([1.0, 0.0, 1.0, 0.0], [300, 200, 70, 40]), np.repeat([1.0, 0.0, 1.0], [300, 270, 40])
        found = paired(first, second, resamples=100)
        assert (found.better, found.equal, found.worse, found.exact) == (40, 500, 70, True)
        assert found.randomisation_p == pytest.approx(stats.binomtest(40, 110, 0.5).pvalue)

    def test_drawn_flips_agree_with_scipy(self) -> None:
        first, second = reciprocal_ranks(150, 1, 90), reciprocal_ranks(150, 2, 90)
        found = paired(first, second, resamples=100, permutations=40_000)
        expected = stats.permutation_test(
            (first, second),
            mean_difference,
            permutation_type="samples",
            vectorized=True,
            n_resamples=20_000,
            rng=np.random.default_rng(3),
        ).pvalue
        assert not found.exact
        assert 0.05 < expected < 0.95
        assert found.randomisation_p == pytest.approx(expected, abs=0.015)

    def test_blocks_do_not_change_the_drawn_p_value_much(self, monkeypatch: pytest.MonkeyPatch) -> None:
        first, second = reciprocal_ranks(150, 1, 90), reciprocal_ranks(150, 2, 90)
        whole = paired(first, second, resamples=100).randomisation_p
        monkeypatch.setattr(bootstrap, "BLOCK_CELLS", 150 * 777)
        assert paired(first, second, resamples=100).randomisation_p == pytest.approx(whole, abs=0.03)

    def test_a_drawn_p_value_is_never_zero(self) -> None:
        first = reciprocal_ranks(100, 1, 90)
        found = paired(first, first + np.linspace(0.5, 0.6, 100), resamples=100, permutations=999)
        assert found.randomisation_p == pytest.approx(1 / 1000)

    def test_under_no_difference_small_p_values_are_as_rare_as_they_should_be(self) -> None:
        drawn = [
            paired(
                reciprocal_ranks(60, 2 * seed, 90),
                reciprocal_ranks(60, 2 * seed + 1, 90),
                resamples=1,
                permutations=400,
            )
            for seed in range(300)
        ]
        for p_values in ([found.randomisation_p for found in drawn], [found.t_p for found in drawn]):
            assert 0.02 <= np.mean(np.array(p_values) <= 0.05) <= 0.09

    def test_value_counts_and_interval(self) -> None:
        first, second = np.array([0.5, 1.0, 0.25, 0.0, 1 / 3]), np.array([1.0, 0.5, 0.5, 0.0, 1 / 3])
        found = paired(first, second)
        assert found.n == 5
        assert found.difference.value == pytest.approx(0.05)
        assert (found.better, found.equal, found.worse) == (2, 2, 1)
        [expected] = mean_estimates((second - first)[:, None])
        assert [found.difference.low, found.difference.high] == pytest.approx([expected.low, expected.high])

    def test_swapping_the_rankings_changes_only_signs(self) -> None:
        forth, back = (
            paired(*pair) for pair in itertools.permutations([reciprocal_ranks(12, 1), reciprocal_ranks(12, 2)])
        )
        assert forth.difference.value == pytest.approx(-back.difference.value)
        assert forth.difference.low == pytest.approx(-back.difference.high)
        assert (forth.t_p, forth.randomisation_p) == pytest.approx((back.t_p, back.randomisation_p))
        assert (forth.better, forth.worse) == (back.worse, back.better)

    def test_all_measures_at_once_give_what_each_gives(self) -> None:
        first, second = (np.stack([reciprocal_ranks(80, seed + i, 40) for i in (0, 7)], axis=1) for seed in (1, 2))
        for column, found in enumerate(compare_measures(first, second)):
            alone = paired(first[:, column], second[:, column])
            assert found.difference.low == pytest.approx(alone.difference.low)
            assert replace(found, difference=alone.difference) == alone

    def test_other_shapes_are_refused(self) -> None:
        with pytest.raises(DataError, match="different shapes"):
            paired([0.5, 1.0], [0.5])
        with pytest.raises(DataError, match="no query"):
            paired([], [])


class TestDegenerate:
    def test_a_ranking_does_not_differ_from_itself(self) -> None:
        found = paired(reciprocal_ranks(50, 1), reciprocal_ranks(50, 1))
        assert (found.t_p, found.randomisation_p, found.exact) == (1.0, 1.0, True)
        assert found.difference.value == found.difference.low == found.difference.high == 0
        assert (found.better, found.equal, found.worse) == (0, 50, 0)

    def test_rounding_is_no_difference(self) -> None:
        found = paired([0.1 + 0.2, 0.5], [0.3, 0.5])
        assert (found.difference.value, found.t_p, found.randomisation_p, found.equal) == (0.0, 1.0, 1.0, 2)

    def test_one_query_has_no_t_test(self) -> None:
        found = paired([0.5], [1.0])
        assert (found.difference.value, found.t_p, found.randomisation_p) == (0.5, None, 1.0)

    @pytest.mark.parametrize("gain", [1.0, 0.1])
    def test_without_variance_there_is_no_t_test_but_a_randomisation_test(self, gain: float) -> None:
        first = np.array([0.1, 0.2, 0.3, 0.7, 0.8])
        found = paired(first, first + gain)
        assert found.t_p is None
        assert found.randomisation_p == pytest.approx(2 / 2**5)
        assert found.difference.low == pytest.approx(found.difference.high)
