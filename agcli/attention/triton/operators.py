"""Guided attention by Triton kernels, as something torch can differentiate and compile.

Kept for the backward pass are queries, keys, values, output, the targets, which all layers share, and for each row of
the map one number and those that are captured.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from agcli.attention.triton.plan import captured, plan_arguments
from agcli.attention.triton.tiles import INTERPRETER, Tile, Tiles, tiles_for


def run_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    seed: Tensor | None,
    columns: Sequence[Tensor],
    cells: Sequence[Tensor],
    rows: Sequence[int] | None,
    scaling: float,
    dropout: float,
    capture: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Launch the forward kernels: output, received attention, statistics of rows, and normaliser.

    The last is each row's log2-sum-exp2. `rows`, `columns` and `cells` are a `RowPlan`'s.

    Shape:
        query, key, value, output: (batch, heads, length, head_dim).
        mask: (batch, length), bool or integers.
        seed: (1,), int64, on the device; needed where there is dropout.
        received, normaliser: (batch, heads, length), float32; received is empty without `capture`.
        statistics: (batch, slots of the plan, length), float32.
    """
    from agcli.attention.triton.forward import forward, receive

    query, key, value = _dense(query), _dense(key), _dense(value)
    output, received, statistics, normaliser = _empty_outputs(query, rows, capture)
    tiles = _tiles(query, bool(cells))
    shared: dict[str, Any] = {"key": key, "normaliser": normaliser, **_strides(query=query, key=key)}
    shared |= {**_mask(mask), "scale": scaling / math.log(2)}
    fused = capture and query.shape[2] <= tiles.forward.queries
    _launch(
        forward,
        tiles.forward,
        tiles.forward.queries,
        query,
        **shared,
        **_dropout(dropout, seed),
        **_strides(value=value),
        **plan_arguments(rows, columns, cells, query.device),
        value=value,
        output=output,
        statistics=statistics if rows else None,
        received=received if fused else None,
    )
    if capture and not fused:
        _launch(receive, tiles.receive, tiles.receive.keys, query, **shared, received=received)
    return output, received, statistics, normaliser


