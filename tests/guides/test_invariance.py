"""What must not change a guide: padding, the rest of the batch, the order of heads."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agcli import MDG, PDG

GUIDES = [MDG(), MDG(reduction="sum", temperature=2.0), PDG(), PDG(reduction="sum")]


def value_and_gradient(guide, received, mask):
    received = received.detach().clone().requires_grad_()
    values = guide(received, mask)
    return values.detach(), torch.autograd.grad(values.sum(), received)[0]


@pytest.mark.parametrize("guide", GUIDES)
@pytest.mark.parametrize("extra", [1, 4])
def test_padding_columns_change_nothing(received, mask, guide, extra):
    """5 columns are fewer than the 6 maps, 9 are more, so PDG changes its Gram matrix on the way."""
    padded = torch.cat([received, torch.rand(3, 2, 3, extra, dtype=received.dtype)], dim=-1)
    longer = torch.cat([mask, torch.zeros(3, extra, dtype=torch.bool)], dim=-1)
    value, gradient = value_and_gradient(guide, received, mask)
    value_padded, gradient_padded = value_and_gradient(guide, padded, longer)
    torch.testing.assert_close(value_padded, value, rtol=0, atol=1e-12)
    torch.testing.assert_close(gradient_padded[..., :5], gradient, rtol=0, atol=1e-12)
    assert not gradient_padded[..., 5:].any()


@pytest.mark.parametrize("guide", GUIDES)
def test_what_stands_in_padded_columns_changes_nothing(received, mask, guide):
    value, gradient = value_and_gradient(guide, received, mask)
    clean, gradient_clean = value_and_gradient(guide, received * mask[:, None, None], mask)
    assert torch.equal(value, clean)
    torch.testing.assert_close(gradient, gradient_clean, rtol=0, atol=1e-12)


@pytest.mark.parametrize("guide", GUIDES)
def test_other_samples_of_the_batch_change_nothing(received, mask, guide):
    value, gradient = value_and_gradient(guide, received, mask)
    for index in range(3):
        alone, gradient_alone = value_and_gradient(guide, received[index : index + 1], mask[index : index + 1])
        torch.testing.assert_close(alone[0], value[index], rtol=0, atol=1e-12)
        torch.testing.assert_close(gradient_alone[0], gradient[index], rtol=0, atol=1e-12)


@pytest.mark.parametrize("guide", GUIDES)
def test_the_order_of_heads_and_layers_changes_nothing(received, mask, guide):
    shuffled = received[:, [1, 0]][:, :, [2, 0, 1]]
    torch.testing.assert_close(guide(shuffled, mask), guide(received, mask), rtol=0, atol=1e-12)


@pytest.mark.parametrize("guide", GUIDES)
def test_the_scale_of_a_map_changes_nothing(received, mask, guide):
    """Rows of M have norm 1."""
    scaled = received * torch.arange(1.0, 7.0).reshape(1, 2, 3, 1)
    torch.testing.assert_close(guide(scaled, mask), guide(received, mask), rtol=0, atol=1e-12)


@given(
    layers=st.integers(1, 3),
    heads=st.integers(1, 3),
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=3),
    pad=st.integers(0, 3),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=40, deadline=None)
def test_any_shape_gives_the_values_of_its_unpadded_samples_within_their_bounds(layers, heads, lengths, pad, seed):
    length, maps = max(lengths) + pad, layers * heads
    generator = torch.Generator().manual_seed(seed)
    received = torch.rand((len(lengths), layers, heads, length), generator=generator, dtype=torch.float64) + 1e-3
    mask = torch.arange(length) < torch.tensor(lengths)[:, None]
    for index, (mdg, pdg) in enumerate(zip(MDG()(received, mask), PDG(reduction="sum")(received, mask), strict=True)):
        tokens = lengths[index]
        alone = received[index : index + 1, ..., :tokens], mask[index : index + 1, :tokens]
        torch.testing.assert_close(MDG()(*alone)[0], mdg, rtol=0, atol=1e-9)
        torch.testing.assert_close(PDG(reduction="sum")(*alone)[0], pdg, rtol=0, atol=1e-9)
        assert math.log(1 + (maps - 1) * math.exp(-1)) - 1e-9 <= mdg <= math.log(maps) + 1e-9
        assert pdg >= tokens * max(maps / tokens - 1, 0) ** 2 - 1e-9
