"""The CPU path's dropout mask, which is a hash of a row's key and a column's: as good as independent bits.

Every statistic below is standard normal for independent bits (or nearly, by its many terms), so 5 is the limit of
chance. The seeds are fixed: a test that passes once passes always.
"""

from itertools import combinations
from math import comb, sqrt

import pytest
import torch

from agcli.attention.cpu import blockwise_attention

BATCH, HEADS, LENGTH = 4, 4, 256
RATES = [0.1, 0.5]


def dropped(rate, seed=0, shape=(BATCH, HEADS, LENGTH), dtype=torch.float32):
    """What dropout makes of maps of ones. With keys of zeros each cell is 1 / length, and the identity shows them."""
    torch.manual_seed(seed)
    zeros = torch.zeros((*shape, 2), dtype=dtype)
    identity = torch.eye(shape[-1], dtype=dtype).expand(*shape, -1)
    lengths = [shape[-1]] * shape[0]
    return blockwise_attention(zeros, zeros, identity, lengths, scaling=1.0, dropout=rate)[0] * shape[-1]


def standard(rate, seed=0, shape=(BATCH, HEADS, LENGTH)):
    """The mask with mean 0 and variance 1."""
    return ((dropped(rate, seed, shape) != 0).double() - (1 - rate)) / sqrt(rate * (1 - rate))


def chance(products):
    """Mean of products of independent standard variables, in standard deviations."""
    return abs(products.mean().item()) * sqrt(products.numel())


def rectangles(mask):
    """All rectangles of a matrix at once: the sum of the products of their four corners, in standard deviations.

    Two columns j < l make `((Σ_i x_ij x_il)² - Σ_i x_ij² x_il²) / 2` over all pairs of rows. Cells that depend on
    `row ^ column` by a linear function, such as one bit of it, give the same sign in every rectangle.
    """
    rows, columns = mask.shape
    pairs = ((mask.T @ mask).square() - mask.square().T @ mask.square()).triu(1).sum() / 2
    return abs(pairs.item()) / sqrt(comb(rows, 2) * comb(columns, 2))


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_rate_and_scale(dtype, rate):
    cells = dropped(rate, dtype=dtype)
    assert cells.dtype == dtype
    kept = cells[cells != 0]
    assert torch.equal(kept, torch.full_like(kept, 1 / (1 - rate)))
    share = 1 - kept.numel() / cells.numel()
    assert abs(share - rate) < 5 * sqrt(rate * (1 - rate) / cells.numel())


def test_a_rate_near_0_drops_almost_nothing():
    """Below 1/65536 the limit on 15 bits is 2^15, which is one more than they hold."""
    assert (dropped(1e-5) != 0).all()


@pytest.mark.parametrize("rate", RATES)
def test_neighbours_are_independent(rate):
    """Samples, heads, rows, columns, and both diagonals; lag 2 is the next hash of a row, lag 1 its other half."""
    mask = standard(rate)
    for axis, lag in [(0, 1), (1, 1), *((axis, lag) for axis in (2, 3) for lag in (1, 2, 3, 4, 8, 16, 64, 128))]:
        size = mask.shape[axis] - lag
        assert chance(mask.narrow(axis, 0, size) * mask.narrow(axis, lag, size)) < 5, (axis, lag)
    assert chance(mask[..., 1:, 1:] * mask[..., :-1, :-1]) < 5
    assert chance(mask[..., 1:, :-1] * mask[..., :-1, 1:]) < 5
    below, above = torch.tril_indices(LENGTH, LENGTH, -1)
    assert chance(mask[..., below, above] * mask[..., above, below]) < 5


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("axis", range(4))
def test_sums_along_every_axis_scatter_as_those_of_independent_bits(rate, axis):
    """Takes in all pairs of cells of a line: were some alike, the variance of its sum would exceed its length."""
    mask = standard(rate)
    variances = mask.sum(axis).square() / mask.shape[axis]
    assert abs(variances.mean().item() - 1) < 5 * sqrt(2 / variances.numel())


@pytest.mark.parametrize("rate", RATES)
def test_rectangles_show_no_trace_of_the_exclusive_or(rate):
    mask = standard(rate)
    assert rectangles(mask[0, 0]) < 5
    assert rectangles(mask.flatten(0, 2)) < 5


@pytest.mark.parametrize("rate", RATES)
def test_the_rectangles_would_show_it(rate):
    """An exclusive or of keys that nothing mixes."""
    generator = torch.Generator().manual_seed(0)
    rows, columns = (torch.randint(2**15, (LENGTH,), generator=generator) for _ in range(2))
    kept = (rows[:, None] ^ columns) < (1 - rate) * 2**15
    assert rectangles((kept.double() - (1 - rate)) / sqrt(rate * (1 - rate))) > 50


@pytest.mark.parametrize("rate", RATES)
def test_two_columns_are_alike_in_no_pair(rate):
    """Over all rows of all maps, and two rows of a map over all columns: 6 deviations in 32,640 and more pairs."""
    mask = standard(rate)
    for lines in (mask.flatten(0, 2).T, mask[0].flatten(0, 1)):
        alike = (lines @ lines.T / sqrt(lines.shape[1])).fill_diagonal_(0)
        assert alike.abs().max() < 6.5


def test_seeds():
    first, second, third = (standard(0.3, seed) for seed in range(3))
    assert torch.equal(first, standard(0.3, 0))
    for one, other in combinations((first, second, third), 2):
        assert chance(one * other) < 5


def test_each_forward_draws_from_torchs_generator_and_without_dropout_none_does():
    query, key, value = (torch.ones(1, 2, 16, 4) for _ in range(3))
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, second = (blockwise_attention(query, key, value, [16], scaling=1.0, dropout=0.5)[0] for _ in range(2))
    assert not torch.equal(first, second)
    torch.set_rng_state(before)
    blockwise_attention(query, key, value, [16], scaling=1.0)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_mean_over_draws_is_the_clean_output():
    """20 seeds of 200 samples, which are all the same."""
    generator = torch.Generator().manual_seed(0)
    qkv = [torch.randn((1, 2, 6, 3), generator=generator, dtype=torch.float64).expand(200, -1, -1, -1) for _ in "qkv"]
    clean = blockwise_attention(*qkv, [6] * 200, scaling=1.0)[0][0]
    draws = []
    for seed in range(20):
        torch.manual_seed(seed)
        draws.append(blockwise_attention(*qkv, [6] * 200, scaling=1.0, dropout=0.3)[0])
    outputs = torch.cat(draws)
    deviations = (outputs.mean(0) - clean) / (outputs.std(0) / sqrt(len(outputs)))
    assert deviations.abs().max() < 5
    assert (outputs - clean).abs().max() > 0.1
