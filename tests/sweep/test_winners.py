"""Winners of grids, on tables written out by hand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd
import pytest
from made_up_results import MDG, UNGUIDED, Row, arm, failed, row

from agcli.errors import DataError
from agcli.sweep.winners import Winner, winner, winners


def trial(variant: str, dev: Iterable[float], **changed: Any) -> list[Row]:
    """A trial's cells at the selecting seeds 91, 92, ...; their test metrics are empty."""
    return [
        row(variant, seed, None, role="select", **{"dev:accuracy": value}, **changed)
        for seed, value in enumerate(dev, start=91)
    ]


def chosen(*rows: Row) -> Winner:
    return winner(pd.DataFrame(rows))


class TestWinner:
    def test_the_best_mean_on_dev_wins_not_the_best_seed(self) -> None:
        found = chosen(*trial("mdg", [0.70, 0.90], mdg=0.1), *trial("mdg", [0.82, 0.82], mdg=0.01))
        assert found.chosen is not None
        assert (found.chosen.weights["mdg"], found.chosen.best) == (0.01, 0.82)
        assert found.chosen.summary is not None
        assert found.chosen.summary.mean == pytest.approx(0.82)
        assert [cells.best for cells in found.trials] == [0.90, 0.82]
        assert (found.tied, found.out, found.metric) == (0, 0, "accuracy")

    def test_test_metrics_do_not_choose(self) -> None:
        reported = [row("mdg", 1, 0.99, mdg=0.1, role="report", **{"dev:accuracy": 0.99})]
        found = chosen(*trial("mdg", [0.7], mdg=0.1), *trial("mdg", [0.8], mdg=0.01), *reported)
        assert found.chosen is not None
        assert found.chosen.weights["mdg"] == 0.01

    def test_a_tie_goes_to_the_weaker_guide(self) -> None:
        """The means are of the same values in another order, which differ in their last bit."""
        values = [0.1, 0.2, 0.3]
        assert sum(values) != sum(reversed(values))
        found = chosen(
            *trial("both", reversed(values), mdg=0.1, pdg=0.01),
            *trial("both", values, mdg=0.01, pdg=0.1),
            *trial("both", values, mdg=0.1, pdg=0.1),
            *trial("both", reversed(values), mdg=0.1, pdg=0.001),
        )
        assert found.chosen is not None
        assert (found.chosen.weights["mdg"], found.chosen.weights["pdg"], found.tied) == (0.1, 0.001, 3)

    def test_ties_of_equal_strength_and_of_learning_rates_are_settled_too(self) -> None:
        weights = chosen(*trial("both", [0.5], mdg=0.1, pdg=0.01), *trial("both", [0.5], mdg=0.01, pdg=0.1))
        rates = chosen(*trial("none", [0.5], learning_rate=4e-5), *trial("none", [0.5], learning_rate=1e-5))
        assert weights.chosen is not None
        assert rates.chosen is not None
        assert (weights.chosen.weights["mdg"], rates.chosen.learning_rate) == (0.01, 1e-5)

    def test_a_trial_with_a_failed_seed_is_out(self) -> None:
        lucky = [*trial("mdg", [0.9], mdg=0.1), failed("mdg", 92, mdg=0.1, role="select")]
        found = chosen(*lucky, *trial("mdg", [0.6, 0.6], mdg=0.01))
        assert found.chosen is not None
        assert (found.chosen.weights["mdg"], found.out) == (0.01, 1)
        assert found.trials[0].failed == (92,)
        assert "1 of 2 trials of mdg could not win" in found.notes[0]

    def test_a_seed_that_collapsed_pulls_its_trial_down(self) -> None:
        bad = row("mdg", 92, None, role="select", mdg=0.1, collapsed=1, **{"dev:accuracy": 0.33})
        found = chosen(*trial("mdg", [0.9], mdg=0.1), bad, *trial("mdg", [0.7, 0.7], mdg=0.01))
        assert found.chosen is not None
        assert (found.chosen.weights["mdg"], found.trials[0].collapsed) == (0.01, (92,))

    def test_no_whole_trial_no_winner(self) -> None:
        found = chosen(failed("mdg", 91, role="select"), *trial("mdg", [], mdg=0.1))
        assert (found.chosen, found.out) == (None, 1)
        assert found.notes == ("mdg has no winner: every trial lacks a seed.",)

    def test_cells_of_two_grids_are_refused(self) -> None:
        for rows in ([*trial("mdg", [0.5]), *trial("pdg", [0.5])], arm("mdg", MDG)):
            with pytest.raises(DataError, match="one setting and one variant"):
                chosen(*rows)


class TestWinners:
    def test_one_for_each_setting_and_variant_with_the_baseline_s_trials(self) -> None:
        cells = [
            *trial("none", [0.61, 0.63], learning_rate=1e-5),
            *trial("none", [0.66, 0.62], learning_rate=3e-5),
            *trial("mdg", [0.60, 0.60], mdg=0.1),
            *trial("mdg", [0.65, 0.65], mdg=0.01),
            *trial("both", [0.7, 0.7], mdg=0.1, pdg=0.1),
            *trial("both", [0.6, 0.6], mdg=0.1, pdg=0.01),
            *trial("both", [0.6, 0.6], mdg=0.01, pdg=0.01),
            *trial("pdg", [0.5, 0.5], dataset="other"),
            *arm("mdg", MDG, role="report"),
        ]
        none, mdg, both, other = winners(pd.DataFrame(cells))
        assert none.chosen is not None
        assert mdg.chosen is not None
        assert (none.chosen.learning_rate, mdg.chosen.weights["mdg"]) == (3e-5, 0.01)
        assert [each.unguided_trials for each in (none, mdg, both, other)] == [2, 2, 2, 0]
        assert none.notes == mdg.notes == ()
        assert both.notes == ("The unguided baseline had 2 trials, both had 3.",)
        assert other.notes == ("The unguided baseline had 0 trials, pdg had 1.",)

    def test_a_sweep_without_selection_has_none(self) -> None:
        assert winners(pd.DataFrame([*arm("none", UNGUIDED), *arm("mdg", MDG)])) == []
