"""Target positions of rows, for the attention mass that falls on them: one diagonal, a set of columns, or any cells.

They are made once a batch and shared by all layers and heads. T is (rows, columns) of one map, and 0 in padding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor


@dataclass(frozen=True)
class Diagonal:
    """Row i has the target i + offset, where that is a real token."""

    offset: int


@dataclass(frozen=True, eq=False)
class Columns:
    """Every row has the same targets.

    Attributes:
        weights: T of each column, (batch, length), floating-point.
    """

    weights: Tensor


@dataclass(frozen=True, eq=False)
class Cells:
    """Each row has targets of its own.

    Attributes:
        weights: T, (batch, length, length), floating-point.
    """

    weights: Tensor


Target = Diagonal | Columns | Cells
NO_TARGETS: Mapping[str, Target] = MappingProxyType({})


def check_target(name: str, target: Target, batch: int, length: int) -> None:
    """Check that a target belongs to maps of this batch.

    Raises:
        ValueError: its weights have another shape, or want a gradient, which nothing computes.
    """
    if isinstance(target, Diagonal):
        return
    if not isinstance(target, Columns | Cells):
        raise ValueError(f"target {name!r} must be a Diagonal, Columns or Cells, got {type(target).__name__}")
    allowed = (batch, length) if isinstance(target, Columns) else (batch, length, length)
    if target.weights.shape != allowed:
        raise ValueError(f"target {name!r} must have weights {allowed}, got {tuple(target.weights.shape)}")
    if target.weights.requires_grad:
        raise ValueError(f"target {name!r}: no gradient is computed of a target; detach its weights")


def block_target(target: Target, samples: slice, rows: slice, columns: int) -> Target:
    """The target of a block of maps: of some samples and rows, and of the first columns; weights are views."""
    if isinstance(target, Cells):
        return Cells(target.weights[samples, rows, :columns])
    if isinstance(target, Columns):
        return Columns(target.weights[samples, :columns])
    return Diagonal(target.offset + rows.start)


def target_mass(maps: Tensor, target: Target) -> Tensor:
    """`a_i = Σ_j A_ij T_ij`. Shape: maps (batch, heads, rows, columns) -> (batch, heads, rows)."""
    if not isinstance(target, Diagonal):
        return (maps * _weights(target, maps)).sum(-1)
    diagonal = maps.diagonal(target.offset, -2, -1)
    before = _rows_before(target, maps)
    return torch.nn.functional.pad(diagonal, (before, maps.shape[-2] - before - diagonal.shape[-1]))


def add_mass_gradient_(map_grad: Tensor, mass_grad: Tensor, target: Target) -> None:
    """`dA_ij += g_i T_ij`, in place.

    Shape: map_grad (batch, heads, rows, columns), mass_grad (batch, heads, rows).
    """
    if not isinstance(target, Diagonal):
        map_grad.addcmul_(mass_grad.unsqueeze(-1), _weights(target, map_grad))
        return
    diagonal = map_grad.diagonal(target.offset, -2, -1)
    before = _rows_before(target, map_grad)
    diagonal.add_(mass_grad[..., before : before + diagonal.shape[-1]])


def _rows_before(target: Diagonal, maps: Tensor) -> int:
    """Rows above the diagonal's first cell; all where it lies outside the map."""
    return min(maps.shape[-2], max(0, -target.offset))


def _weights(target: Columns | Cells, maps: Tensor) -> Tensor:
    """T as a factor on maps (batch, heads, rows, columns)."""
    weights = target.weights.to(maps.dtype)
    return weights[:, None] if isinstance(target, Cells) else weights[:, None, None]


def dense(target: Target, mask: Tensor) -> Tensor:
    """T with padded rows and columns 0. Shape: mask (batch, length) -> (batch, length, length), float32 at least."""
    real = mask.bool()
    cells = real[:, :, None] & real[:, None, :]
    if isinstance(target, Diagonal):
        positions = torch.arange(mask.shape[-1], device=mask.device)
        return (cells & (positions[:, None] + target.offset == positions)).float()
    weights = target.weights if isinstance(target, Cells) else target.weights[:, None, :]
    return weights.to(torch.promote_types(weights.dtype, torch.float32)) * cells


def row_sums(target: Target, mask: Tensor, power: int = 1) -> Tensor:
    """`Σ_j T_ij^power` over real columns, 0 in padded rows; of a target of 0 and 1 the number |T(i)|.

    Shape: mask (batch, length) -> (batch, length), float32 at least.
    """
    real = mask.bool()
    if isinstance(target, Cells):
        return dense(target, mask).pow(power).sum(-1)
    if isinstance(target, Columns):
        weights = target.weights.to(torch.promote_types(target.weights.dtype, torch.float32)) * real
        return weights.pow(power).sum(-1, keepdim=True) * real
    shifted = torch.zeros_like(real)
    length, offset = real.shape[-1], target.offset
    if abs(offset) < length:
        kept = slice(max(0, -offset), length - max(0, offset))  # rows whose target lies in the map
        shifted[:, kept] = real[:, max(0, offset) : length - max(0, -offset)]
    return (shifted & real).float()
