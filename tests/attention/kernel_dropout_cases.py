"""Dropout in the Triton kernels."""

from __future__ import annotations

import pytest
import torch
from captures import attention_maps
from kernel_runs import (
    SCALING,
    TOLERANCE,
    assert_near,
    doubled,
    dropped_map,
    kernels,
    normal,
    on_a_gpu,
    ragged,
    run,
    tensors,
)


def test_dropout_drops_at_its_rate_and_independently():
    inputs = tensors(2, 3, 96, 48)
    kept = (dropped_map(inputs, None, 0, 0.3) != 0).double()
    assert abs(kept.mean().item() - 0.7) < 5 * (0.21 / kept.numel()) ** 0.5
    centred = kept - 0.7
    for dims, shift in ((-1, 1), (-1, 8), (-2, 1), (-2, 8), (-2, 16), (-1, 32), (1, 1), (0, 1)):
        together = (centred * centred.roll(shift, dims)).mean().item() / 0.21
        assert abs(together) < 5 / kept.numel() ** 0.5, (dims, shift)
    other = (dropped_map(inputs, None, 1, 0.3) != 0).double()
    assert abs(((other - 0.7) * centred).mean().item()) / 0.21 < 5 / kept.numel() ** 0.5


def test_dropped_maps_are_scaled_and_their_mean_is_the_clean_one():
    inputs, mask = tensors(1, 1, 24, 16), ragged(24, 20)
    clean = attention_maps(*inputs[:2], mask, scaling=SCALING)[:, :, :20].detach()
    draws = torch.stack([dropped_map(inputs, mask, seed, 0.4)[:, :, :20] for seed in range(40)])
    kept = draws != 0
    assert torch.allclose(draws[kept], (clean / 0.6).expand_as(draws)[kept], rtol=1e-4)
    error = (draws.mean(0) - clean)[..., :20] / clean[..., :20]  # standard deviation sqrt(0.4 / 0.6 / 40) = 0.13
    assert abs(error.mean().item()) < 5 * 0.13 / error.numel() ** 0.5


def test_received_attention_is_the_clean_one_under_dropout():
    inputs, mask = tensors(1, 2, 70, 16), ragged(70, 60)
    clean, dropped = (kernels(*inputs, mask, scaling=SCALING, dropout=rate) for rate in (0.0, 0.5))
    assert torch.allclose(clean[1], dropped[1], rtol=1e-6)
    assert not torch.equal(clean[0], dropped[0])


DROPPED = [(length, 16, torch.float32) for length in (40, 70)] + [
    pytest.param(length, head_dim, torch.bfloat16, marks=on_a_gpu)
    for length in (17, 50, 100, 200, 300)
    for head_dim in (32, 64, 128)
]


@pytest.mark.parametrize(("length", "head_dim", "dtype"), DROPPED)
def test_gradients_under_dropout(length, head_dim, dtype):
    """Every kernel drops the same cells, whatever its tiles and whichever axis comes first in them."""
    inputs, mask = tensors(2, 1, length, head_dim, dtype), ragged(length, length, length // 3)
    real = mask[:, None, :, None].float()
    gradients = [(normal(2, 1, length, head_dim) * real).to(dtype), normal(2, 1, length)]
    kept = dropped_map(inputs, mask, 5, 0.25) != 0

    def explicit(query, key, value, mask, *, scaling):
        maps = attention_maps(query, key, mask, scaling=scaling)
        return (maps * kept / 0.75) @ value, (maps * mask[:, None, :, None]).sum(-2)

    torch.manual_seed(5)
    found = run(kernels, inputs, mask, gradients, dropout=0.25)
    expected = run(explicit, doubled(inputs), mask, gradients)
    assert_near((found[0] * real, *found[1:]), (expected[0] * real, *expected[1:]), TOLERANCE[dtype])
