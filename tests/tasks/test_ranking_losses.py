"""The losses of a ranker, against literal loops over their formulas."""

from __future__ import annotations

import math

import pytest
import torch

from agcli.data.batching import epoch_order
from agcli.tasks.ranking import ranking_losses, relevance_scores


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_bce_is_the_papers_equation_2() -> None:
    logits, labels = torch.tensor([[1.5], [-0.3], [4.0]]), torch.tensor([1, 0, 0])
    expected = [-math.log(sigmoid(1.5)), -math.log(1 - sigmoid(-0.3)), -math.log(1 - sigmoid(4.0))]
    assert ranking_losses("bce", logits, labels).tolist() == pytest.approx(expected, rel=1e-5)


def test_softmax_is_bce_of_the_difference_of_its_outputs() -> None:
    logits, labels = torch.tensor([[0.2, 1.7], [-1.0, 0.5]]), torch.tensor([1, 0])
    difference = (logits[:, 1] - logits[:, 0])[:, None]
    expected = ranking_losses("bce", difference, labels)
    assert torch.allclose(ranking_losses("softmax", logits, labels), expected, atol=1e-6)


def test_listwise_sets_each_positive_against_its_own_negatives() -> None:
    scores = [[2.0, 0.5, -1.0], [0.1, 0.3, 3.0]]
    logits, labels = torch.tensor(scores).reshape(-1, 1), torch.tensor([1, 0, 0, 1, 0, 0])
    expected = [math.log(sum(math.exp(score) for score in row)) - row[0] for row in scores]
    assert ranking_losses("listwise", logits, labels, list_size=3).tolist() == pytest.approx(expected, rel=1e-5)


def test_bfloat16_logits_are_judged_in_float32() -> None:
    logits, labels = torch.tensor([[8.0], [-8.0]], dtype=torch.bfloat16), torch.tensor([0, 1])
    assert ranking_losses("bce", logits, labels).dtype == torch.float32


def test_the_score_is_the_logit_or_the_log_odds() -> None:
    assert relevance_scores(torch.tensor([[0.5], [-2.0]])).tolist() == [0.5, -2.0]
    assert relevance_scores(torch.tensor([[0.5, 1.5], [2.0, -2.0]])).tolist() == [1.0, -4.0]


def test_a_list_stays_together_and_every_list_occurs_once() -> None:
    lengths = torch.randint(5, 90, (60,), generator=torch.Generator().manual_seed(1)).numpy()
    batches = epoch_order(lengths, 16, 1, 0, list_size=6)
    assert [len(rows) for rows in batches].count(12) == 5  # two lists fit into 16
    lists = [rows.reshape(-1, 6) for rows in batches]
    assert sorted(int(each[0]) for rows in lists for each in rows) == list(range(0, 60, 6))
    assert all((each == each[0] + range(6)).all() for rows in lists for each in rows)


def test_a_list_longer_than_the_batch_is_a_batch() -> None:
    lengths = torch.arange(1, 31).numpy()
    assert [len(rows) for rows in epoch_order(lengths, 4, 1, 0, list_size=6)] == [6] * 5
