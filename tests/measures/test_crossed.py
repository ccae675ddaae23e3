"""Seeds crossed with examples: against closed forms, statsmodels' analysis of variance, and made-up runs."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from agcli.errors import DataError
from agcli.measures.bootstrap import mean_estimates
from agcli.measures.crossed_bootstrap import crossed_bootstrap, power, power_line

TABLE = np.array([[0.10, 0.05, -0.02, 0.30], [0.12, 0.00, 0.01, 0.21], [0.02, 0.07, -0.10, 0.33]])


def made_up(n: int, examples: int, seed_sd: float, example_sd: float, both_sd: float, seed: int = 0) -> np.ndarray:
    """Differences of runs with known components, mean 0. Shape (n, examples)."""
    rng = np.random.default_rng(seed)
    return (
        seed_sd * rng.standard_normal((n, 1))
        + example_sd * rng.standard_normal((1, examples))
        + both_sd * rng.standard_normal((n, examples))
    )


class TestCrossedBootstrap:
    def test_one_seed_is_the_bootstrap_over_examples(self) -> None:
        rows = made_up(1, 200, 0, 1, 0)
        [expected] = mean_estimates(rows.T, resamples=500, seed=3)
        found = crossed_bootstrap(np.zeros_like(rows), rows, resamples=500, seed=3)
        assert [found.low, found.high] == pytest.approx([expected.low, expected.high])

    def test_one_example_is_the_bootstrap_over_seeds(self) -> None:
        """Of the 27 draws of 3 seeds, 1 has the mean 0 and 1 the mean 0.9: more than 2.5 % each."""
        found = crossed_bootstrap(np.zeros((3, 1)), np.array([[0.0], [0.3], [0.9]]))
        assert [found.low, found.high] == pytest.approx([0.0, 0.9])

    def test_both_parts_of_the_variance_add_up(self) -> None:
        """Without an interaction the bootstrap's variance is var(seeds) / n + var(examples) / m, exactly."""
        rows = made_up(12, 300, 0.05, 0.4, 0)
        expected = math.sqrt(rows.mean(axis=1).var() / 12 + rows.mean(axis=0).var() / 300)
        found = crossed_bootstrap(np.zeros_like(rows), rows, resamples=6000)
        assert found.high - found.low == pytest.approx(2 * 1.96 * expected, rel=0.05)
        assert rows.mean(axis=0).var() / 300 < 0.95 * expected**2, "seeds must matter for this to test them"

    def test_seed_and_example_together_count_up_to_three_times(self) -> None:
        rows = made_up(40, 400, 0, 0, 1)
        found = crossed_bootstrap(np.zeros_like(rows), rows, resamples=4000)
        assert found.high - found.low == pytest.approx(2 * 1.96 * math.sqrt(3 / (40 * 400)), rel=0.1)

    def test_what_the_arms_share_cancels(self) -> None:
        shared = made_up(6, 50, 5.0, 5.0, 5.0)
        found = crossed_bootstrap(shared, shared + 0.01, resamples=200)
        assert [found.low, found.high] == pytest.approx([0.01, 0.01])

    def test_the_seed_decides(self) -> None:
        rows = made_up(5, 40, 1, 1, 1)
        once = crossed_bootstrap(rows, 2 * rows, resamples=100, seed=1)
        assert crossed_bootstrap(rows, 2 * rows, resamples=100, seed=1) == once
        assert crossed_bootstrap(rows, 2 * rows, resamples=100, seed=2) != once

    @pytest.mark.parametrize(
        ("first", "second", "problem"),
        [
            (np.zeros((2, 3)), np.zeros((3, 3)), "shapes"),
            (np.zeros(3), np.zeros(3), "shapes"),
            (np.zeros((0, 3)), np.zeros((0, 3)), "no score"),
            (np.zeros((2, 2)), np.array([[0, np.nan], [0, 0]]), "not a finite number"),
        ],
    )
    def test_what_cannot_be_paired_is_refused(self, first: np.ndarray, second: np.ndarray, problem: str) -> None:
        for compare in (crossed_bootstrap, power):
            with pytest.raises(DataError, match=problem):
                compare(first, second)


