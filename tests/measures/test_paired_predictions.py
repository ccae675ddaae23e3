"""Intervals and tests against exact values, brute force and scipy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import binom, binomtest, permutation_test
from sklearn.metrics import f1_score, precision_score

from agcli.errors import DataError
from agcli.evaluate.inputs import aligned
from agcli.measures import bootstrap
from agcli.measures.bootstrap import Estimate, confusion_interval, metric_estimates
from agcli.measures.classification import METRICS, Predictions, classification_metrics, confusion
from agcli.measures.paired_tests import compare_predictions, permutations_text


def answered(gold: list[int] | np.ndarray, predicted: list[int] | np.ndarray, num_labels: int = 2) -> Predictions:
    """Predictions that give the answers `predicted`, with probability 0.9."""
    probabilities = np.full((len(gold), num_labels), 0.1 / (num_labels - 1))
    probabilities[np.arange(len(gold)), predicted] = 0.9
    labels = tuple(f"l{i}" for i in range(num_labels))
    return Predictions(tuple(map(str, range(len(gold)))), labels, np.asarray(gold), probabilities)


def noisy(n: int, accuracy: float, seed: int, num_labels: int = 3) -> Predictions:
    """Predictions right with the given chance on gold labels that depend on `n` only."""
    rng = np.random.default_rng(seed)
    gold = np.random.default_rng(n).integers(num_labels, size=n)
    wrong = (gold + rng.integers(1, num_labels, size=n)) % num_labels
    return answered(gold, np.where(rng.random(n) < accuracy, gold, wrong), num_labels)


def intervals(predictions: Predictions, **options: int) -> dict[str, Estimate]:
    metrics, _ = metric_estimates(predictions, **options)
    return metrics


class TestBootstrap:
    def test_the_accuracy_interval_is_the_exact_binomial_one(self) -> None:
        # Resampled accuracy is Binomial(n, p) / n; one step of 1/400 is left for Monte Carlo noise.
        gold = np.zeros(400, dtype=int)
        found = intervals(answered(gold, (np.arange(400) % 4 == 0).astype(int)), resamples=20_000)["accuracy"]
        assert found.low == pytest.approx(binom.ppf(0.025, 400, 0.75) / 400, abs=1.1 / 400)
        assert found.high == pytest.approx(binom.ppf(0.975, 400, 0.75) / 400, abs=1.1 / 400)

    def test_it_agrees_with_resampling_the_slow_way(self) -> None:
        predictions = noisy(80, 0.6, seed=3)
        rng = np.random.default_rng(11)
        drawn = []
        for _ in range(1000):
            rows = rng.integers(80, size=80)
            part = Predictions(
                predictions.ids, predictions.labels, predictions.gold[rows], predictions.probabilities[rows]
            )
            drawn.append(
                [
                    f1_score(part.gold, part.predicted, average="macro"),
                    precision_score(part.gold, part.predicted, labels=[1], average="macro", zero_division=0),
                ]
            )
        expected = np.quantile(drawn, (0.025, 0.975), axis=0)
        metrics, labels = metric_estimates(predictions, resamples=4000)
        macro, precision = metrics["f1_macro"], labels[1].precision
        assert [macro.low, macro.high] == pytest.approx(expected[:, 0], abs=0.02)
        assert [precision.low, precision.high] == pytest.approx(expected[:, 1], abs=0.03)

    @pytest.mark.parametrize("metric", ["accuracy", "f1_macro"])
    def test_it_covers_the_truth_about_95_times_in_100(self, metric: str) -> None:
        # Balanced labels and evenly spread errors: the true macro F1 is the true accuracy, 0.7.
        covered = []
        for seed in range(400):
            rng = np.random.default_rng(seed)
            gold = rng.integers(3, size=150)
            wrong = (gold + rng.integers(1, 3, size=150)) % 3
            sample = answered(gold, np.where(rng.random(150) < 0.7, gold, wrong), 3)
            interval = intervals(sample, resamples=300, seed=seed)[metric]
            covered.append(interval.low <= 0.7 <= interval.high)
        assert 0.91 <= np.mean(covered) <= 0.975

    @pytest.mark.parametrize("metric", METRICS)
    def test_every_interval_holds_its_estimate_and_has_a_width(self, metric: str) -> None:
        predictions = noisy(300, 0.7, seed=1)
        interval = intervals(predictions)[metric]
        assert interval.low < classification_metrics(predictions)[metric] < interval.high

    def test_the_ece_interval_of_a_calibrated_model_holds_the_estimate(self) -> None:
        # The plain percentile interval is [0.026, 0.078] here, above the estimate of 0.025.
        rng = np.random.default_rng(0)
        confidence = rng.uniform(0.5, 1, size=400)
        gold = (rng.random(400) < confidence).astype(int)
        ids = tuple(map(str, range(400)))
        calibrated = Predictions(ids, ("no", "yes"), gold, np.stack([1 - confidence, confidence], axis=1))
        interval = intervals(calibrated)["ece"]
        assert 0 <= interval.low < classification_metrics(calibrated)["ece"] < interval.high < 0.06

    def test_the_seed_decides(self) -> None:
        predictions = noisy(100, 0.7, seed=1)
        once = intervals(predictions, seed=4, resamples=200)
        assert intervals(predictions, seed=4, resamples=200) == once
        assert intervals(predictions, seed=5, resamples=200) != once

    def test_blocks_do_not_change_what_is_drawn(self, monkeypatch: pytest.MonkeyPatch) -> None:
        predictions = noisy(100, 0.7, seed=1)
        whole = intervals(predictions, resamples=201)
        monkeypatch.setattr(bootstrap, "BLOCK_CELLS", 700)
        parts = intervals(predictions, resamples=201)
        assert [parts[m].high for m in METRICS] == pytest.approx([whole[m].high for m in METRICS])

    def test_a_confusion_count_has_the_interval_of_its_binomial(self) -> None:
        matrix = confusion(noisy(500, 0.7, seed=2))
        low, high = confusion_interval(matrix)
        drawn = np.random.default_rng(0).multinomial(500, matrix.ravel() / 500, size=20_000)
        assert low.ravel() == pytest.approx(np.quantile(drawn, 0.025, axis=0), abs=1)
        assert high.ravel() == pytest.approx(np.quantile(drawn, 0.975, axis=0), abs=1)
        assert (low <= matrix).all()
        assert (matrix <= high).all()


class TestComparison:
    def test_mcnemar_by_the_book(self) -> None:
        # 12 only the first, 3 only the second, 5 both, 4 neither: 2 * P(X <= 3 | 15, 1/2) = 0.03515625.
        gold = [0] * 24
        first = answered(gold, [0] * 12 + [1] * 3 + [0] * 5 + [1] * 4)
        second = answered(gold, [1] * 12 + [0] * 3 + [0] * 5 + [1] * 4)
        found = compare_predictions(first, second)
        assert (found.only_first_right, found.only_second_right) == (12, 3)
        assert found.mcnemar_p == pytest.approx(0.03515625)
        assert found.mcnemar_p == pytest.approx(binomtest(3, 15, 0.5).pvalue)
        assert found.differences["accuracy"].value == pytest.approx(-9 / 24)

    @pytest.mark.parametrize("seed", range(3))
    def test_the_permutation_test_is_exact_on_few_examples(self, seed: int) -> None:
        """Against all 2^8 ways to swap, with scikit-learn's F1."""
        rng = np.random.default_rng(seed)
        gold, one, two = rng.integers(3, size=(3, 8))
        labels = {"average": "macro", "labels": range(3), "zero_division": 0}
        differences = []
        for swap in itertools.product([False, True], repeat=8):
            a, b = np.where(swap, two, one), np.where(swap, one, two)
            f1 = f1_score(gold, b, **labels) - f1_score(gold, a, **labels)
            differences.append([(b == gold).mean() - (a == gold).mean(), f1])
        sizes = np.abs(differences)
        expected = (sizes >= sizes[0] - 1e-12).mean(axis=0)
        found = compare_predictions(answered(gold, one, 3), answered(gold, two, 3), resamples=10).permutation_p
        assert [found["accuracy"], found["f1_macro"]] == pytest.approx(expected)

    def test_on_accuracy_the_permutation_test_is_mcnemar(self) -> None:
        first, second = noisy(400, 0.6, seed=1), noisy(400, 0.66, seed=2)
        found = compare_predictions(first, second, permutations=40_000)
        assert 0.005 < found.mcnemar_p < 0.5
        assert found.permutation_p["accuracy"] == pytest.approx(found.mcnemar_p, abs=0.01)
        assert not found.exact

    def test_drawn_permutations_agree_with_scipy(self) -> None:
        first, second = noisy(120, 0.6, seed=1), noisy(120, 0.7, seed=2)
        gold = first.gold

        def difference(a: np.ndarray, b: np.ndarray) -> float:
            return float(f1_score(gold, b, average="macro") - f1_score(gold, a, average="macro"))

        answers = (first.predicted, second.predicted)
        expected = permutation_test(
            answers, difference, permutation_type="samples", n_resamples=1000, rng=np.random.default_rng(0)
        )
        found = compare_predictions(first, second, permutations=20_000).permutation_p["f1_macro"]
        assert found == pytest.approx(expected.pvalue, abs=0.04)

    def test_p_values_under_no_difference_are_not_too_small(self) -> None:
        p_values = [
            compare_predictions(
                noisy(90, 0.6, seed=2 * seed), noisy(90, 0.6, seed=2 * seed + 1), resamples=1, permutations=500
            ).permutation_p["f1_macro"]
            for seed in range(200)
        ]
        assert 0.01 <= np.mean(np.array(p_values) <= 0.05) <= 0.1

    def test_the_interval_uses_the_pairing(self) -> None:
        """Two models that differ in 5 of 400 answers: the paired interval is far narrower than either model's."""
        first = noisy(400, 0.7, seed=1)
        changed = first.predicted.copy()
        rows = np.flatnonzero(~first.correct)[:5]
        changed[rows] = first.gold[rows]
        difference = compare_predictions(first, answered(first.gold, changed, 3)).differences["accuracy"]
        assert difference.value == pytest.approx(5 / 400)
        assert binom.ppf(0.025, 400, 5 / 400) / 400 == pytest.approx(difference.low, abs=1.1 / 400)
        assert binom.ppf(0.975, 400, 5 / 400) / 400 == pytest.approx(difference.high, abs=1.1 / 400)

    def test_a_model_does_not_differ_from_itself(self) -> None:
        found = compare_predictions(noisy(50, 0.7, seed=1), noisy(50, 0.7, seed=1))
        assert found.mcnemar_p == 1
        assert found.permutation_p == {"accuracy": 1.0, "f1_macro": 1.0}
        assert found.exact
        assert all(d.value == d.low == d.high == 0 for d in found.differences.values())

    def test_swapping_the_models_changes_only_signs(self) -> None:
        first, second = noisy(9, 0.5, seed=1), noisy(9, 0.8, seed=2)
        forth, back = compare_predictions(first, second), compare_predictions(second, first)
        assert forth.permutation_p == pytest.approx(back.permutation_p)
        assert forth.differences["f1_macro"].value == pytest.approx(-back.differences["f1_macro"].value)
        assert forth.differences["f1_macro"].low == pytest.approx(-back.differences["f1_macro"].high)


