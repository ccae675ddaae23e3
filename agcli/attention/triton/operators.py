"""Guided attention by Triton kernels, as something torch can differentiate and compile.

Kept for the backward pass are queries, keys, values, output and one number a row.
"""

from __future__ import annotations

import functools
import math
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from agcli.attention.triton.tiles import INTERPRETER, Tile, Tiles, tiles_for


def run_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    seed: Tensor | None,
    scaling: float,
    dropout: float,
    capture: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Launch the forward kernels: output, received attention and normaliser (each row's log2-sum-exp2).

    Shape:
        query, key, value, output: (batch, heads, length, head_dim).
        mask: (batch, length), bool or integers.
        seed: (1,), int64, on the device; needed where there is dropout.
        received, normaliser: (batch, heads, length), float32; received is empty without `capture`.
    """
    from agcli.attention.triton.forward import forward, receive

    query, key, value = _dense(query), _dense(key), _dense(value)
    output, received, normaliser = _empty_outputs(query, capture)
    tiles = _tiles(query)
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
        value=value,
        output=output,
        received=received if fused else None,
    )
    if capture and not fused:
        _launch(receive, tiles.receive, tiles.receive.keys, query, **shared, received=received)
    return output, received, normaliser


def run_backward(
    gradient: Tensor,
    guide: Tensor | None,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    seed: Tensor | None,
    output: Tensor,
    normaliser: Tensor,
    scaling: float,
    dropout: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of queries, keys and values from those of the output (`gradient`) and received attention (`guide`)."""
    from agcli.attention.triton.backward import backward_keys, backward_queries, backward_whole

    query, key, value, gradient = _dense(query), _dense(key), _dense(value), _dense(gradient)
    guide = None if guide is None else _dense(guide)
    for_query, for_key, for_value = _empty_gradients(query)
    tiles = _tiles(query)
    shared: dict[str, Any] = {"key": key, "value": value, "normaliser": normaliser, "gradient": gradient}
    shared |= _strides(query=query, key=key, value=value, gradient=gradient)
    from_sample, from_head = (0, 0) if guide is None else guide.stride()[:2]
    shared |= {"guide": guide, "guide_sample": from_sample, "guide_head": from_head}
    shared |= {**_mask(mask), **_dropout(dropout, seed), "scaling": scaling, "scale": scaling / math.log(2)}
    of_keys = {"key_gradient": for_key, "value_gradient": for_value}
    if tiles.whole is not None:
        shared |= {"output": output, "query_gradient": for_query}
        _launch(backward_whole, tiles.whole, tiles.whole.queries, query, **shared, **of_keys)
    else:
        shared["delta"] = torch.empty_like(normaliser)
        of_queries = {"output": output, "query_gradient": for_query}
        _launch(backward_queries, tiles.by_query, tiles.by_query.queries, query, **shared, **of_queries)
        _launch(backward_keys, tiles.by_key, tiles.by_key.keys, query, **shared, **of_keys)
    return for_query, for_key, for_value


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    *tensors, ctx.scaling, ctx.dropout, capture = inputs
    mixed, received, normaliser = output
    ctx.save_for_backward(*tensors, mixed, normaliser)
    ctx.mark_non_differentiable(normaliser, *([] if capture else [received]))
    ctx.set_materialize_grads(False)  # where no guide sends a gradient the kernels skip its part


def _backward_arguments(ctx: Any, gradient: Tensor | None, guide: Tensor | None) -> tuple[Any, ...]:
    saved = ctx.saved_tensors  # once: under activation checkpointing a second look is an error
    gradient = torch.zeros_like(saved[-2]) if gradient is None else gradient
    return gradient, guide, *saved, ctx.scaling, ctx.dropout


class Attend(torch.autograd.Function):
    """`run_forward`, differentiable, in eager mode.

    Compiled code calls `attend_operator`, which torch does not trace; in eager mode operators would cost 70 µs a
    layer, forward and backward, more than a plain autograd function does.
    """

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, Tensor, Tensor]:
        """As `run_forward`."""
        output = run_forward(*inputs)
        _keep(ctx, inputs, output)
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor | None, guide: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
        """Gradients of `forward`'s inputs."""
        return *run_backward(*_backward_arguments(ctx, gradient, guide)), *[None] * 5


attend_operator = torch.library.custom_op("agcli::attend", run_forward, mutates_args=())
backward_operator = torch.library.custom_op("agcli::attend_backward", run_backward, mutates_args=())


@attend_operator.register_fake
def _(query: Tensor, *others: Any) -> tuple[Tensor, Tensor, Tensor]:
    *_, capture = others
    return _empty_outputs(query, capture)


@backward_operator.register_fake
def _(gradient: Tensor, guide: Tensor | None, query: Tensor, *_: object) -> tuple[Tensor, Tensor, Tensor]:
    return _empty_gradients(query)


def _gradients(ctx: Any, gradient: Tensor | None, guide: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
    """Gradients of `attend_operator`'s inputs."""
    return *backward_operator(*_backward_arguments(ctx, gradient, guide)), *[None] * 5


attend_operator.register_autograd(_gradients, setup_context=_keep)


def _empty_outputs(query: Tensor, capture: bool) -> tuple[Tensor, Tensor, Tensor]:
    rows = query.shape[:3]
    received = query.new_empty(rows if capture else (0,), dtype=torch.float32)
    return _empty_output(query), received, query.new_empty(rows, dtype=torch.float32)


def _empty_gradients(query: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return _empty_output(query), _empty_output(query), _empty_output(query)


def _empty_output(query: Tensor) -> Tensor:
    """Shaped like queries, laid out (batch, length, heads, head_dim) as transformers' next step wants it."""
    batch, heads, length, head_dim = query.shape
    return query.new_empty(batch, length, heads, head_dim).transpose(1, 2)


def _dense(tensor: Tensor) -> Tensor:
    """With contiguous rows, as the kernels read them."""
    return tensor if tensor.stride(-1) == 1 else tensor.contiguous()


def _tiles(query: Tensor) -> Tiles:
    on_device = query.device.type == "cuda"
    capability = torch.cuda.get_device_capability(query.device) if on_device else INTERPRETER
    return tiles_for(query.shape[2], _width(query.shape[3]), query.element_size(), capability)


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
