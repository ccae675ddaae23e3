"""The CPU path: attention and captured quantities of its maps, a block of maps at a time, in plain torch.

The backward pass makes the maps and dropout masks of a block anew, and adds what the guides send to the gradient of
the clean maps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from agcli.attention.captured import head_runs
from agcli.attention.dropout import column_keys, drop_, keep_mask, random_keys
from agcli.guides.capture import MASS, RECEIVED, LayerCapture, Quantity
from agcli.guides.quantities import add_gradient_, quantity_of_maps
from agcli.guides.targets import NO_TARGETS, Target, block_target

BLOCK_CELLS = 1 << 20
"""Cells of the maps that are made together, about: 4 MB in float32.

A layer forward and backward (12 heads of 32, bfloat16, dropout, two cores, median) with 2^17, 2^18, ... 2^22 cells: 32
rows of 64 tokens 28, 21, 20, 19, 18, 18 ms; 16 of 512 tokens 605, 471, 380, 357, 374, 333 ms.
"""


# A compiled model leaves its graph here: how many blocks there are, and how large, depends on the padding.
@torch.compiler.disable  # type: ignore[untyped-decorator]
def blockwise_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    lengths: Sequence[int],
    *,
    scaling: float,
    dropout: float = 0.0,
    capture: LayerCapture = RECEIVED,
    targets: Mapping[str, Target] = NO_TARGETS,
) -> tuple[Tensor, dict[Quantity, Tensor]]:
    """Scaled dot-product attention and the quantities in `capture`, keeping no map.

    Shape:
        query, key, value: (batch, heads, length, head_dim).
        returns: output (batch, heads, length, head_dim) and quantities (batch, captured heads, length), in float32 at
            least; all 0 beyond a sample's length.

    Args:
        lengths: real tokens of each sample; they come first.
        dropout: attention dropout rate, met to 1/32768. Its seed comes from torch's generator, so that a forward that
            is recomputed under activation checkpointing drops the same cells.
        capture: received attention and quantities of rows, each with its heads.
        targets: name -> target of the masses in `capture`; they are kept for the backward pass as they are.
    """
    seed = int(torch.randint(2**62, ())) if dropout else 0
    captured = _Captured(capture, targets)
    output, *quantities = _Blockwise.apply(  # type: ignore[no-untyped-call]
        query, key, value, tuple(lengths), scaling, dropout, seed, captured
    )
    return output, dict(zip(capture, quantities, strict=True))


class _Blockwise(torch.autograd.Function):
    """One layer's forward and backward pass."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        lengths: tuple[int, ...],
        scaling: float,
        dropout: float,
        seed: int,
        captured: _Captured,
    ) -> tuple[Tensor, ...]:
        """The output, and one tensor for each captured quantity."""
        ctx.save_for_backward(query, key, value)
        ctx.set_materialize_grads(False)
        ctx.lengths, ctx.scaling, ctx.dropout, ctx.seed, ctx.captured = lengths, scaling, dropout, seed, captured
        output, quantities = _zeros_heads_last(value), captured.zeros(query)
        drops = _Drops(query, dropout, seed) if dropout else None
        for block in _blocks(lengths, query):
            k, v = block.copy(key).mul_(scaling), block.copy(value)
            for part in block.parts():
                maps = _maps(part.copy(query), k, part)
                captured.add(quantities, part.split(maps), part)
                dropped = maps.to(v.dtype)
                if drops is not None:
                    drop_(dropped, drops.mask(part))
                part.of(output).copy_(part.split(dropped @ v))
        return output.mul_(1 / (1 - dropout)), *quantities

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, output_grad: Tensor | None, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        """Gradients of queries, keys and values; any of the incoming gradients may be absent."""
        query, key, value = ctx.saved_tensors
        if output_grad is None:
            output_grad = torch.zeros_like(value)
        query_grad, key_grad, value_grad = (_zeros_heads_last(tensor) for tensor in (query, key, value))
        drops = _Drops(query, ctx.dropout, ctx.seed) if ctx.dropout else None
        scale = 1 / (1 - ctx.dropout)
        for block in _blocks(ctx.lengths, query):
            k, v = block.copy(key).mul_(ctx.scaling), block.copy(value).mul_(scale)
            k_grad = v_grad = None
            for part in block.parts():
                q, upstream = part.copy(query), part.copy(output_grad)
                maps = _maps(q, k, part)
                dropped, map_grad = maps.to(v.dtype, copy=True), upstream @ v.mT
                if drops is not None:
                    mask = drops.mask(part)
                    drop_(dropped, mask)
                    drop_(map_grad, mask)
                v_grad = _plus(v_grad, dropped.mT @ upstream)
                map_grad = map_grad.to(maps.dtype)
                ctx.captured.add_gradients(part.split(map_grad), grads, part.split(maps), part)
                score_grad = torch._softmax_backward_data(map_grad, maps, -1, maps.dtype).to(k.dtype)
                part.of(query_grad).copy_(part.split(score_grad @ k))
                k_grad = _plus(k_grad, score_grad.mT @ q)
            assert k_grad is not None
            assert v_grad is not None
            block.of(key_grad).copy_(block.split(k_grad.mul_(ctx.scaling)))
            block.of(value_grad).copy_(block.split(v_grad.mul_(scale)))
        return query_grad, key_grad, value_grad, None, None, None, None, None


