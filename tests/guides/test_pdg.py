"""PDG (Eq. 12): the cheap form against the naive one, its floor, its divisor."""

import pytest
import torch

from agcli import PDG
from agcli.guides.base import ReceivedAttention


def naive_pdg(received, mask):
    """`‖MᵀM − I‖_F²` with `MᵀM` built, over the real columns of each sample."""
    values = []
    for sample, real in zip(received, mask, strict=True):
        rows = sample.flatten(0, 1)[:, real]
        rows = rows / rows.norm(dim=-1, keepdim=True)
        values.append((rows.T @ rows - torch.eye(rows.shape[1], dtype=rows.dtype)).square().sum())
    return torch.stack(values)


def test_equals_the_equation(received, mask):
    expected = naive_pdg(received, mask)
    torch.testing.assert_close(PDG(reduction="sum")(received, mask), expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(PDG()(received, mask), expected / 256, rtol=0, atol=1e-10)
    torch.testing.assert_close(PDG(columns=None)(received, mask), expected / 5, rtol=0, atol=1e-10)


@pytest.mark.parametrize("length", [4, 6, 15])
def test_gradients_equal_those_of_the_naive_form(length):
    """Fewer columns than the 6 maps, as many, and more."""
    generator = torch.Generator().manual_seed(length)
    received = torch.rand((2, 2, 3, length), generator=generator, dtype=torch.float64, requires_grad=True)
    mask = torch.arange(length) < torch.tensor([length, 3])[:, None]
    [expected] = torch.autograd.grad(naive_pdg(received, mask).sum(), received)
    [gradient] = torch.autograd.grad(PDG(reduction="sum")(received, mask).sum(), received)
    torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-10)


def test_gradients(received, mask):
    assert torch.autograd.gradcheck(lambda maps: PDG()(maps, mask), received.requires_grad_())


def test_the_weight_is_not_applied(received, mask):
    assert torch.equal(PDG(weight=7.0)(received, mask), PDG()(received, mask))


def test_both_gram_matrices_give_the_same_norm(received, mask):
    """6 maps, 5 columns: alone PDG takes the 5 x 5 matrix, after MDG the 6 x 6 one that is already there."""
    columns, rows = ReceivedAttention(received, mask), ReceivedAttention(received, mask)
    rows.gram  # noqa: B018
    expected = columns.squared_gram_norm
    assert "gram" not in columns.__dict__
    torch.testing.assert_close(rows.squared_gram_norm, expected, rtol=0, atol=1e-12)


def test_evenly_spread_maps_reach_the_floor():
    """K = 6 maps on n = 3 columns, two on each: n (K/n − 1)²."""
    received = torch.eye(3, dtype=torch.float64).repeat(2, 1).reshape(1, 2, 3, 3)
    assert PDG(reduction="sum")(received, torch.ones(1, 3, dtype=torch.bool)).item() == pytest.approx(3.0)


def test_no_maps_lie_below_the_floor(received, mask):
    tokens = mask.sum(-1)
    assert (PDG(reduction="sum")(received, mask) > tokens * (6 / tokens - 1).square()).all()


def test_equal_maps_give_the_constant_of_the_released_code():
    """144 maps of length 256, each 1/256 everywhere, divided by the padded length."""
    uniform = torch.full((1, 12, 12, 256), 1 / 256, dtype=torch.float64)
    value = PDG(columns=None)(uniform, torch.ones(1, 256, dtype=torch.bool))
    assert value.item() == pytest.approx(80.875, abs=1e-9)
