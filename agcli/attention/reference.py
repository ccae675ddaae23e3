"""The reference implementation of attention with captured quantities, in plain torch; it keeps the maps.

`m[l, h, j] = Σ_{i real} A[l, h, i, j]` (Eq. 8): the sum runs over queries, over real rows only, of the clean map
(before attention dropout).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from agcli.attention.captured import drop_and_capture
from agcli.attention.masks import AttentionMask, as_mask, masked_softmax
from agcli.guides.capture import MAP_QUANTITIES, RECEIVED, LayerCapture, Quantity, of_heads
from agcli.guides.quantities import quantity_of_maps
from agcli.guides.targets import NO_TARGETS, Target


def reference_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | AttentionMask | None,
    *,
    scaling: float,
    dropout: float = 0.0,
    window: int | None = None,
    capture: LayerCapture = RECEIVED,
    targets: Mapping[str, Target] = NO_TARGETS,
) -> tuple[Tensor, dict[Quantity, Tensor]]:
    """Scaled dot-product attention and the quantities in `capture`.

    Shape:
        query, key, value: (batch, heads, length, head_dim).
        mask: (batch, length), True for real tokens, or an `AttentionMask`; None when there is no padding.
        returns: output (batch, heads, length, head_dim), and quantities as `Quantity` says, in float32 at least.

    Args:
        dropout: attention dropout rate; acts on the output, `released` and `dropped_maps`.
        window: tokens attend where |i - j| < window; None for everywhere.
        capture: quantities of the maps, each with its heads.
        targets: name -> target of the masses in `capture`.
    """
    mask = as_mask(mask)
    scores = query @ (key * scaling).mT
    scores = scores if scores.dtype == torch.float64 else scores.float()
    scores = scores if mask.bias is None else scores + mask.bias.to(scores.dtype)
    maps = masked_softmax(scores, _allowed(mask.padding, window, scores), mask)
    of_clean_maps = {quantity: heads for quantity, heads in capture.items() if quantity not in MAP_QUANTITIES}
    dropped, captured = drop_and_capture(maps, mask.padding, dropout, of_clean_maps, targets)
    output = dropped.to(value.dtype) @ value
    given = {"maps": maps, "dropped_maps": dropped, "scores": scores}
    for quantity, heads in capture.items():
        if quantity == "released":
            captured[quantity] = quantity_of_maps(quantity, of_heads(dropped, heads), mask.padding, targets)
        elif quantity in given:
            captured[quantity] = of_heads(given[quantity], heads)
    return output, captured


def _allowed(padding: Tensor | None, window: int | None, scores: Tensor) -> Tensor | None:
    """Which (query, key) cells may attend, broadcastable to (batch, heads, length, length); None for all."""
    allowed = None if padding is None else padding.bool()[:, None, None, :]
    if window is None:
        return allowed
    positions = torch.arange(scores.shape[-1], device=scores.device)
    band = (positions[:, None] - positions[None, :]).abs() < window
    return band if allowed is None else allowed & band
