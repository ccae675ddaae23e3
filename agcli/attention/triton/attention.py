"""The GPU path: guided attention by Triton kernels, differentiable, compilable, and never waiting for the device."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from agcli.attention.triton.operators import Attend, attend_operator
from agcli.attention.triton.plan import plan_rows
from agcli.guides.capture import RECEIVED, LayerCapture, Quantity, of_heads
from agcli.guides.targets import NO_TARGETS, Target

WIDEST_HEAD = 128
TYPES = (torch.bfloat16, torch.float16, torch.float32)


def why_not_triton(query: Tensor) -> str | None:
    """Why the kernels cannot take such queries, as a clause for a message; None if they can."""
    if query.dtype not in TYPES:
        return f"the kernels do not calculate in {str(query.dtype).removeprefix('torch.')}"
    if query.shape[-1] > WIDEST_HEAD:
        return f"the kernels take heads up to {WIDEST_HEAD} wide, not {query.shape[-1]}"
    return _why_not_on(query.device)  # type: ignore[no-any-return]


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _why_not_on(device: torch.device) -> str | None:
    if not _triton_is_installed():
        return "the package triton is not installed"
    if os.environ.get("TRITON_INTERPRET") == "1":  # Triton's interpreter: for tests, on any device
        return None
    if device.type != "cuda":
        return f"the kernels run on NVIDIA GPUs, not on {device.type}"
    if torch.version.hip is not None:
        return "the kernels run on NVIDIA GPUs and were never tried on AMD's"
    major, minor = torch.cuda.get_device_capability(device)
    if major < 8:  # no bfloat16 in the tensor cores
        return f"the kernels need compute capability 8.0, and this GPU has {major}.{minor}"
    return _why_no_launch()


@functools.cache
def _triton_is_installed() -> bool:
    return find_spec("triton") is not None


@functools.cache
def _why_no_launch() -> str | None:
    """Triton builds its launcher with the machine's C compiler, which not every image has."""
    from triton.runtime import driver

    try:
        driver.active.utils  # noqa: B018  # the first access builds it
    except Exception as error:
        return f"triton cannot launch kernels here: {(str(error) or type(error).__name__).splitlines()[0]}"
    return None


def triton_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    *,
    scaling: float,
    dropout: float = 0.0,
    capture: LayerCapture = RECEIVED,
    targets: Mapping[str, Target] = NO_TARGETS,
) -> tuple[Tensor, dict[Quantity, Tensor]]:
    """Scaled dot-product attention and the quantities in `capture`, keeping no map.

    At real rows this equals the reference. A padded query's output is 0 and no gradient comes back through it, so a
    sample that is padding throughout has output, quantities and gradients of 0.

    Shape:
        query, key, value: (batch, heads, length, head_dim).
        mask: (batch, length), True or 1 for real tokens, or None when there is no padding.
        returns: output (batch, heads, length, head_dim), laid out so that `transpose(1, 2)` is contiguous, and
            quantities (batch, captured heads, length) in float32.

    Args:
        query: queries that the kernels can take, see `why_not_triton`.
        scaling: positive factor on the dot products.
        dropout: attention dropout rate, below 1, met to 1/65536. Its seed is drawn from torch's generator on the
            device, so that a forward that is recomputed under activation checkpointing drops the same cells.
        capture: received attention and numbers of rows, at most one mass a head, see `why_no_plan`.
        targets: name -> target of the masses in `capture`; no gradient comes back to it. Weights that are not
            contiguous, and those of several `Cells` if their types differ, are copied.

    Raises:
        ValueError: a target's weights require a gradient.
    """
    query, key = query.to(value.dtype), key.to(value.dtype)  # rotated under autocast they may have stayed in float32
    seed = torch.randint(2**62, (1,), device=query.device) if dropout else None
    plan = plan_rows(capture, targets, query)
    run: Any = attend_operator if torch.compiler.is_compiling() else Attend.apply
    settings = (plan.columns, plan.cells, plan.lines or None, scaling, dropout, "received" in capture)
    output, received, statistics, _ = run(query, key, value, mask, seed, *settings)
    captured = {"received": of_heads(received, capture["received"])} if "received" in capture else {}
    if plan.heads:
        captured |= zip(plan.heads, statistics.split(list(plan.heads.values()), 1), strict=True)
    return output, captured
