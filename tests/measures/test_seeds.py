"""Statistics over seeds against figures worked out by hand and against scipy on written-out numbers."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
from scipy.stats import norm, ttest_1samp, ttest_rel, wilcoxon

from agcli.errors import DataError
from agcli.measures.seeds import FEWEST_SEEDS, claim_line, compare_seeds, holm, p_text, stars, summary, unpaired_line

UNGUIDED = {1: 0.60, 2: 0.62, 3: 0.61, 4: 0.63, 5: 0.64}
GUIDED = {1: 0.61, 2: 0.64, 3: 0.64, 4: 0.65, 5: 0.66}


class TestSummary:
    def test_by_hand(self) -> None:
        # Mean 0.62; squares of the deviations add up to 0.001; t(0.975, 4) = 2.776445 (table).
        found = summary(list(UNGUIDED.values()))
        assert (found.n, found.mean) == (5, pytest.approx(0.62))
        assert found.sd == pytest.approx(math.sqrt(0.001 / 4))
        half = 2.776445 * math.sqrt(0.001 / 4 / 5)
        assert [found.low, found.high] == pytest.approx([0.62 - half, 0.62 + half], abs=1e-8)

    def test_by_scipy(self) -> None:
        values = [0.7312, 0.7288, 0.7401, 0.7295, 0.7333, 0.7120, 0.7350]
        interval = ttest_1samp(values, 0).confidence_interval(0.95)
        found = summary(values)
        assert [found.low, found.high] == pytest.approx([interval.low, interval.high])

    def test_one_seed_has_no_spread(self) -> None:
        found = summary([0.7])
        assert (found.n, found.mean, found.sd, found.low, found.high) == (1, 0.7, None, None, None)

    def test_equal_seeds_give_an_interval_of_no_width(self) -> None:
        found = summary([0.1 + 0.2, 0.3])
        assert (found.sd, found.low, found.high) == (0.0, found.mean, found.mean)

    @pytest.mark.parametrize(("values", "problem"), [([], "no seed"), ([0.5, float("nan")], "not a finite number")])
    def test_what_has_no_mean_is_refused(self, values: list[float], problem: str) -> None:
        with pytest.raises(DataError, match=problem):
            summary(values)


class TestSeedComparison:
    def test_by_hand(self) -> None:
        """Differences 1, 2, 3, 2, 2 points: mean 2, variance 1/2, t = sqrt(40) at 4 degrees of freedom."""
        found = compare_seeds(UNGUIDED, GUIDED)
        assert (found.n, found.seeds, found.unpaired) == (5, (1, 2, 3, 4, 5), 0)
        assert found.difference == pytest.approx(0.02)
        # With 4 degrees of freedom, P(|T| < t) is s (1 + c / 2) at s = t / sqrt(4 + t^2), c = 1 - s^2.
        s = math.sqrt(40 / 44)
        assert found.t_p == pytest.approx(1 - s * (1 + (1 - s**2) / 2))
        assert found.t_p == pytest.approx(0.003198, abs=1e-6)
        half = 2.776445 * math.sqrt(0.00005 / 5)
        assert [found.low, found.high] == pytest.approx([0.02 - half, 0.02 + half], abs=1e-8)
        assert found.effect_size == pytest.approx(math.sqrt(8))
        # All five ranks on one side: 2 of the 32 ways to set the signs.
        assert found.wilcoxon_p == found.wilcoxon_least_p == pytest.approx(2 / 32)

    def test_by_scipy(self) -> None:
        first = [0.7312, 0.7288, 0.7401, 0.7295, 0.7333, 0.7120]
        second = [0.7340, 0.7271, 0.7420, 0.7399, 0.7345, 0.7201]
        found = compare_seeds(dict(enumerate(first)), dict(enumerate(second)))
        test = ttest_rel(second, first)
        interval = test.confidence_interval(0.95)
        assert found.t_p == pytest.approx(test.pvalue)
        assert [found.low, found.high] == pytest.approx([interval.low, interval.high])
        # One difference is negative and the second smallest: ranks 2 against 19, 6 of 64 ways are as extreme.
        assert found.wilcoxon_p == pytest.approx(6 / 64)
        assert found.wilcoxon_p == pytest.approx(wilcoxon(second, first).pvalue)
        assert found.wilcoxon_least_p == pytest.approx(2 / 64)
        assert (found.first, found.second) == (summary(first), summary(second))

    def test_swapping_the_arms_changes_only_signs(self) -> None:
        forth, back = compare_seeds(UNGUIDED, GUIDED), compare_seeds(GUIDED, UNGUIDED)
        assert (forth.t_p, forth.wilcoxon_p) == pytest.approx((back.t_p, back.wilcoxon_p))
        assert (forth.difference, forth.low, forth.high) == pytest.approx((-back.difference, -back.high, -back.low))

    def test_only_common_seeds_are_compared_and_the_others_counted(self) -> None:
        found = compare_seeds({**UNGUIDED, 8: 0.1, 9: 0.2}, {7: 0.9, **dict(reversed(GUIDED.items()))})
        whole = compare_seeds(UNGUIDED, GUIDED)
        assert found.unpaired == 3
        assert (found.seeds, found.difference, found.t_p, found.first) == (
            whole.seeds,
            whole.difference,
            whole.t_p,
            whole.first,
        )
        assert unpaired_line(found).startswith("3 seeds without a partner")
        assert unpaired_line(whole) == ""

    def test_rounding_makes_no_ranks(self) -> None:
        """0.64 - 0.62 and 0.62 - 0.60 differ in the last bit, and must be one rank and no variance."""
        found = compare_seeds({1: 0.60, 2: 0.62}, {1: 0.62, 2: 0.64})
        assert (found.t_p, found.effect_size) == (None, None)
        assert found.low == found.high == found.difference == 0.02

    def test_one_seed_is_described_only(self) -> None:
        found = compare_seeds({3: 0.5}, {3: 0.6})
        assert (found.n, found.difference) == (1, pytest.approx(0.1))
        assert (found.low, found.high, found.t_p, found.effect_size) == (None, None, None, None)
        assert (found.wilcoxon_p, found.wilcoxon_least_p) == (1.0, 1.0)

    def test_arms_that_agree_everywhere_do_not_differ(self) -> None:
        found = compare_seeds(UNGUIDED, UNGUIDED)
        assert (found.difference, found.low, found.high) == (0, 0, 0)
        assert (found.t_p, found.wilcoxon_p, found.wilcoxon_least_p, found.effect_size) == (1.0, 1.0, 1.0, None)

    def test_seeds_that_agree_lower_what_the_signed_ranks_can_reach(self) -> None:
        found = compare_seeds({1: 0.5, 2: 0.5, 3: 0.5, 4: 0.5}, {1: 0.6, 2: 0.7, 3: 0.8, 4: 0.5})
        assert found.wilcoxon_p == found.wilcoxon_least_p == pytest.approx(2 / 8)

    def test_nothing_in_common_is_refused(self) -> None:
        with pytest.raises(DataError, match="no seed in common"):
            compare_seeds({1: 0.5}, {2: 0.5})


class TestFamily:
    def test_holm_by_hand(self) -> None:
        # 0.005 x 4, 0.01 x 3, 0.03 x 2, and 0.04 x 1 may not be below the one before it.
        assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])

    def test_a_test_that_is_not_defined_counts_as_one_that_found_nothing(self) -> None:
        """Six tests: 0.005 * 6, 0.01 * 5, 0.03 * 4, and 0.04 * 3, which may not be less."""
        found = holm([None, 0.01, 0.04, None, 0.03, 0.005])
        assert (found[0], found[3]) == (None, None)
        assert [p for p in found if p is not None] == pytest.approx([0.05, 0.12, 0.12, 0.03])

    def test_a_corrected_p_is_at_most_one(self) -> None:
        assert holm([0.9, 0.8]) == [1.0, 1.0]
        assert holm([None]) == [None]
        assert holm([]) == []

    @pytest.mark.parametrize(
        ("p", "expected"), [(0.0099, "**"), (0.01, "*"), (0.0499, "*"), (0.05, ""), (1.0, ""), (None, "")]
    )
    def test_stars(self, p: float | None, expected: str) -> None:
        assert stars(p) == expected


def test_few_seeds_make_no_claim() -> None:
    assert FEWEST_SEEDS == 5
    assert "4 seeds" in claim_line(4)
    assert "no claim can be made" in claim_line(4)
    assert claim_line(1).startswith("1 seed:")
    assert claim_line(5) == ""


def test_the_t_test_keeps_its_level() -> None:
    """Two settings that differ by chance only, 5 seeds, 600 sweeps: about 1 in 20 below 0.05."""
    draws = norm.rvs(size=(600, 2, 5), random_state=0)
    p_values = [compare_seeds(dict(enumerate(a)), dict(enumerate(b))).t_p for a, b in draws.tolist()]
    assert 0.03 < sum(p is not None and p < 0.05 for p in p_values) / 600 < 0.07


def test_statsmodels_is_loaded_where_it_is_needed_only() -> None:
    program = "import sys, agcli.measures.seeds; assert 'statsmodels' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0


@pytest.mark.parametrize(
    ("p", "text"),
    [(9.999e-05, "0.0001"), (0.0005, "0.0005"), (1e-9, "<0.0001"), (0.00005, "0.0001"), (1.0, "1.0000"), (None, "-")],
)
def test_p_values_have_one_format(p: float | None, text: str) -> None:
    assert p_text(p) == text