@dataclass(frozen=True)
class _Captured:
    """Quantities that are captured beside the output; maps are (samples, heads, rows, columns) of a block here.

    A block's padded rows are 0 and so are their numbers, hence no mask.
    """

    capture: LayerCapture
    targets: Mapping[str, Target]

    def zeros(self, query: Tensor) -> list[Tensor]:
        """A tensor for each quantity."""
        batch, num_heads, length, _ = query.shape
        counts = (num_heads if heads == "all" else len(heads) for heads in self.capture.values())
        return [query.new_zeros((batch, count, length), dtype=_wide(query.dtype)) for count in counts]

    def add(self, totals: Sequence[Tensor], maps: Tensor, block: _Block) -> None:
        """Add a block's part to each quantity."""
        for (quantity, heads), total in zip(self.capture.items(), totals, strict=True):
            for here, there in head_runs(heads, block.heads):
                part = quantity_of_maps(quantity, maps[:, here], None, self._targets_of(quantity, block))
                block.numbers(total, quantity, there).add_(part)

    def add_gradients(self, map_grad: Tensor, grads: Sequence[Tensor | None], maps: Tensor, block: _Block) -> None:
        """Add to the gradient of a block's maps what comes from the quantities' gradients."""
        for (quantity, heads), grad in zip(self.capture.items(), grads, strict=True):
            if grad is None:
                continue
            for here, there in head_runs(heads, block.heads):
                part, targets = block.numbers(grad, quantity, there), self._targets_of(quantity, block)
                add_gradient_(map_grad[:, here], quantity, part, maps[:, here], None, targets)

    def _targets_of(self, quantity: Quantity, block: _Block) -> Mapping[str, Target]:
        if not quantity.startswith(MASS):
            return NO_TARGETS
        name = quantity.removeprefix(MASS)
        return {name: block_target(self.targets[name], block.samples, block.rows, block.length)}


