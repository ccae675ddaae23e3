"""Entropy guides and disagreement against loops, at their bounds, and where attention is 0."""

import math

import pytest
import torch
from row_cases import map_batch

from agcli import Disagreement, Entropy, EntropyBand
from agcli.attention import reference_attention
from agcli.guides.base import CapturedAttention
from agcli.guides.capture import Capture, Request
from agcli.guides.value import capture_of_maps


def on_maps(guide, batch, maps=None):
    return guide(capture_of_maps(guide, batch.maps if maps is None else maps, batch.tokens))


def real_maps(batch):
    """Maps (layers, heads, n, n) of the real tokens of each sample."""
    for maps, mask in zip(batch.maps, batch.mask, strict=True):
        yield maps[:, :, mask][..., mask]


def mean_entropies(batch):
    for maps in real_maps(batch):
        rows = [-sum(a * math.log(a) for a in row.tolist()) for row in maps.flatten(0, 2)]
        yield sum(rows) / len(rows)


def test_entropy_is_minus_the_mean_of_the_rows():
    batch = map_batch()
    expected = torch.tensor([-mean for mean in mean_entropies(batch)], dtype=torch.float64)
    torch.testing.assert_close(on_maps(Entropy(), batch), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("level", [0.0, 0.5, 0.8, 1.0])
def test_the_band_is_a_squared_distance_of_the_sample_from_a_share_of_the_greatest_entropy(level):
    batch = map_batch()
    expected = [
        (mean - level * math.log(n)) ** 2 for mean, n in zip(mean_entropies(batch), batch.mask.sum(-1), strict=True)
    ]
    found = on_maps(EntropyBand(level=level), batch)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)


def test_uniform_attention_has_the_greatest_entropy():
    batch = map_batch(ids=[[9] * 7])
    uniform = torch.full((1, 2, 4, 7, 7), 1 / 7, dtype=torch.float64)
    assert on_maps(Entropy(), batch, uniform).item() == pytest.approx(-math.log(7))
    assert on_maps(EntropyBand(level=1.0), batch, uniform).item() == pytest.approx(0.0, abs=1e-12)
    assert on_maps(EntropyBand(level=0.5), batch, uniform).item() == pytest.approx((math.log(7) / 2) ** 2)


def test_attention_of_exactly_zero_has_a_finite_gradient():
    """Padded keys, and real ones whose weight underflowed."""
    query = (100 * torch.randn((1, 2, 8, 4), generator=torch.Generator().manual_seed(0))).requires_grad_()
    mask = torch.arange(8)[None] < 6
    _, captured = reference_attention(query, query, query, mask, scaling=1.0, capture={"entropy": "all"})
    attention = CapturedAttention(mask, {"entropy": {0: captured["entropy"]}}, Capture((Request("entropy"),)))
    (Entropy()(attention) + EntropyBand()(attention)).sum().backward()
    assert query.grad.isfinite().all()


def test_disagreement_is_the_sum_over_pairs_of_heads():
    batch, expected = map_batch(), []
    for maps in real_maps(batch):
        n, layers = maps.shape[-1], []
        for heads in maps:
            layers.append(sum((g * h).sum().item() for g in heads for h in heads) / len(heads) ** 2 / n)
        expected.append(sum(layers) / len(layers))
    found = on_maps(Disagreement(), batch)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)


def test_disagreement_of_heads_at_different_positions_is_that_of_each_with_itself():
    """Two heads on one position each: 1/H where these differ, 1 where they are the same."""
    batch = map_batch(ids=[[9] * 5])
    apart, together = torch.zeros((2, 1, 1, 2, 5, 5), dtype=torch.float64)
    apart[..., 0, :, 1] = apart[..., 1, :, 2] = 1.0
    together[..., 1] = 1.0
    assert on_maps(Disagreement(), batch, apart).item() == pytest.approx(0.5)
    assert on_maps(Disagreement(), batch, together).item() == pytest.approx(1.0)
