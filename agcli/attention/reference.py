"""The reference implementation of attention with captured quantities, in plain torch; it keeps the maps.

`m[l, h, j] = Σ_{i real} A[l, h, i, j]` (Eq. 8): the sum runs over queries, over real rows only, of the clean map
(before attention dropout).
"""

from __future__ import annotations

import torch
from torch import Tensor

from agcli.attention.capture import Quantities, Quantity
from agcli.attention.dropout import dropout as apply_dropout
from agcli.attention.masks import AttentionMask, as_mask, masked_softmax


def reference_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | AttentionMask | None,
    *,
    scaling: float,
    dropout: float = 0.0,
    window: int | None = None,
    capture: Quantities = ("received",),
) -> tuple[Tensor, dict[Quantity, Tensor]]:
    """Scaled dot-product attention and the quantities in `capture`.

    Source: Wang et al. 2022, Eq. 8. `released` is the mean over the key axis of the dropped-out map, padded
    rows kept, as in the authors' code.

    Shape:
        query, key, value: (batch, heads, length, head_dim).
        mask: (batch, length), True for real tokens, or an `AttentionMask`; None when there is no padding.
        returns: output (batch, heads, length, head_dim), and quantities as `Quantity` says, in float32 at least.

    Args:
        dropout: attention dropout rate; acts on the output and on `released`.
        window: tokens attend where |i - j| < window; None for everywhere.
    """
    mask = as_mask(mask)
    scores = query @ (key * scaling).mT
    scores = scores if scores.dtype == torch.float64 else scores.float()
    scores = scores if mask.bias is None else scores + mask.bias.to(scores.dtype)
    maps = masked_softmax(scores, _allowed(mask.padding, window, scores), mask)
    dropped = apply_dropout(maps, dropout) if dropout else maps
    output = dropped.to(value.dtype) @ value
    captured: dict[Quantity, Tensor] = {}
    if "received" in capture:
        captured["received"] = received_attention(maps, mask.padding)
    if "released" in capture:
        captured["released"] = dropped.mean(-1)
    if "maps" in capture:
        captured["maps"] = maps
    if "scores" in capture:
        captured["scores"] = scores
    return output, captured


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


def _allowed(padding: Tensor | None, window: int | None, scores: Tensor) -> Tensor | None:
    """Which (query, key) cells may attend, broadcastable to (batch, heads, length, length); None for all."""
    allowed = None if padding is None else padding.bool()[:, None, None, :]
    if window is None:
        return allowed
    positions = torch.arange(scores.shape[-1], device=scores.device)
    band = (positions[:, None] - positions[None, :]).abs() < window
    return band if allowed is None else allowed & band
