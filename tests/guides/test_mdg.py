"""MDG (Eq. 10 and 11) against a loop over the equation, its floor, its limits."""

import math

import pytest
import torch

from agcli import MDG


def naive_mdg(received, mask, temperature=1.0):
    """Eq. 11 for one batch, one map after the other, the sum over maps."""
    values = []
    for sample, real in zip(received, mask, strict=True):
        rows = [row / row.norm() for row in sample.flatten(0, 1)[:, real]]
        total = sum(
            -torch.log(torch.exp(i @ i / temperature) / sum(torch.exp(i @ j / temperature) for j in rows)) for i in rows
        )
        values.append(total)
    return torch.stack(values)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_equals_the_equation(received, mask, temperature):
    expected = naive_mdg(received, mask, temperature)
    torch.testing.assert_close(MDG(temperature=temperature, reduction="sum")(received, mask), expected)
    torch.testing.assert_close(MDG(temperature=temperature)(received, mask), expected / 6)


def test_the_weight_is_not_applied(received, mask):
    assert torch.equal(MDG(weight=7.0)(received, mask), MDG()(received, mask))


def test_gradients(received, mask):
    assert torch.autograd.gradcheck(lambda maps: MDG()(maps, mask), received.requires_grad_())


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_orthogonal_maps_reach_the_floor(temperature):
    received = torch.eye(6, dtype=torch.float64).reshape(1, 2, 3, 6)
    floor = math.log(1 + 5 * math.exp(-1 / temperature))
    value = MDG(temperature=temperature)(received, torch.ones(1, 6, dtype=torch.bool))
    assert value.item() == pytest.approx(floor, abs=1e-12)


def test_no_maps_lie_below_the_floor(received, mask):
    assert (MDG()(received, mask) > math.log(1 + 5 * math.exp(-1))).all()


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_equal_maps_give_the_constant_of_the_released_code(temperature):
    """144 maps of length 256, each 1/256 everywhere: a mean over the key axis says nothing about the input."""
    uniform = torch.full((1, 12, 12, 256), 1 / 256, dtype=torch.float64)
    value = MDG(temperature=temperature)(uniform, torch.ones(1, 256, dtype=torch.bool))
    assert value.item() == pytest.approx(math.log(144), abs=1e-12)
