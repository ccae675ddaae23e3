"""What guides are computed from, defined on attention maps, and the gradient that each sends back to the maps.

Implementations that keep no maps apply both to one block of maps at a time.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from agcli.guides.capture import MASS, Quantity
from agcli.guides.targets import Target, add_mass_gradient_, target_mass


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


def add_gradient_(
    map_grad: Tensor,
    quantity: Quantity,
    grad: Tensor,
    maps: Tensor,
    padding: Tensor | None,
    targets: Mapping[str, Target],
) -> None:
    """Add to the maps' gradient, in place, what the gradient of a quantity (but `released`) sends to them.

    `dA_ij += w_i g^m_j + g^a_i T_ij + 2 g^q_i A_ij - g^e_i (ln A_ij + 1)`, of received attention, mass, squared norm
    and entropy; w is 1 for real rows, else 0.

    Shape: map_grad, maps (batch, heads, length, length); grad (batch, heads, length); padding (batch, length).
    """
    if quantity == "received":
        columns = grad.unsqueeze(-2)
        if padding is None:
            map_grad.add_(columns)
        else:
            map_grad.addcmul_(columns, padding.to(grad.dtype)[:, None, :, None])
        return
    if padding is not None:
        grad = grad.masked_fill(~padding.bool()[:, None, :], 0.0)
    if quantity == "squared_norm":
        map_grad.addcmul_(maps, grad.unsqueeze(-1), value=2)
    elif quantity == "entropy":
        map_grad.addcmul_(_finite_log(maps).add_(1), grad.unsqueeze(-1), value=-1)
    else:
        add_mass_gradient_(map_grad, grad, targets[quantity.removeprefix(MASS)])


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