@dataclass(frozen=True)
class _Block:
    """Cells of the maps that are made together; `length` is the greatest of `lengths`, the number of columns."""

    samples: slice
    heads: slice
    rows: slice
    lengths: tuple[int, ...]
    length: int

    def of(self, tensor: Tensor) -> Tensor:
        """The block's rows of a tensor (batch, heads, length, ...): a view, shape (samples, heads, rows, ...)."""
        return tensor[self.samples, self.heads, self.rows]

    def copy(self, tensor: Tensor) -> Tensor:
        """The same rows, apart and contiguous, shape (samples * heads, rows, ...)."""
        return self.of(tensor).clone(memory_format=torch.contiguous_format).flatten(0, 1)

    def split(self, rows: Tensor) -> Tensor:
        """(samples * heads, ...) -> (samples, heads, ...)."""
        return rows.view(len(self.lengths), -1, *rows.shape[1:])

    def numbers(self, tensor: Tensor, quantity: Quantity, heads: slice) -> Tensor:
        """The block's part of a quantity (batch, captured heads, length): its columns' or else its rows'."""
        return tensor[self.samples, heads, slice(0, self.length) if quantity == "received" else self.rows]

    def parts(self) -> Iterator[_Block]:
        """The block in runs of rows: one, unless a single map is larger than a block ought to be."""
        size = max(1, BLOCK_CELLS // (len(self.lengths) * (self.heads.stop - self.heads.start) * self.length))
        for start in range(0, self.length, size):
            yield replace(self, rows=slice(start, min(start + size, self.length)))


def _blocks(lengths: Sequence[int], query: Tensor) -> Iterator[_Block]:
    """Neighbouring samples together, or some heads of one sample, as many as make about `BLOCK_CELLS`."""
    num_heads, start = query.shape[1], 0
    while start < len(lengths):
        stop, length = start + 1, lengths[start]
        while stop < len(lengths):
            longer = max(length, lengths[stop])
            if (stop + 1 - start) * num_heads * longer**2 > BLOCK_CELLS:
                break
            stop, length = stop + 1, longer
        heads = min(num_heads, max(2, BLOCK_CELLS // max(1, length**2)))  # torch's product copies a lone transposed one
        for first in range(0, num_heads, heads):
            if length:
                yield _Block(
                    samples=slice(start, stop),
                    heads=slice(first, min(first + heads, num_heads)),
                    rows=slice(0, length),
                    lengths=tuple(lengths[start:stop]),
                    length=length,
                )
        start = stop


def _maps(q: Tensor, k: Tensor, block: _Block) -> Tensor:
    """Clean maps in float32 at least, shape (samples * heads, rows, columns); padded columns and rows are exactly 0.

    A padded row of zeros adds nothing to column sums, output and gradients.
    """
    scores = q @ k.mT
    scores = scores.to(_wide(scores.dtype))
    if min(block.lengths) == block.length:
        return scores.softmax(-1)
    real = torch.arange(block.length) < torch.tensor(block.lengths)[:, None]
    padding = torch.zeros(real.shape, dtype=scores.dtype).masked_fill_(~real, -torch.inf)
    block.split(scores).add_(padding[:, None, None, :])
    maps = scores.softmax(-1)
    drop_(block.split(maps), -real[:, None, block.rows, None].to(torch.int16))
    return maps


class _Drops:
    """Which cells of a layer's maps attention dropout drops; the same in forward and backward for one seed."""

    def __init__(self, query: Tensor, rate: float, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self._rows = random_keys(*query.shape[:3], generator=generator)
        self._columns = column_keys(query.shape[2], generator)
        self._rate = rate

    def mask(self, block: _Block) -> Tensor:
        """-1 for cells that stay, 0 for dropped ones; shape of the block's maps."""
        return keep_mask(block.of(self._rows).flatten(0, 1), self._columns, block.length, self._rate)


def _plus(total: Tensor | None, part: Tensor) -> Tensor:
    """A running sum in float32 at least, where there is more than one part."""
    return part if total is None else total.to(_wide(part.dtype)).add_(part)


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


def _zeros_heads_last(like: Tensor) -> Tensor:
    """Zeros of shape (batch, heads, length, head_dim), laid out so that merging the heads copies nothing."""
    batch, heads, length, size = like.shape
    return like.new_zeros((batch, length, heads, size)).transpose(1, 2)
