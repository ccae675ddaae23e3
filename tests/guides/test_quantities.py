"""Quantities of whole maps against loops over their equations, and the gradients they send to the maps."""

import math

import pytest
import torch
from torch.autograd import gradcheck

from agcli.guides.quantities import add_gradient_, quantity_of_maps
from agcli.guides.targets import Cells, Columns, Diagonal, block_target, dense, target_mass

LENGTHS = (6, 4, 1, 0)
LENGTH = max(LENGTHS)
MASK = torch.arange(LENGTH) < torch.tensor(LENGTHS)[:, None]


def draw(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


TARGETS = {
    "next": Diagonal(1),
    "before": Diagonal(-2),
    "beyond": Diagonal(9),
    "far": Diagonal(-9),
    "columns": Columns(draw(4, LENGTH) * MASK),
    "cells": Cells(draw(4, LENGTH, LENGTH).round() * MASK[:, :, None] * MASK[:, None]),
}
QUANTITIES = ["received", *(f"mass:{name}" for name in TARGETS), "squared_norm", "entropy"]


@pytest.fixture
def maps():
    """Two heads; padded keys get exactly 0, as do some cells of real rows, and padded rows hold anything."""
    scores = torch.randn((4, 2, LENGTH, LENGTH), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    scores[0, 0, 2, 3] = -1e5
    maps = scores.masked_fill(~MASK[:, None, None, :], torch.finfo(scores.dtype).min).softmax(-1)
    assert maps[0, 0, 2, 3] == 0
    return maps


def naive(quantity, maps):
    """One cell at a time."""
    found = torch.zeros(maps.shape[:3], dtype=maps.dtype)
    weights = dense(TARGETS[quantity[5:]], MASK) if quantity.startswith("mass:") else None
    for b, h, i, j in torch.cartesian_prod(*map(torch.arange, maps.shape)).tolist():
        cell = float(maps[b, h, i, j])
        if not MASK[b, i]:
            continue
        if quantity == "received":
            found[b, h, j] += cell
        elif quantity == "squared_norm":
            found[b, h, i] += cell**2
        elif quantity == "entropy":
            found[b, h, i] -= cell * math.log(cell) if cell else 0.0
        else:
            found[b, h, i] += cell * float(weights[b, i, j])
    return found


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_quantities_are_those_of_the_equations(maps, quantity):
    found = quantity_of_maps(quantity, maps, MASK, TARGETS)
    torch.testing.assert_close(found, naive(quantity, maps), rtol=0, atol=1e-12)
    assert found.any() == (quantity not in ("mass:beyond", "mass:far"))


@pytest.mark.parametrize("padding", [MASK, None])
@pytest.mark.parametrize("quantity", QUANTITIES)
def test_the_gradient_sent_to_maps_is_autograds(maps, quantity, padding):
    maps.requires_grad_()
    values = quantity_of_maps(quantity, maps, padding, TARGETS)
    upstream, before = draw(*values.shape), draw(*maps.shape)
    (expected,) = torch.autograd.grad(values, maps, upstream)
    found = before.clone()
    add_gradient_(found, quantity, upstream, maps.detach(), padding, TARGETS)
    # At A = 0, where the softmax takes no gradient through, the two need not agree.
    reaches = maps.detach() > 0
    torch.testing.assert_close((found - before)[reaches], expected[reaches], rtol=0, atol=1e-12)
    assert found.isfinite().all()
    assert expected.isfinite().all()


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_gradients_are_those_of_finite_differences(maps, quantity):
    positive = (maps + 0.1).requires_grad_()
    assert gradcheck(lambda maps: quantity_of_maps(quantity, maps, MASK, TARGETS), positive)


@pytest.mark.parametrize("quantity", ["squared_norm", "entropy"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [10.0, 1e3, 1e30])
def test_rows_near_one_hot_have_finite_values_and_gradients(quantity, dtype, scale):
    """Cells from almost 1 to smaller than any number: the entropy runs to 0 and its gradient with it."""
    scores = (scale * torch.arange(5, dtype=dtype)).expand(1, 1, 5, 5).clone().requires_grad_()
    values = quantity_of_maps(quantity, scores.softmax(-1), None, {})
    values.sum().backward()
    assert scores.grad.isfinite().all()
    expected = {"squared_norm": 1.0, "entropy": 0.0}[quantity]
    torch.testing.assert_close(values, torch.full_like(values, expected), rtol=0, atol=1e-3)
    assert scores.grad.abs().max() < 1e-3
    assert values.min() >= 0


@pytest.mark.parametrize("name", TARGETS)
def test_blocks_of_maps_have_blocks_of_targets(maps, name):
    target = TARGETS[name]
    whole, (samples, rows, columns) = target_mass(maps, target), (slice(0, 2), slice(2, 5), LENGTH)
    block = block_target(target, samples, rows, columns)
    found = target_mass(maps[samples, :, rows, :columns], block)
    torch.testing.assert_close(found, whole[samples, :, rows], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["columns", "cells"])
def test_a_block_of_a_target_is_a_view(name):
    block = block_target(TARGETS[name], slice(1, 3), slice(2, 5), 4)
    assert block.weights.untyped_storage().data_ptr() == TARGETS[name].weights.untyped_storage().data_ptr()


def test_targets_of_bools_and_halves_weigh_as_numbers(maps):
    cells = TARGETS["cells"].weights
    for weights in (cells.bool(), cells.half()):
        torch.testing.assert_close(target_mass(maps, Cells(weights)), target_mass(maps, Cells(cells)))
