"""Captured quantities of maps that are at hand, with one gradient of the maps for all of them and for dropout.

Left to autograd, each quantity would make a map gradient of its own, most of it zeros, and add it to the others'.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from agcli.attention.dropout import draw_mask, drop_
from agcli.attention.dropout import dropout as apply_dropout
from agcli.guides.capture import Indices, LayerCapture, Quantity, of_heads
from agcli.guides.quantities import add_gradient_, quantity_of_maps
from agcli.guides.targets import Target


def drop_and_capture(
    maps: Tensor, padding: Tensor | None, rate: float, capture: LayerCapture, targets: Mapping[str, Target]
) -> tuple[Tensor, dict[Quantity, Tensor]]:
    """Maps after attention dropout, and quantities of the clean ones.

    Shape: maps (batch, heads, length, length), padding (batch, length) -> the same, and as `Quantity` says.

    Args:
        capture: quantities of clean maps that are not maps themselves.
    """
    # A compiler fuses what autograd would do one by one.
    if not capture or torch.compiler.is_compiling():
        dropped = apply_dropout(maps, rate) if rate else maps
        return dropped, {
            quantity: quantity_of_maps(quantity, of_heads(maps, heads), padding, targets)
            for quantity, heads in capture.items()
        }
    ours = rate and maps.device.type == "cpu" and maps.numel()
    mask = draw_mask(maps, rate) if ours else None
    dropped, *captured = _DropAndCapture.apply(maps, padding, mask, rate, capture, targets)  # type: ignore[no-untyped-call]
    if rate and not ours:
        dropped = apply_dropout(dropped, rate)
    return dropped, dict(zip(capture, captured, strict=True))


class _DropAndCapture(torch.autograd.Function):
    """Dropout by a mask, if any, and quantities of the clean maps."""

    @staticmethod
    def forward(
        ctx: Any,
        maps: Tensor,
        padding: Tensor | None,
        mask: Tensor | None,
        rate: float,
        capture: LayerCapture,
        targets: Mapping[str, Target],
    ) -> tuple[Tensor, ...]:
        """The maps after dropout, and one tensor for each quantity of `capture`."""
        ctx.save_for_backward(maps, padding, mask)
        ctx.set_materialize_grads(False)
        ctx.rate, ctx.capture, ctx.targets = rate, capture, targets
        dropped = maps.view_as(maps) if mask is None else drop_(maps.clone(), mask).mul_(1 / (1 - rate))
        quantities = (
            quantity_of_maps(quantity, of_heads(maps, heads), padding, targets) for quantity, heads in capture.items()
        )
        return dropped, *quantities

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dropped_grad: Tensor | None, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        """The gradient of the maps; any of the incoming ones may be absent."""
        maps, padding, mask = ctx.saved_tensors
        if dropped_grad is None:
            map_grad = torch.zeros_like(maps)
        else:
            map_grad = dropped_grad.clone(memory_format=torch.contiguous_format)
            if mask is not None:
                drop_(map_grad, mask).mul_(1 / (1 - ctx.rate))
        everywhere = slice(0, maps.shape[1])
        for (quantity, heads), grad in zip(ctx.capture.items(), grads, strict=True):
            if grad is not None:
                for here, there in head_runs(heads, everywhere):
                    add_gradient_(map_grad[:, here], quantity, grad[:, there], maps[:, here], padding, ctx.targets)
        return map_grad, None, None, None, None, None


def head_runs(heads: Indices, block: slice) -> Iterator[tuple[slice, slice]]:
    """Runs of neighbouring heads: captured heads that lie in a block of heads.

    Returns:
        where each run is in the block, and where in a tensor of the captured heads.
    """
    if heads == "all":
        yield slice(0, block.stop - block.start), block
        return
    inside = [(place, head - block.start) for place, head in enumerate(heads) if block.start <= head < block.stop]
    for _, run in groupby(inside, key=lambda pair: pair[1] - pair[0]):
        pairs = list(run)
        (there, here), (last_there, last_here) = pairs[0], pairs[-1]
        yield slice(here, last_here + 1), slice(there, last_there + 1)
