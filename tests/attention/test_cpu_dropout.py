"""The cheap CPU mask is a dropout mask: right rate, right scale, torch's stream, gradients through what is kept."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from agcli.attention.dropout import CpuDropout, dropout, use_cpu_dropout


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_rate_and_scale(rate: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    cells = dropout(torch.ones(200_003, dtype=dtype), rate)
    assert cells.dtype == dtype
    assert (cells == 0).double().mean().item() == pytest.approx(rate, abs=5e-3)
    torch.testing.assert_close(cells.max(), torch.tensor(1 / (1 - rate), dtype=dtype))
    assert len(cells.unique()) == 2


def test_neighbouring_cells_are_independent() -> None:
    torch.manual_seed(0)
    kept = (dropout(torch.ones(400_000), 0.3) > 0).double()
    for lag in (1, 2, 3, 4, 8):
        assert torch.corrcoef(torch.stack([kept[:-lag], kept[lag:]]))[0, 1].abs() < 0.01


def test_the_stream_is_torchs_own() -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first, second = dropout(torch.ones(99), 0.5), dropout(torch.ones(99), 0.5)
    assert not torch.equal(first, second)
    torch.set_rng_state(state)
    assert torch.equal(dropout(torch.ones(99), 0.5), first)
    assert torch.equal(dropout(torch.ones(99), 0.5), second)


def test_the_gradient_goes_through_what_is_kept() -> None:
    cells = torch.randn(7, 5, requires_grad=True)
    dropped = dropout(cells, 0.4)
    dropped.sum().backward()
    assert cells.grad is not None
    torch.testing.assert_close(cells.grad, (dropped != 0) / 0.6)


def test_every_dropout_of_a_model_is_replaced_and_evaluation_is_untouched() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.Sequential(nn.Dropout(0.1))).eval()
    x = torch.randn(3, 4)
    before = model(x)
    use_cpu_dropout(model)
    assert [module.p for module in model.modules() if isinstance(module, CpuDropout)] == [0.5, 0.1]
    assert torch.equal(model(x), before)
    assert not torch.equal(model.train()(x), before)
