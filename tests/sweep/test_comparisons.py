"""Results to comparisons, on tables written out by hand."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from made_up_results import MDG, PDG, UNGUIDED, Row, arm, failed, row
from scipy.stats import ttest_rel

from agcli.errors import DataError
from agcli.measures.seeds import compare_seeds, holm
from agcli.sweep.comparisons import Comparison, family, flat
from agcli.sweep.results import read_results


def compared(*rows: Row) -> list[Comparison]:
    return family(pd.DataFrame(rows))


def only(rows: list[Comparison]) -> Comparison:
    [found] = rows
    return found


class TestFamily:
    def test_each_variant_against_none(self) -> None:
        mdg, pdg = compared(*arm("none", UNGUIDED), *arm("mdg", MDG), *arm("pdg", PDG))
        assert (mdg.variant, pdg.variant, mdg.metric) == ("mdg", "pdg", "accuracy")
        assert mdg.contrast is not None
        assert pdg.contrast is not None
        assert mdg.contrast.difference == pytest.approx(0.02)
        assert mdg.contrast.t_p == pytest.approx(0.003198, abs=1e-6)
        assert pdg.contrast.difference == pytest.approx(0)
        assert pdg.contrast.t_p == pytest.approx(ttest_rel(PDG, UNGUIDED).pvalue)
        assert mdg.holm_p == pytest.approx(2 * 0.003198, abs=2e-6)
        assert (mdg.stars, pdg.stars) == ("**", "")
        assert mdg.notes == pdg.notes == ()

    def test_holm_is_over_models_data_sets_and_variants_together(self) -> None:
        """A p-value of 0.003198 twelve times over is 0.038: one star, where alone it has two."""
        cells: list[Row] = []
        for model in ("minilm", "bert"):
            for dataset in ("mnli", "healthver"):
                place = {"model": model, "dataset": dataset}
                cells += [*arm("none", UNGUIDED, **place)]
                cells += [each for variant in ("mdg", "pdg", "both") for each in arm(variant, MDG, **place)]
        rows = compared(*cells)
        assert len(rows) == 12
        assert {each.setting.model for each in rows} == {"minilm", "bert"}
        assert rows[0].holm_p == pytest.approx(12 * 0.003198, abs=2e-5)
        assert {each.stars for each in rows} == {"*"}
        assert [each.holm_p for each in rows] == holm([each.contrast.t_p for each in rows if each.contrast])

    def test_four_seeds_earn_no_star(self) -> None:
        """At p = 0.0004, which five seeds would turn into two."""
        four, five = ([0.01, 0.011, 0.012, 0.011, 0.01][:n] for n in (4, 5))
        for gains, expected in ((four, ""), (five, "**")):
            guided = [value + gain for value, gain in zip(UNGUIDED, gains, strict=False)]
            found = only(compared(*arm("none", UNGUIDED[: len(gains)]), *arm("mdg", guided)))
            assert found.holm_p is not None
            assert found.holm_p < 0.001
            assert found.stars == expected

    def test_a_row_without_a_test_makes_no_other_one_easier(self) -> None:
        alone = compared(*arm("none", UNGUIDED), *arm("mdg", MDG))
        beside = compared(*arm("none", UNGUIDED), *arm("mdg", MDG), failed("pdg", 1))
        assert only(alone).holm_p == pytest.approx(0.003198, abs=1e-6)
        assert beside[0].holm_p == pytest.approx(2 * 0.003198, abs=2e-6)
        assert (beside[1].contrast, beside[1].holm_p, beside[1].stars) == (None, None, "")

    def test_the_primary_metric_of_each_data_set(self) -> None:
        ranks = {"dataset": "scifact", "metric": "RR", "dev:RR": 0.5, "test:accuracy": None}
        rr = [[row("none", s, None, **ranks, **{"test:RR": 0.5 + s / 100}) for s in (1, 2)]]
        rr += [[row("mdg", s, None, **ranks, **{"test:RR": 0.6 + s / 50}) for s in (1, 2)]]
        nli, ranking = compared(*arm("none", UNGUIDED), *arm("mdg", MDG), *rr[0], *rr[1])
        assert (nli.metric, ranking.metric) == ("accuracy", "RR")
        assert ranking.contrast is not None
        assert ranking.contrast.difference == pytest.approx(0.115)

    def test_selecting_cells_are_not_reported(self) -> None:
        picks = [row("mdg", 90, None, role="select"), row("none", 90, None, role="select")]
        reported = [*arm("none", UNGUIDED, role="report", learning_rate=4e-5), *arm("mdg", MDG, role="report")]
        found = only(compared(*picks, *reported))
        assert found.contrast == compare_seeds(dict(enumerate(UNGUIDED, 1)), dict(enumerate(MDG, 1)))
        assert found.unguided is not None
        assert (found.unguided.learning_rate, found.guided.learning_rate) == (4e-5, 2e-5)

    def test_an_unguided_cell_serves_every_layer_and_every_arithmetic(self) -> None:
        layers = [arm("mdg", MDG, layers=str(layer)) for layer in (0, 1)]
        released = arm("mdg", PDG, guide_mode="released")
        rows = compared(*arm("none", UNGUIDED), *layers[0], *layers[1], *released)
        assert [(each.setting.layers, each.setting.guide_mode) for each in rows] == [
            ("0", "paper"),
            ("1", "paper"),
            ("all", "released"),
        ]
        assert all(each.contrast and each.contrast.n == 5 for each in rows)

    def test_partners_have_the_same_size_axes_and_learning_rate(self) -> None:
        cells: list[Row] = []
        for size in (0.2, 1.0):
            for rate in (1e-5, 3e-5):
                place = {"size": size, "learning_rate": rate, "set:learning_rate": rate, "set:epochs": 2}
                cells += arm("none", [value + size / 10 + 100 * rate for value in UNGUIDED], **place)
                cells += arm("mdg", [value + size / 10 + 100 * rate for value in MDG], **place)
        rows = compared(*cells)
        assert [each.contrast.difference for each in rows if each.contrast] == pytest.approx([0.02] * 4)
        assert rows[0].setting.options == (("learning_rate", "1e-05"), ("epochs", "2"))

    def test_an_axis_that_the_unguided_cells_leave_empty_is_theirs_all_the_same(self) -> None:
        unguided = arm("none", UNGUIDED, **{"set:guide_heads": None})
        rows = compared(*unguided, *arm("mdg", MDG, **{"set:guide_heads": "0"}))
        assert only(rows).contrast is not None

    def test_several_weights_that_are_reported_are_a_row_each(self) -> None:
        rows = compared(*arm("none", UNGUIDED), *arm("mdg", MDG), *arm("mdg", PDG, mdg=0.1))
        assert [each.guided.weights["mdg"] for each in rows] == [0.01, 0.1]

    def test_two_possible_partners_are_refused(self) -> None:
        with pytest.raises(DataError, match="same seed"):
            compared(*arm("none", UNGUIDED), *arm("none", MDG), *arm("mdg", MDG))

    def test_without_an_unguided_cell_there_is_nothing_to_say(self) -> None:
        found = only(compared(*arm("mdg", MDG)))
        assert (found.unguided, found.contrast, found.holm_p) == (None, None, None)
        assert "no unguided cells" in found.notes[0]
        assert compared(*arm("none", UNGUIDED)) == []


class TestLostSeeds:
    def test_a_failed_seed_is_counted_and_its_partner_too(self) -> None:
        found = only(compared(*arm("none", UNGUIDED), *arm("mdg", MDG[:4]), failed("mdg", 5)))
        assert found.contrast is not None
        assert (found.contrast.n, found.contrast.unpaired) == (4, 1)
        assert (found.guided.failed, found.guided.diverged) == ((5,), (5,))
        assert found.converged is None  # the seed has no metric to leave out
        said = " ".join(found.notes)
        for text in (
            "4 seeds: fewer than 5",
            "1 seed without a partner",
            "mdg, failed: seed 5.",
            "mdg, diverged: seed 5.",
        ):
            assert text in said

    def test_a_seed_that_collapsed_takes_part_and_is_said_with_the_training_size(self) -> None:
        """Leaving it out would turn a loss of 5 points into a gain of 2."""
        bad = row("mdg", 6, 0.33, collapsed=1, size=300)
        none, mdg = (arm(*each, size=300) for each in (("none", [*UNGUIDED, 0.70]), ("mdg", MDG)))
        found = only(compared(*none, *mdg, bad))
        assert found.contrast is not None
        assert found.converged is not None
        assert found.contrast.n == 6
        assert found.contrast.difference == pytest.approx((5 * 0.02 - 0.37) / 6)
        assert (found.converged.n, found.converged.difference) == (5, pytest.approx(0.02))
        assert found.notes == ("minilm on mnli, size 300, mdg, collapsed to one class: seed 6.",)

    def test_earlier_results_call_what_collapsed_diverged(self) -> None:
        rows = [{**each, "diverged": each["collapsed"]} for each in (*arm("none", UNGUIDED), *arm("mdg", MDG))]
        for each in (*rows, gone := failed("mdg", 6)):
            del each["collapsed"]
        rows[-1]["diverged"] = 1
        found = only(compared(*rows, gone))
        assert (found.guided.collapsed, found.guided.diverged) == ((5,), (6,))

    def test_a_collapsed_baseline_is_said_too_and_once_for_all_layers(self) -> None:
        bad = row("none", 5, 0.64, collapsed=1)
        rows = compared(*arm("none", UNGUIDED[:4]), bad, *arm("mdg", MDG, layers="0"), *arm("mdg", MDG, layers="1"))
        assert {note for each in rows for note in each.notes} == {
            "minilm on mnli, size 100 %, unguided, collapsed to one class: seed 5."
        }
        found = only(compared(*arm("none", UNGUIDED[:4]), bad, *arm("mdg", MDG)))
        assert found.converged is not None
        assert found.converged.n == 4

    def test_where_every_seed_failed_the_row_stays(self) -> None:
        found = only(compared(*arm("none", UNGUIDED), *(failed("both", seed) for seed in (1, 2))))
        assert (found.variant, found.contrast, found.converged) == ("both", None, None)
        assert found.guided.failed == (1, 2)
        assert (found.guided.summary, found.guided.best) == (None, None)

    def test_cells_that_have_not_run_are_said(self) -> None:
        waiting = failed("mdg", 5, state="pending", diverged=0)
        found = only(compared(*arm("none", UNGUIDED), *arm("mdg", MDG[:4]), waiting))
        assert found.guided.pending == (5,)
        assert "minilm on mnli, size 100 %, mdg, not run yet: seed 5." in found.notes

    def test_survivors_of_a_divergence_earn_no_star(self) -> None:
        gone = [failed("mdg", seed, diverged=1) for seed in (6, 7)]
        found = only(compared(*arm("none", [*UNGUIDED, 0.6, 0.6]), *arm("mdg", MDG), *gone))
        assert (found.diverged, found.stars) == ((6, 7), "")
        assert found.holm_p is not None
        assert found.holm_p < 0.01
        assert any("survivors" in note for note in found.notes)

    def test_data_without_a_test_split_are_described_and_not_compared(self) -> None:
        rows = [*arm("none", UNGUIDED), *arm("mdg", MDG)]
        for each in rows:
            each["dev:accuracy"], each["test:accuracy"] = each["test:accuracy"], None
        found = only(compared(*rows))
        assert (found.contrast, found.stars, found.guided.summary is None) == (None, "", False)
        assert any("no test split" in note for note in found.notes)

    def test_a_finished_cell_without_its_metric_is_an_error(self) -> None:
        with pytest.raises(DataError, match="lacks its metric"):
            compared(*arm("none", UNGUIDED), row("mdg", 1, None))


class TestFlat:
    def test_means_are_of_the_paired_seeds_and_best_stands_beside(self) -> None:
        rows = compared(*arm("none", [*UNGUIDED, 0.99]), *arm("mdg", MDG))
        [found] = flat(rows)
        assert found["guided_mean"] - found["unguided_mean"] == pytest.approx(found["difference"])
        assert (found["n"], found["unguided_best"], found["guided_best"]) == (5, 0.99, 0.66)
        assert (found["unpaired"], found["stars"], found["variant"]) == (1, "**", "mdg")

    def test_a_row_without_a_contrast_has_the_same_columns(self) -> None:
        whole, none = flat(compared(*arm("none", UNGUIDED), *arm("mdg", MDG), failed("pdg", 1)))
        assert list(whole) == list(none)
        assert (none["n"], none["difference"], none["low"], none["holm_p"], none["guided_failed"]) == (
            *(0, None, None, None),
            1,
        )


class TestSavedResults:
    def test_a_file_says_what_the_table_said(self, tmp_path: Path) -> None:
        cells = [
            *arm("none", UNGUIDED, size=1500),
            *arm("mdg", MDG, size=1500, layers="3"),
            failed("mdg", 6, size=1500, layers="3"),
        ]
        cells += [*arm("none", UNGUIDED, size=0.5), *arm("mdg", PDG, size=0.5, layers="3")]
        pd.DataFrame(cells).to_csv(tmp_path / "results.csv", index=False)
        again = family(read_results(tmp_path / "results.csv"))
        assert again == compared(*cells)
        assert family(pd.read_csv(tmp_path / "results.csv")) == again
        assert [(each.setting.size, each.setting.layers) for each in again] == [("1500", "3"), ("0.5", "3")]

    def test_what_is_no_results_file_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="not the results of a sweep"):
            read_results(tmp_path / "results.csv")
        with pytest.raises(DataError, match="no column model"):
            family(pd.DataFrame({"seed": [1]}))
        with pytest.raises(DataError, match="no state of a cell"):
            compared(row("none", 1, 0.5, state="done"))
        with pytest.raises(DataError, match="no number"):
            compared(row("none", 1, 0.5, mdg="strong"))
        with pytest.raises(DataError, match="two primary metrics"):
            compared(row("none", 1, 0.5), row("none", 2, 0.5, metric="f1_macro"))

    def test_a_sweep_in_which_nothing_finished_has_no_metric_yet(self) -> None:
        table = pd.DataFrame([failed("none", 1), failed("mdg", 1)]).drop(columns=["metric", "dev:accuracy"])
        assert only(family(table)).contrast is None