def run_backward(
    gradient: Tensor,
    guide: Tensor | None,
    row_gradients: Tensor | None,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    seed: Tensor | None,
    columns: Sequence[Tensor],
    cells: Sequence[Tensor],
    rows: Sequence[int] | None,
    output: Tensor,
    statistics: Tensor,
    normaliser: Tensor,
    scaling: float,
    dropout: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of queries, keys and values from those of what `run_forward` gives.

    Those are `gradient` of the output, `guide` of received attention and `row_gradients` of the statistics of rows.
    """
    from agcli.attention.triton.backward import backward_keys, backward_queries, backward_whole

    query, key, value, gradient = _dense(query), _dense(key), _dense(value), _dense(gradient)
    guide = None if guide is None else _dense(guide)
    for_query, for_key, for_value = _empty_gradients(query)
    tiles = _tiles(query, bool(cells))
    shared: dict[str, Any] = {"key": key, "value": value, "normaliser": normaliser, "gradient": gradient}
    shared |= _strides(query=query, key=key, value=value, gradient=gradient)
    from_sample, from_head = (0, 0) if guide is None else guide.stride()[:2]
    shared |= {"guide": guide, "guide_sample": from_sample, "guide_head": from_head}
    shared |= {**_mask(mask), **_dropout(dropout, seed), "scaling": scaling, "scale": scaling / math.log(2)}
    if row_gradients is None:
        rows, columns, cells = None, [], []
    shared |= plan_arguments(rows, columns, cells, query.device)
    shared["row_gradients"] = None if row_gradients is None else row_gradients.contiguous()
    of_rows = {"output": output, "statistics": statistics if rows else None, "query_gradient": for_query}
    of_keys = {"key_gradient": for_key, "value_gradient": for_value}
    if tiles.whole is not None:
        _launch(backward_whole, tiles.whole, tiles.whole.queries, query, **shared, **of_rows, **of_keys)
    else:
        shared["delta"] = torch.empty_like(normaliser)
        _launch(backward_queries, tiles.by_query, tiles.by_query.queries, query, **shared, **of_rows)
        _launch(backward_keys, tiles.by_key, tiles.by_key.keys, query, **shared, **of_keys)
    return for_query, for_key, for_value


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    *tensors, columns, cells, ctx.rows, ctx.scaling, ctx.dropout, capture = inputs
    mixed, received, statistics, normaliser = output
    ctx.save_for_backward(mixed, statistics, normaliser, *tensors, *columns, *cells)
    ctx.columns, ctx.cells = len(columns), len(cells)
    empty = [tensor for tensor, given in ((received, capture), (statistics, ctx.rows)) if not given]
    ctx.mark_non_differentiable(normaliser, *empty)
    ctx.set_materialize_grads(False)  # where no guide sends a gradient the kernels skip its part


def _backward_arguments(ctx: Any, gradient: Tensor | None, *guides: Tensor | None) -> tuple[Any, ...]:
    # Once: under activation checkpointing a second look is an error.
    mixed, statistics, normaliser, query, key, value, mask, seed, *weights = ctx.saved_tensors
    gradient = torch.zeros_like(mixed) if gradient is None else gradient
    targets = weights[: ctx.columns], weights[ctx.columns :], ctx.rows
    kept = mixed, statistics, normaliser, ctx.scaling, ctx.dropout
    return gradient, *guides, query, key, value, mask, seed, *targets, *kept


class Attend(torch.autograd.Function):
    """`run_forward`, differentiable, in eager mode.

    Compiled code calls `attend_operator`, which torch does not trace; in eager mode operators would cost 70 µs a
    layer, forward and backward, more than a plain autograd function does.
    """

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """As `run_forward`."""
        output = run_forward(*inputs)
        _keep(ctx, inputs, output)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        """Gradients of `forward`'s inputs."""
        return *run_backward(*_backward_arguments(ctx, *gradients[:-1])), *[None] * 8


attend_operator = torch.library.custom_op("agcli::attend", run_forward, mutates_args=())
backward_operator = torch.library.custom_op("agcli::attend_backward", run_backward, mutates_args=())


@attend_operator.register_fake
def _(query: Tensor, *others: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    *_, rows, _, _, capture = others
    return _empty_outputs(query, rows, capture)


@backward_operator.register_fake
def _(gradient: Tensor, guide: Any, row_gradients: Any, query: Tensor, *_: object) -> tuple[Tensor, Tensor, Tensor]:
    return _empty_gradients(query)


def _gradients(ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:
    """Gradients of `attend_operator`'s inputs, one of each list's tensors too."""
    of_lists = ([None] * ctx.columns, [None] * ctx.cells)
    return *backward_operator(*_backward_arguments(ctx, *gradients[:-1])), None, None, *of_lists, *[None] * 4


attend_operator.register_autograd(_gradients, setup_context=_keep)


def _empty_outputs(query: Tensor, rows: Sequence[int] | None, capture: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    batch, heads, length = query.shape[:3]
    received = query.new_empty((batch, heads, length) if capture else (0,), dtype=torch.float32)
    statistics = query.new_empty((batch, captured(rows), length) if rows else (0,), dtype=torch.float32)
    normaliser = query.new_empty((batch, heads, length), dtype=torch.float32)
    return _empty_output(query), received, statistics, normaliser


def _empty_gradients(query: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return _empty_output(query), _empty_output(query), _empty_output(query)


def _empty_output(query: Tensor) -> Tensor:
    """Shaped like queries, laid out (batch, length, heads, head_dim) as transformers' next step wants it."""
    batch, heads, length, head_dim = query.shape
    return query.new_empty(batch, length, heads, head_dim).transpose(1, 2)


def _dense(tensor: Tensor) -> Tensor:
    """With contiguous rows, as the kernels read them."""
    return tensor if tensor.stride(-1) == 1 else tensor.contiguous()


def _tiles(query: Tensor, cells: bool) -> Tiles:
    on_device = query.device.type == "cuda"
    capability = torch.cuda.get_device_capability(query.device) if on_device else INTERPRETER
    return tiles_for(query.shape[2], _width(query.shape[3]), query.element_size(), capability, cells=cells)


@functools.cache
def _width(head_dim: int) -> int:
    """The head's size padded to a power of two that tensor cores take."""
    return max(16, 1 << (head_dim - 1).bit_length())


def _strides(**tensors: Tensor) -> dict[str, tuple[int, ...]]:
    """Kernel arguments: from sample to sample, head to head, token to token."""
    return {f"{name}_strides": tensor.stride()[:3] for name, tensor in tensors.items()}


def _mask(mask: Tensor | None) -> dict[str, Any]:
    """Kernel arguments: the mask as integers."""
    if mask is None:
        return {"mask": None, "mask_stride": 0}
    mask = _dense(mask.view(torch.uint8) if mask.dtype == torch.bool else mask)
    return {"mask": mask, "mask_stride": mask.stride(0)}


def _dropout(rate: float, seed: Tensor | None) -> dict[str, Any]:
    """Kernel arguments: how many of the 65536 values of 16 random bits drop a cell, and the factor on the others."""
    threshold = min(round(rate * 65536), 65535)
    return {"seed": seed, "threshold": threshold, "keep_scale": 65536 / (65536 - threshold)}


def _launch(kernel: Any, tile: Tile, step: int, query: Tensor, **arguments: object) -> None:
    """Run a kernel: for each head of each sample a program for every `step` tokens."""
    batch, heads, length, head_dim = query.shape
    with torch.cuda.device(query.device) if query.is_cuda else nullcontext():
        kernel[-(-length // step), heads, batch](
            query=query,
            length=length,
            **arguments,
            HEAD_DIM=head_dim,
            WIDTH=_width(head_dim),
            ROWS=tile.queries,
            KEYS=tile.keys,
            SPAN=tile.queries if length <= tile.queries else 1024,
            num_warps=tile.warps,
            num_stages=tile.stages,
            enable_fp_fusion=True,
        )