class TestAligned:
    def test_rows_and_labels_take_the_order_of_the_reference(self) -> None:
        reference = noisy(40, 0.6, seed=1)
        rows, columns = np.random.default_rng(0).permutation(40), [2, 0, 1]
        shuffled = Predictions(
            tuple(reference.ids[row] for row in rows),
            tuple(reference.labels[column] for column in columns),
            np.array([columns.index(label) for label in reference.gold[rows]]),
            reference.probabilities[rows][:, columns],
        )
        back = aligned(reference, shuffled)
        assert (back.ids, back.labels) == (reference.ids, reference.labels)
        assert (back.gold == reference.gold).all()
        assert (back.probabilities == reference.probabilities).all()
        assert compare_predictions(reference, back).only_first_right == 0

    @pytest.mark.parametrize(
        ("ids", "labels", "gold", "problem"),
        [
            (("a", "c"), ("no", "yes"), [0, 1], "2 ids in only one of them"),
            (("a", "a"), ("no", "yes"), [0, 1], "twice"),
            (("a", "b"), ("no", "maybe"), [0, 1], "different labels"),
            (("a", "b"), ("no", "yes"), [0, 0], "another gold label of 1 example"),
        ],
    )
    def test_other_examples_are_refused(
        self, ids: tuple[str, ...], labels: tuple[str, ...], gold: list[int], problem: str
    ) -> None:
        reference = Predictions(("a", "b"), ("no", "yes"), np.array([0, 1]), np.eye(2))
        with pytest.raises(DataError, match=problem):
            aligned(reference, Predictions(ids, labels, np.array(gold), np.eye(2)))


@pytest.mark.parametrize(
    ("exact", "text"),
    [
        ([True, True], "all permutations counted, so that p is exact"),
        ([False], "10,000 permutations drawn with seed 3"),
        ([True, False], "10,000 permutations drawn with seed 3, or all counted where they are no more"),
    ],
)
def test_how_many_permutations_is_said(exact: list[bool], text: str) -> None:
    assert permutations_text(exact, 3) == text
