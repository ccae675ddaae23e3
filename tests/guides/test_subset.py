"""Guides on some layers and heads, and samples at the edge: one token, none."""

import math

import pytest
import torch

from agcli import MDG, PDG
from agcli.guides.base import CapturedAttention

SUBSETS = [((1,), None), (None, (0, 2)), ((0,), (1, 2)), ((1, 0), (2,))]


@pytest.mark.parametrize(("layers", "heads"), SUBSETS)
@pytest.mark.parametrize("kind", [MDG, PDG])
def test_a_subset_is_the_guide_on_those_maps_alone(received, mask, kind, layers, heads):
    chosen = received[:, list(layers or (0, 1))][:, :, list(heads or (0, 1, 2))]
    expected = kind()(chosen, mask)
    assert torch.equal(kind(layers=layers, heads=heads)(received, mask), expected)
    assert not torch.equal(expected, kind()(received, mask))


def test_maps_outside_the_subset_get_no_gradient(received, mask):
    received.requires_grad_()
    MDG(layers=(1,), heads=(0, 1))(received, mask).sum().backward()
    assert received.grad[:, 1, :2].any()
    assert not received.grad[:, 0].any()
    assert not received.grad[:, 1, 2].any()


def test_guides_of_one_subset_share_one_object(received, mask):
    attention = CapturedAttention.of_received(received, mask)
    assert attention.received((0,), None) is attention.received((0,), None)
    assert attention.received() is attention.received()


def test_a_sample_of_one_token_has_all_maps_equal(received):
    """MDG is ln K, PDG is (K − 1)²."""
    mask = torch.arange(5) < torch.tensor([1, 1, 1])[:, None]
    torch.testing.assert_close(MDG()(received, mask), torch.full((3,), math.log(6), dtype=torch.float64))
    torch.testing.assert_close(PDG(reduction="sum")(received, mask), torch.full((3,), 25.0, dtype=torch.float64))


@pytest.mark.parametrize("guide", [MDG(), PDG()])
def test_a_sample_without_tokens_is_finite_and_has_no_gradient(received, mask, guide):
    mask[1] = False
    received.requires_grad_()
    values = guide(received, mask)
    values.sum().backward()
    assert values.isfinite().all()
    assert received.grad.isfinite().all()
    assert not received.grad[1].any()
    assert received.grad[0].any()
