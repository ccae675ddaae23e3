"""Shipped histograms of pair lengths, and drawing from them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from agcli.errors import UsageError
from agcli.timing.request import TRAINING_PAIRS
from agcli.timing.shapes import Shape, shape

BOTH = sorted(TRAINING_PAIRS)


def counted(name: str) -> np.ndarray:
    """Every counted length, sorted."""
    counts = shape(name).counts
    return np.repeat(list(counts), list(counts.values()))


@pytest.mark.parametrize("name", BOTH)
def test_a_shape_is_a_sound_histogram(name: str) -> None:
    found = shape(name)
    assert found.examples == TRAINING_PAIRS[name]
    assert list(found.counts) == sorted(found.counts)
    assert min(found.counts.values()) > 0
    assert min(found.counts) >= 5  # three special tokens, and a token of each text
    assert max(found.counts) <= 512


def test_an_epoch_is_the_training_split() -> None:
    assert TRAINING_PAIRS == {"multinli": 392_702, "mednli": 11_232}


def test_the_source_says_what_was_counted_and_what_was_modelled() -> None:
    multinli, mednli = shape("multinli").source, shape("mednli").source
    assert multinli.startswith("Counted: 19,999 pairs")
    assert sum(shape("multinli").counts.values()) == 19_999
    assert "one damaged row" in multinli
    assert mednli.startswith("Modelled, not counted")
    assert "not checked" in mednli
    assert "#" not in multinli + mednli


def test_multinli_has_the_mean_that_was_counted() -> None:
    assert counted("multinli").mean() == pytest.approx(40.23, abs=0.01)


def test_mednli_is_the_model_that_its_source_describes() -> None:
    pieces_per_word, special, pairs = 1.31, 3, TRAINING_PAIRS["mednli"]

    def log_normal(mean_words: float, longest_words: int, texts: int) -> np.ndarray:
        """Share of texts with 1, 2, ... pieces, where the longest of `texts` is at its quantile."""
        mean, longest = mean_words * pieces_per_word, round(longest_words * pieces_per_word)
        z = norm.ppf(1 - 1 / texts)
        sigma = z - math.sqrt(z**2 - 2 * math.log(longest_words / mean_words))
        edges = np.log(np.arange(longest + 1) + 0.5)
        share = np.diff(norm.cdf((edges - math.log(mean)) / sigma + sigma / 2))
        return share / share.sum()

    pair = np.convolve(log_normal(20.0, 202, 4_683), log_normal(5.8, 20, 14_049))
    counts = np.diff(np.rint(pairs * np.cumsum(pair)), prepend=0)
    expected = {2 + special + place: int(count) for place, count in enumerate(counts) if count}
    assert shape("mednli").counts == expected
    assert counted("mednli").mean() == pytest.approx(pieces_per_word * (20.0 + 5.8) + special, abs=0.1)


@pytest.mark.parametrize("name", BOTH)
class TestDrawing:
    def test_one_seed_gives_the_same_lengths_and_another_gives_others(self, name: str) -> None:
        first = shape(name).lengths(200, 3)
        assert first.dtype == np.int64
        assert (first == shape(name).lengths(200, 3)).all()
        assert (first != shape(name).lengths(200, 4)).any()

    def test_a_draw_of_all_is_the_histogram_itself(self, name: str) -> None:
        everything = counted(name)
        drawn = shape(name).lengths(len(everything), 1)
        assert (np.sort(drawn) == everything).all()
        assert (drawn != everything).any()

    def test_small_draws_keep_mean_and_square_without_bias(self, name: str) -> None:
        """Attention costs by the square: a draw that cut the long tail would make steps look cheap."""
        draws = np.array([shape(name).lengths(64, seed) for seed in range(400)])
        everything = counted(name)
        assert draws.mean() == pytest.approx(everything.mean(), rel=0.004)
        assert (draws**2).mean() == pytest.approx((everything**2).mean(), rel=0.02)
        independent = everything.std() / 8
        assert draws.mean(axis=1).std() < 0.3 * independent

    def test_lengths_come_in_no_order(self, name: str) -> None:
        drawn = shape(name).lengths(4000, 0)
        halves = drawn[:2000].mean(), drawn[2000:].mean()
        assert halves[0] == pytest.approx(halves[1], rel=0.1)
        assert abs(np.corrcoef(drawn[1:], drawn[:-1])[0, 1]) < 0.08


@given(
    counts=st.dictionaries(st.integers(1, 600), st.integers(1, 40), min_size=1, max_size=20),
    size=st.integers(0, 300),
    seed=st.integers(0, 2**32),
)
def test_only_lengths_that_were_counted_come_in_their_shares(counts: dict[int, int], size: int, seed: int) -> None:
    counts = dict(sorted(counts.items()))
    drawn = Shape(1, counts, "made up").lengths(size, seed)
    assert len(drawn) == size
    assert set(drawn.tolist()) <= set(counts)
    total = sum(counts.values())
    for length, pairs in counts.items():  # a run of slices: its two ends may fall either way
        assert abs((drawn == length).sum() - size * pairs / total) < 2


def test_more_than_were_counted_can_be_drawn() -> None:
    assert len(shape("mednli").lengths(50_000, 0)) == 50_000


def test_an_unknown_shape_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"Unknown shape 'multinly'. Did you mean 'multinli'\? Allowed: mednli, mult"):
        shape("multinly")


def test_a_path_is_no_shape() -> None:
    with pytest.raises(UsageError):
        shape("../shapes/mednli")
