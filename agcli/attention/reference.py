"""Attention that also returns what each token received: the reference, in plain torch, which keeps the maps.

`m[l, h, j] = Σ_{i real} A[l, h, i, j]` (Eq. 8): the sum runs over queries, over real rows only, of the clean map
(before attention dropout).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from agcli.attention.dropout import dropout as apply_dropout

Capture = Literal["none", "received", "released"]
"""What a forward hands to the guides beside its output: nothing, Eq. 8, or the authors' released arithmetic."""


def reference_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    *,
    scaling: float,
    dropout: float = 0.0,
    window: int | None = None,
    capture: Capture = "received",
) -> tuple[Tensor, Tensor | None]:
    """Scaled dot-product attention and its column sums.

    Source: Wang et al. 2022, Eq. 8. `released` is the mean over the key axis of the dropped-out map, padded
    rows kept, as in the authors' code.

    Shape:
        query, key, value: (batch, heads, length, head_dim).
        mask: (batch, length), True for real tokens, or None when there is no padding.
        returns: output (batch, heads, length, head_dim) and received (batch, heads, length), or None for `none`.

    Args:
        query: queries.
        key: keys.
        value: values.
        mask: real tokens.
        scaling: factor on the dot products.
        dropout: attention dropout rate; acts on the output only, never on Eq. 8's received attention.
        window: tokens attend where |i - j| < window; None for everywhere.
        capture: what to return beside the output.
    """
    maps = attention_maps(query, key, mask, scaling=scaling, window=window)
    dropped = apply_dropout(maps, dropout) if dropout else maps
    output = dropped.to(value.dtype) @ value
    if capture == "none":
        return output, None
    if capture == "released":
        return output, dropped.mean(-1)
    return output, received_attention(maps, mask)


def attention_maps(
    query: Tensor, key: Tensor, mask: Tensor | None, *, scaling: float, window: int | None = None
) -> Tensor:
    """Clean attention maps in float32 at least, shape (batch, heads, length, length); padded keys are exactly 0."""
    scores = query @ (key * scaling).mT
    if scores.dtype != torch.float64:
        scores = scores.float()
    allowed = _allowed(mask, window, scores)
    if allowed is not None:
        # The dtype's minimum, not -inf: a fully padded sample must give finite rows, not NaN.
        scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
    return scores.softmax(-1)


def received_attention(maps: Tensor, mask: Tensor | None) -> Tensor:
    """Column sums over real rows (Eq. 8), in float32 at least.

    Shape: maps (batch, heads, length, length), mask (batch, length) -> (batch, heads, length).
    """
    maps = maps if maps.dtype == torch.float64 else maps.float()
    if mask is None:
        return maps.sum(-2)
    rows = mask.to(maps.dtype)[:, None, None, :]
    with torch.autocast(maps.device.type, enabled=False):
        return (rows @ maps).squeeze(-2)


def _allowed(mask: Tensor | None, window: int | None, scores: Tensor) -> Tensor | None:
    """Which (query, key) cells may attend, broadcastable to (batch, heads, length, length); None for all."""
    allowed = None if mask is None else mask.bool()[:, None, None, :]
    if window is None:
        return allowed
    positions = torch.arange(scores.shape[-1], device=scores.device)
    band = (positions[:, None] - positions[None, :]).abs() < window
    return band if allowed is None else allowed & band
