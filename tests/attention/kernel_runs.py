"""What the kernels' cases run: inputs, the kernels, and how near to the reference in float64 they must come."""

from __future__ import annotations

import os

import pytest
import torch
from torch import Tensor

from agcli.attention.triton.attention import triton_attention
from agcli.attention.triton.tiles import Tile, Tiles
from agcli.guides.targets import Cells, Columns, Diagonal

DEVICE = "cpu" if os.environ.get("TRITON_INTERPRET") == "1" else "cuda"
SCALING = 0.3
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2, torch.float16: 2e-2}
SMALL = Tile(32, 32, 4, 1)
BLOCKS = Tiles(Tile(16, 32, 4, 1), None, Tile(16, 64, 4, 1), Tile(32, 64, 4, 1), Tile(16, 32, 4, 1))
on_a_gpu = pytest.mark.skipif(DEVICE == "cpu", reason="a GPU's own sizes")


CAPTURES = {
    "two diagonals": {"mass:back": (4, 0), "mass:next": (1,)},
    "columns": {"mass:word": (1,), "mass:sign": (3, 0)},
    "cells": {"mass:near": (2,), "mass:far": (4,)},
    "squared norms": {"squared_norm": "all"},
    "entropies": {"entropy": (3, 1)},
    "all": {
        "entropy": (0, 2),
        "mass:next": (0,),
        "received": (1, 2),
        "mass:word": (3,),
        "squared_norm": (0, 4),
        "mass:near": (1, 2),
    },
}


def targets_of(mask, length):
    """Weights of 0 and 1, of a half and of anything; 0 in padding."""
    real = mask.float()
    both = real[:, :, None] * real[:, None, :]
    near = (normal(*both.shape, seed=3) > 0.5).half() * both.half()
    return {
        "next": Diagonal(1),
        "back": Diagonal(-3),
        "word": Columns((normal(*real.shape, seed=1) > 0).float() * real),
        "sign": Columns((normal(*real.shape, seed=2).abs() * real).bfloat16()),
        "near": Cells(near),
        "far": Cells(normal(*both.shape, seed=4).abs() * both),
    }


def tensors(batch, heads, length, head_dim, dtype=torch.float32, seed=0):
    """Queries, keys and values as transformers hands them: views of (batch, length, heads, head_dim)."""
    generator = torch.Generator().manual_seed(seed)
    made = (torch.randn(batch, length, heads, head_dim, generator=generator).to(DEVICE, dtype) for _ in range(3))
    return [tensor.transpose(1, 2).requires_grad_() for tensor in made]


def ragged(length, *real):
    return (torch.arange(length) < torch.tensor(real)[:, None]).to(DEVICE)


def normal(*shape, seed=9):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(DEVICE)


def kernels(query, key, value, mask, *, capture=True, **settings):
    """Output and received attention; None without `capture`."""
    capture = {"received": "all"} if capture else {}
    output, captured = triton_attention(query, key, value, mask, capture=capture, **settings)
    return output, captured.get("received")


def run(attention, inputs, mask, gradients, **options):
    """Output, received attention and the three gradients; a gradient of None is not sent."""
    outputs = attention(*inputs, mask, scaling=SCALING, **options)
    sent = [(output, g.to(output.dtype)) for output, g in zip(outputs, gradients, strict=True) if g is not None]
    grads = torch.autograd.grad([output for output, _ in sent], inputs, [g for _, g in sent], allow_unused=True)
    grads = [torch.zeros_like(x) if g is None else g for x, g in zip(inputs, grads, strict=True)]
    return *(output.detach() for output in outputs), *grads


def doubled(inputs):
    return [tensor.detach().double().requires_grad_() for tensor in inputs]


def assert_near(found, expected, tolerance):
    for name, a, b in zip(("output", "received", "dq", "dk", "dv"), found, expected, strict=True):
        assert a.isfinite().all(), name
        size = max(b.norm().item(), 0.5)  # a single token's queries and keys have no gradient, only rounding
        assert (a.double() - b).norm().item() <= tolerance * size, name


def dropped_map(inputs, mask, seed, rate) -> Tensor:
    """The map after dropout, read off outputs: as many columns at a time as a head is wide, values the identity's."""
    query, key = (x.detach() for x in inputs[:2])
    length, head_dim = query.shape[2:]
    slabs = []
    for columns in torch.eye(length, device=DEVICE, dtype=query.dtype).split(head_dim, -1):
        values = torch.nn.functional.pad(columns, (0, head_dim - columns.shape[1])).expand_as(query)
        torch.manual_seed(seed)
        output, _ = kernels(query, key, values, mask, scaling=SCALING, dropout=rate)
        slabs.append(output[..., : columns.shape[1]])
    return torch.cat(slabs, -1)
