"""Batches: every pair once, short padding, an order that depends on seed and epoch alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from agcli.data.batching import (
    BUCKET_BATCHES,
    Examples,
    Rows,
    collate,
    epoch_order,
    length_order,
    nested_subset,
    tokenise,
)

SKEWED = np.random.default_rng(0).gamma(2.0, 15.0, size=5000).astype(np.int64) + 3


def padding_share(lengths: Rows, batches: list[Rows]) -> float:
    slots = sum(len(rows) * lengths[rows].max() for rows in batches)
    return float(1 - lengths.sum() / slots)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(3, 40), min_size=1, max_size=300), st.integers(1, 20), st.integers(0, 9))
def test_an_epoch_has_every_row_once_and_one_smaller_batch_at_most(
    lengths: list[int], batch_size: int, epoch: int
) -> None:
    batches = epoch_order(np.array(lengths), batch_size, 1, epoch)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert len(batches) == -(-len(lengths) // batch_size)
    assert sorted(map(len, batches))[1:] == [batch_size] * (len(batches) - 1)


def test_the_order_is_a_function_of_seed_and_epoch() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return np.concatenate(epoch_order(SKEWED, 32, seed, epoch)).tolist()

    first = order(1, 0)
    np.random.default_rng().random()
    np.random.seed(7)
    assert order(1, 0) == first
    assert order(1, 1) != first
    assert order(2, 0) != first


def test_batches_hold_pairs_of_like_length_and_come_in_mixed_order() -> None:
    batches = epoch_order(SKEWED, 32, 1, 0)
    shuffled = np.random.default_rng(0).permutation(len(SKEWED))
    random = [shuffled[start : start + 32] for start in range(0, len(SKEWED), 32)]
    assert padding_share(SKEWED, batches) < 0.08 < 0.4 < padding_share(SKEWED, random)
    longest = np.array([SKEWED[rows].max() for rows in batches[:BUCKET_BATCHES]])
    assert 0.3 < np.mean(np.diff(longest) > 0) < 0.7  # neither rising nor falling


def test_evaluation_batches_go_from_long_to_short() -> None:
    batches = length_order(SKEWED, 64)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(SKEWED)))
    assert np.all(np.diff(SKEWED[np.concatenate(batches)]) <= 0)


@given(st.integers(1, 200), st.integers(0, 200), st.integers(0, 200), st.integers(0, 5))
def test_subsets_are_nested(available: int, one: int, other: int, seed: int) -> None:
    small, large = sorted([min(one, available), min(other, available)])
    smaller, larger = nested_subset(available, small, seed), nested_subset(available, large, seed)
    assert len(smaller) == small
    assert set(smaller.tolist()) <= set(larger.tolist()) <= set(range(available))
    assert np.all(np.diff(larger) > 0)  # in source order, each once


def test_the_subset_seed_chooses_the_subset() -> None:
    assert nested_subset(100, 20, 1).tolist() == nested_subset(100, 20, 1).tolist()
    assert nested_subset(100, 20, 1).tolist() != nested_subset(100, 20, 2).tolist()


@pytest.fixture
def examples(encoder: Path) -> Examples:
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    text_a = ["the child has pain", "fever", "the heart has no fever never fever"]
    return tokenise(tokenizer, ["x", "y", "z"], text_a, ["pain", "no fever", "dose"], [0, 2, 1], max_length=10)


def test_pairs_are_tokenised_as_the_tokenizer_does_it(examples: Examples, encoder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    expected = tokenizer("fever", "no fever")
    assert examples.encoded[1] == {name: expected[name] for name in ("input_ids", "token_type_ids")}
    assert examples.lengths.tolist() == [8, 6, 10]
    assert examples.truncated.tolist() == [False, False, True]


def test_a_batch_is_padded_on_the_right_to_its_longest(examples: Examples) -> None:
    batch = collate(examples, np.array([1, 0]))
    assert {name: tuple(tensor.shape) for name, tensor in batch.inputs.items()} == {
        "input_ids": (2, 8), "token_type_ids": (2, 8), "attention_mask": (2, 8),
    }  # fmt: skip
    assert batch.inputs["input_ids"][0].tolist() == examples.encoded[1]["input_ids"] + [0, 0]
    assert batch.mask.tolist() == [[True] * 6 + [False] * 2, [True] * 8]
    assert torch.equal(batch.labels, torch.tensor([2, 0]))
    assert len(batch) == 2


def test_taken_examples_keep_what_belongs_to_them(examples: Examples) -> None:
    taken = examples.take(np.array([2, 0]))
    assert taken.ids == ("z", "x")
    assert taken.encoded == (examples.encoded[2], examples.encoded[0])
    assert taken.labels.tolist() == [1, 0]
    assert taken.truncated.tolist() == [True, False]