class TestPower:
    def test_the_seeds_needed_by_the_book(self) -> None:
        """SD 0.01 against 0.005: effect 0.5, for which a paired t-test needs 33.4, so 34 pairs (Cohen's table: 34)."""
        rows = np.array([[-0.01], [0.0], [0.01]]) + np.zeros((3, 7))
        found = power(np.zeros((3, 7)), rows)
        assert found is not None
        assert (found.n, found.examples, found.difference, found.seeds_needed) == (3, 7, 0.005, 34)
        assert (found.sd, found.seed_sd) == pytest.approx((0.01, 0.01))
        assert (found.example_sd, found.shared_sd, found.undetectable) == pytest.approx((0, 0, 0), abs=1e-12)
        # chi-squared with 2 degrees of freedom: 2.5 % and 97.5 % at -2 ln 0.975 = 0.0506 and -2 ln 0.025 = 7.378.
        spread = [math.sqrt(2 / (-2 * math.log(tail))) for tail in (0.025, 0.975)]
        low, high = (power(np.zeros((3, 7)), rows * factor) for factor in spread)
        assert low is not None
        assert high is not None
        assert (found.seeds_low, found.seeds_high) == (low.seeds_needed, high.seeds_needed)
        assert found.seeds_low < 34 < found.seeds_high

    def test_what_is_detectable_needs_the_seeds_that_were_run(self) -> None:
        rows = made_up(9, 60, 0.02, 0.3, 0.3)
        found = power(np.zeros_like(rows), rows)
        assert found is not None
        again = power(np.zeros_like(rows), rows, difference=found.detectable * 1.0001)
        below = power(np.zeros_like(rows), rows, difference=found.detectable * 0.999)
        assert again is not None
        assert below is not None
        assert (again.seeds_needed, below.seeds_needed) == (9, 10)

    def test_components_are_those_of_the_analysis_of_variance(self) -> None:
        from statsmodels.formula.api import ols
        from statsmodels.stats.anova import anova_lm

        places = np.indices(TABLE.shape).reshape(2, -1)
        long = pd.DataFrame({"d": TABLE.ravel(), "seed": places[0], "example": places[1]})
        squares = anova_lm(ols("d ~ C(seed) + C(example)", long).fit())["mean_sq"]
        found = power(np.zeros_like(TABLE), TABLE)
        assert found is not None
        assert found.sd == pytest.approx(math.sqrt(squares["C(seed)"] / 4))
        assert found.example_sd == pytest.approx(math.sqrt(squares["Residual"] / 4))
        assert found.shared_sd == pytest.approx(math.sqrt((squares["C(example)"] - squares["Residual"]) / 3 / 4))
        assert found.seed_sd == 0  # seeds differ by less than their examples account for
        assert squares["C(seed)"] < squares["Residual"]

    def test_components_that_were_put_in_come_out(self) -> None:
        rows = made_up(200, 500, 0.05, 0.6, 0.8)
        found = power(-rows / 2, rows / 2)
        assert found is not None
        assert found.seed_sd == pytest.approx(0.05, rel=0.15)
        assert found.example_sd == pytest.approx(0.8 / math.sqrt(500), rel=0.03)
        assert found.shared_sd == pytest.approx(0.6 / math.sqrt(500), rel=0.1)
        assert found.sd == pytest.approx(math.hypot(found.seed_sd, found.example_sd))
        # 80 % power at level 0.05: 1.960 + 0.842 standard errors.
        assert found.undetectable == pytest.approx(2.80 * found.shared_sd, rel=0.01)

    def test_of_seeds_that_do_not_differ_nothing_is_estimable(self) -> None:
        rows = np.tile([0.0, 1.0, 0.0, 0.0], (4, 1))
        found = power(np.zeros_like(rows), rows)
        assert found is not None
        assert (found.sd, found.seeds_needed, found.seeds_low, found.seeds_high) == (0, None, None, None)
        assert found.detectable is None
        line = power_line(found)
        assert "is not estimable: the paired difference is the same at all 4 seeds" in line
        assert "Beyond these examples, no number of seeds detects less than" in line
        assert "4 seeds detect" not in line

    def test_seeds_that_differ_by_the_same_amount_leave_only_what_the_examples_call_for(self) -> None:
        rows = np.array([[1.0, 0.0, 0.0, -1.0], [0.0, 0.0, 1.0, -1.0]])
        found = power(np.zeros_like(rows), rows)
        assert found is not None
        assert (found.sd, found.seeds_needed, found.seeds_high, found.detectable) == (0, None, None, None)
        noise = power(np.zeros((3, 4)), np.array([[-1.0], [0.0], [1.0]]) * found.example_sd + np.zeros((3, 4)))
        assert noise is not None
        assert found.seeds_low == noise.seeds_needed
        line = power_line(found)
        assert "is not estimable: the paired difference is the same at all 2 seeds" in line
        assert f"The 4 test examples alone, {100 * found.example_sd:.2f} points of SD, call for at least" in line
        assert "seeds detect 0.00" not in line

    def test_the_range_of_seeds_says_what_its_lower_end_is(self) -> None:
        """Example noise of 0.8 in 500 examples floors the SD at 3.6 points; without such noise nothing does."""
        rows = made_up(4, 500, 0.01, 0.6, 0.8)
        noisy = power(-rows / 2, rows / 2)
        quiet = power(np.zeros((3, 7)), np.array([[-0.01], [0.0], [0.01]]) + np.zeros((3, 7)))
        assert noisy is not None
        assert quiet is not None
        assert (noisy.floored, quiet.floored) == (True, False)
        range_words = "over the 95 % interval of the SD between seeds"
        assert f"{range_words}; no SD below the part of the test examples is reckoned with)" in power_line(noisy)
        assert f"({quiet.seeds_low} to {quiet.seeds_high} {range_words})" in power_line(quiet)

    @pytest.mark.parametrize(
        ("effect", "seeds"), [(11.6, 2), (11.5, 3), (3.27, 3), (3.26, 4), (2.13, 4), (50.0, 2), (1e8, 2), (5.3, 3)]
    )
    def test_large_effects_need_few_seeds(self, effect: float, seeds: int) -> None:
        """Thresholds checked by simulation: 80 % power at 2, 3 and 4 pairs from 11.55, 3.264 and 2.128 SD on."""
        rows = np.array([[-0.01], [0.0], [0.01]]) + np.zeros((3, 4))
        found = power(np.zeros_like(rows), rows, 0.01 * effect)
        assert found is not None
        assert found.seeds_needed == seeds

    def test_a_small_effect_needs_what_the_normal_test_needs(self) -> None:
        rows = np.array([[-0.01], [0.0], [0.01]]) + np.zeros((3, 4))
        found = power(np.zeros_like(rows), rows, 0.0001)
        assert found is not None
        assert found.seeds_needed == pytest.approx((1.95996 + 0.84162) ** 2 / 0.01**2, rel=0.001)

    def test_one_seed_or_one_example_has_no_variance(self) -> None:
        assert power(np.zeros((1, 9)), np.ones((1, 9))) is None
        assert power(np.zeros((9, 1)), np.ones((9, 1))) is None

    def test_the_line_says_it_in_points(self) -> None:
        rows = np.array([[-0.01], [0.0], [0.01]]) + np.zeros((3, 7))
        found = power(np.zeros((3, 7)), rows)
        assert found is not None
        said = power_line(found)
        assert "To detect 0.50 points with 80% power" in said
        assert f"34 seeds ({found.seeds_low} to {found.seeds_high} " in said
        assert "over 3 seeds 1.00 points: 1.00 points from training, 0.00 points from there being 7 test" in said
        assert said.endswith("no difference between examples that they share.")
        rows = made_up(4, 50, 0.01, 0.5, 0.1)
        found = power(np.zeros_like(rows), rows)
        assert found is not None
        assert power_line(found).endswith(
            f"no number of seeds detects less than {100 * found.undetectable:.2f} points."
        )

    def test_a_difference_of_nothing_is_refused(self) -> None:
        with pytest.raises(ValueError, match="above 0"):
            power(TABLE, TABLE, 0)
