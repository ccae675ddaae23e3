"""What a token may attend to: padding, an additive bias and a gate."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class AttentionMask:
    """Padding, and optionally a bias and a gate on the cells of one layer's maps; `A ∝ gate · exp(scores + bias)`.

    A real row whose gate leaves it no real key keeps its diagonal.

    Shape: bias and gate are (1 or batch, 1 or heads, 1 or length, 1 or length).

    Attributes:
        padding: (batch, length), True or 1 for real tokens; None where all are.
        bias: finite numbers added to the scores; may carry a gradient.
        gate: factors of at least 0; 0 masks a cell. It may carry a gradient, which also reaches cells at 0, as
            straight-through estimators need it. A mask that is drawn is drawn once a forward, outside the layers:
            activation checkpointing computes them twice.
        renormalise: whether rows sum to 1 after the gate. If not, the gate is a factor on the map: such a gate of
            shape (1, heads, 1, 1) scales or drops whole heads.

    Raises:
        ValueError: shapes that do not belong together, or a bias or gate that is not floating-point.
    """

    padding: Tensor | None = None
    bias: Tensor | None = None
    gate: Tensor | None = None
    renormalise: bool = True

    def __post_init__(self) -> None:
        if self.padding is not None and self.padding.dim() != 2:
            raise ValueError(f"padding must be (batch, length), got {tuple(self.padding.shape)}")
        for name, cells in (("bias", self.bias), ("gate", self.gate)):
            if cells is not None and not (cells.dim() == 4 and cells.is_floating_point()):
                raise ValueError(
                    f"{name} must be floating-point and (batch, heads, length, length), got {cells.dtype} "
                    f"{tuple(cells.shape)}"
                )

    @property
    def is_plain(self) -> bool:
        """Whether padding is all there is."""
        return self.bias is None and self.gate is None

    def fits(self, query: Tensor) -> bool:
        """Whether its shapes fit queries (batch, heads, length, head_dim)."""
        batch, heads, length, _ = query.shape
        if self.padding is not None and self.padding.shape != (batch, length):
            return False
        full = (batch, heads, length, length)
        for cells in (self.bias, self.gate):
            if cells is not None and any(size not in (1, whole) for size, whole in zip(cells.shape, full, strict=True)):
                return False
        return True

    def with_padding(self, padding: Tensor | None) -> AttentionMask:
        """The same bias and gate with a batch's padding."""
        return AttentionMask(padding, self.bias, self.gate, self.renormalise)


def as_mask(mask: Tensor | AttentionMask | None) -> AttentionMask:
    """A padding mask (batch, length), or none, as an `AttentionMask`."""
    return mask if isinstance(mask, AttentionMask) else AttentionMask(mask)


def masked_softmax(scores: Tensor, allowed: Tensor | None, mask: AttentionMask) -> Tensor:
    """Attention maps of scores that already include the bias; of `mask`, the gate alone is applied.

    Shape: scores (batch, heads, length, length), in float32 at least -> the same.

    Args:
        allowed: cells that padding and window admit, broadcastable; None for all.
    """
    gate = None if mask.gate is None else mask.gate.to(scores.dtype)
    if gate is not None and mask.renormalise:
        return _gated_softmax(scores, allowed, gate)
    if allowed is not None:
        # The dtype's minimum, not -inf: a fully padded sample must give finite rows, not NaN.
        scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
    maps = scores.softmax(-1)
    return maps if gate is None else maps * gate


HIGHEST_EXPONENT = 50.0
"""A masked cell's score may exceed the others of its row by so much before its gate's gradient is cut; e^50 = 5e21."""


def _gated_softmax(scores: Tensor, allowed: Tensor | None, gate: Tensor) -> Tensor:
    """Rows proportional to gate · exp(score), by a product and not by ln gate, whose gradient at 0 is not finite."""
    diagonal = torch.eye(scores.shape[-1], dtype=torch.bool, device=scores.device)
    allowed = torch.ones_like(diagonal) if allowed is None else allowed
    kept = (gate > 0) & allowed
    rescued = diagonal & ~kept.any(-1, keepdim=True)
    kept = kept | rescued
    lowest = torch.finfo(scores.dtype).min
    highest = scores.detach().masked_fill(~kept, lowest).amax(-1, keepdim=True)
    weights = (scores - highest).clamp(max=HIGHEST_EXPONENT).exp()
    weights = weights * torch.where(rescued, 1.0, gate).masked_fill(~(allowed | rescued), 0.0)
    return weights / weights.sum(-1, keepdim=True)
