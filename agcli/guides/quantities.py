"""What guides are computed from, defined on whole attention maps; implementations without maps give the same."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from agcli.guides.capture import MASS, Quantity
from agcli.guides.targets import Target, target_mass


def quantity_of_maps(quantity: Quantity, maps: Tensor, padding: Tensor | None, targets: Mapping[str, Target]) -> Tensor:
    """A quantity that is computed from maps, of which `released` takes the dropped-out ones.

    Source: Wang et al. 2022, Eq. 8 (`received`), and their released code (`released`).

    Shape: maps (batch, heads, length, length), padding (batch, length) -> (batch, heads, length).
    """
    maps = maps if maps.dtype == torch.float64 else maps.float()
    if quantity == "released":
        return maps.mean(-1)
    if quantity == "received":
        return received_attention(maps, padding)
    if quantity == "squared_norm":
        rows = maps.square().sum(-1)
    elif quantity == "entropy":
        rows = -(maps * _finite_log(maps)).sum(-1)
    else:
        rows = target_mass(maps, targets[quantity.removeprefix(MASS)])
    return rows if padding is None else rows.masked_fill(~padding.bool()[:, None, :], 0.0)


def _finite_log(maps: Tensor) -> Tensor:
    """The log of A, finite at A = 0: the softmax multiplies the gradient there by A, and 0 · ∞ is no number."""
    return maps.clamp(min=torch.finfo(maps.dtype).tiny).log()


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
