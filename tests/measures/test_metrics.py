"""Metrics against hand-computed values and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics as sk

from agcli.errors import DataError
from agcli.measures.bootstrap import metric_estimates
from agcli.measures.classification import (
    METRICS,
    Predictions,
    calibration_bin,
    classification_metrics,
    confusion,
    example_log_loss,
    example_sums,
    majority_baseline,
    metric_columns,
)

LABELS = ("entailment", "neutral", "contradiction", "unused")


def random_predictions(n: int = 200, seed: int = 0) -> Predictions:
    """Random predictions over four labels, of which the last is neither predicted nor gold and one gold is rare."""
    rng = np.random.default_rng(seed)
    gold = rng.choice(3, size=n, p=[0.55, 0.4, 0.05])
    logits = rng.normal(size=(n, 4)) + 1.2 * np.eye(4)[gold]
    logits[:, 3] = -9.0
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return Predictions(tuple(f"x{i}" for i in range(n)), LABELS, gold, probabilities)


def tiny(gold: list[int], probabilities: list[list[float]]) -> Predictions:
    """Predictions of two labels."""
    ids = tuple(map(str, range(len(gold))))
    return Predictions(ids, ("no", "yes"), np.array(gold), np.array(probabilities))


@pytest.mark.parametrize("seed", range(3))
def test_the_metrics_agree_with_scikit_learn_with_a_class_never_predicted(seed: int) -> None:
    predictions = random_predictions(seed=seed)
    gold, predicted = predictions.gold, predictions.predicted
    assert 3 not in predicted
    found = classification_metrics(predictions)
    options = {"average": "macro", "labels": range(4), "zero_division": 0}
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(gold, predicted))
    assert found["precision_macro"] == pytest.approx(sk.precision_score(gold, predicted, **options))
    assert found["recall_macro"] == pytest.approx(sk.recall_score(gold, predicted, **options))
    assert found["f1_macro"] == pytest.approx(sk.f1_score(gold, predicted, **options))
    assert found["log_loss"] == pytest.approx(sk.log_loss(gold, predictions.probabilities, labels=range(4)))
    assert found["n"] == 200
    assert set(found) == {*METRICS, "n"}


def test_a_label_that_never_occurs_counts_zero_in_the_macro_average() -> None:
    predictions = Predictions(("a", "b"), ("x", "y", "z"), np.array([0, 1]), np.eye(3)[[0, 1]])
    assert classification_metrics(predictions)["f1_macro"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("seed", range(3))
def test_summed_examples_give_the_same_metrics(seed: int) -> None:
    predictions = random_predictions(seed=seed)
    summed = metric_columns(example_sums(predictions).sum(axis=0), 4)
    expected = classification_metrics(predictions)
    assert dict(zip(METRICS, summed.tolist(), strict=False)) == pytest.approx({m: expected[m] for m in METRICS})
    by_label = sk.precision_recall_fscore_support(
        predictions.gold, predictions.predicted, labels=range(4), zero_division=0
    )
    assert summed[len(METRICS) :].tolist() == pytest.approx(np.concatenate(by_label[:3]).tolist())


def ece(confidence: list[float], correct: list[bool]) -> float:
    """Of answers with these probabilities; a third label makes room for those below 0.5."""
    chosen, right = np.array(confidence), np.array(correct)
    probabilities = np.stack([chosen, (1 - chosen) / 2, (1 - chosen) / 2], axis=1)
    ids = tuple(map(str, range(len(chosen))))
    return classification_metrics(Predictions(ids, ("a", "b", "c"), np.where(right, 0, 1), probabilities))["ece"]


def test_ece_by_hand() -> None:
    # Bins of width 1/15: 0.61 and 0.65 share (0.600, 0.667], 0.95 and 0.99 share (0.933, 1].
    # |2 right - 1.26| + |1 right - 1.94| = 0.74 + 0.94, over four examples.
    assert ece([0.61, 0.65, 0.95, 0.99], [True, True, True, False]) == pytest.approx((0.74 + 0.94) / 4)


def test_ece_of_certain_answers() -> None:
    certain = [1.0] * 4
    assert ece(certain, [True] * 4) == 0
    assert ece(certain, [False] * 4) == 1
    assert ece(certain, [True, False, False, False]) == pytest.approx(0.75)


def test_gaps_of_either_sign_cancel_within_a_bin_but_not_across_bins() -> None:
    right = [True, False]
    assert ece([0.5, 0.5], right) == pytest.approx(0)
    assert ece([0.45, 0.55], right) == pytest.approx(0.55)


def test_a_bin_holds_its_upper_edge() -> None:
    edges = np.array([0.0, 0.2, 0.2000001, 1.0])
    assert calibration_bin(edges).tolist() == [0, 2, 3, 14]
    assert calibration_bin(np.array([1.0000001])).tolist() == [14]


def test_log_loss_by_hand_and_of_an_impossible_answer() -> None:
    predictions = tiny([1, 0], [[0.75, 0.25], [0.0, 1.0]])
    assert example_log_loss(predictions).tolist() == pytest.approx([np.log(4), -np.log(2.0**-52)])


def test_the_first_label_wins_a_tie() -> None:
    assert tiny([0], [[0.5, 0.5]]).predicted.tolist() == [0]


def test_the_confusion_matrix_has_gold_rows() -> None:
    predictions = tiny([0, 0, 1], [[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]])
    assert confusion(predictions).tolist() == [[1, 1], [0, 1]]


def test_per_class_by_hand() -> None:
    _, (no, yes) = metric_estimates(tiny([0, 0, 1], [[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]]), resamples=100)
    assert (no.label, no.precision.value, no.recall.value, no.support) == ("no", 1.0, 0.5, 2)
    assert (yes.label, yes.precision.value, yes.recall.value, yes.support) == ("yes", 0.5, 1.0, 1)
    assert (no.f1.value, yes.f1.value) == pytest.approx((2 / 3, 2 / 3))


def test_the_majority_baseline_takes_the_class_of_the_training_split() -> None:
    # The judged split has more 0 than 1; the training split decides, and says 1.
    baseline = majority_baseline(np.array([1, 1, 0]), np.array([0, 0, 0, 1]), ("no", "yes"))
    assert baseline == pytest.approx(
        {
            "label": "yes",
            "accuracy": 0.25,
            "precision_macro": 0.125,
            "recall_macro": 0.5,
            "f1_macro": 0.2,
            "n": 4,
        }
    )


def test_the_majority_baseline_takes_the_first_label_on_ties() -> None:
    assert majority_baseline(np.array([1, 0]), np.array([1]), ("no", "yes"))["label"] == "no"


@pytest.mark.parametrize(
    ("gold", "probabilities", "problem"),
    [
        ([], np.zeros((0, 2)), "no example"),
        ([0], np.array([[1.0, 0.0], [0.0, 1.0]]), "fit together"),
        ([0], np.array([[0.2, 0.3, 0.5]]), "fit together"),
        ([2], np.array([[0.5, 0.5]]), "outside 0..1"),
        ([-1], np.array([[0.5, 0.5]]), "outside 0..1"),
        ([0], np.array([[np.nan, 0.5]]), "not a number between"),
        ([0], np.array([[1.5, -0.5]]), "not a number between"),
    ],
)
def test_predictions_that_cannot_be_are_refused(gold: list[int], probabilities: np.ndarray, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        Predictions(tuple(map(str, range(len(gold)))), ("no", "yes"), np.array(gold, dtype=int), probabilities)
