"""Which implementation of guided attention runs: the one public door, and the rule behind `--attention auto`."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from agcli.attention.cpu import blockwise_attention
from agcli.attention.reference import Capture, reference_attention
from agcli.attention.triton.attention import triton_attention, why_not_triton
from agcli.errors import UsageError

Implementation = Literal["auto", "reference", "cpu", "triton"]
"""`reference` keeps the maps; `cpu` and `triton` make them anew, block by block; `auto` takes what is fastest."""

IMPLEMENTATIONS: tuple[Implementation, ...] = get_args(Implementation)

SHORT = 64
"""Below this padded length `auto` takes the reference on the CPU, from it on the CPU path.

Guided steps of `minilm`, batch 32, dropout 0.1, bf16, two cores (AMD EPYC, AVX-512 bf16), median of 25, reference and
CPU path: length 32: 0.334 s and 0.316 s; 64: 0.556 s and 0.574 s; 96: 0.818 s and 0.823 s; 128: 1.237 s and 1.163 s.
Up to 96 that is one and the same within the noise, while the peak of memory parts from 64 on: 1313 and 1212 MiB, at
128 1986 and 1479. A layer alone, ragged rows: 24 tokens 4.3 and 5.8 ms, 48 8.5 and 8.8, 64 15.8 and 16.2, 96 29.0 and
27.6, 128 97 and 55, 256 734 and 178.
"""


def guided_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    *,
    scaling: float,
    dropout: float = 0.0,
    implementation: Implementation = "auto",
) -> tuple[Tensor, Tensor]:
    """Scaled dot-product attention and the attention that each token received.

    Source: Wang et al. 2022, Eq. 8, summed over real queries, of the map before dropout. Both outputs are
    differentiable in query, key and value.

    Shape:
        query, key, value: (batch, heads, length, head_dim).
        mask: (batch, length), True for real tokens, or None where all are.
        returns: output (batch, heads, length, head_dim); received (batch, heads, length), in float32 at least, 0 for
            padded tokens. What padded rows of the output hold depends on the implementation.

    Args:
        query: queries.
        key: keys.
        value: values.
        mask: real tokens.
        scaling: positive factor on the dot products, such as head_dim ** -0.5.
        dropout: attention dropout rate; acts on the output only.
        implementation: `auto`, or one that is forced.

    Raises:
        UsageError: the forced implementation cannot do this; the message names the cause.
        ValueError: shapes that do not belong together, or an impossible dropout rate or implementation.
    """
    output, received = attend(
        query, key, value, mask, scaling=scaling, dropout=dropout, capture="received", implementation=implementation
    )
    assert received is not None
    return output, received


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    *,
    scaling: float,
    dropout: float = 0.0,
    window: int | None = None,
    capture: Capture = "received",
    implementation: Implementation = "auto",
) -> tuple[Tensor, Tensor | None]:
    """`guided_attention` for every `capture`, windows included; received is None for `none`.

    Raises:
        UsageError: the forced implementation cannot do this.
        ValueError: shapes that do not belong together, or an impossible dropout rate or implementation.
    """
    _refuse_nonsense(query, key, value, mask, dropout, implementation)
    chosen = choose(query, mask, dropout=dropout, window=window, capture=capture, implementation=implementation)
    if chosen == "reference":
        return reference_attention(
            query, key, value, mask, scaling=scaling, dropout=dropout, window=window, capture=capture
        )
    if chosen == "sdpa":
        return _sdpa(query, key, value, mask, scaling, dropout), None
    if chosen == "triton":
        return triton_attention(
            query, key, value, mask, scaling=scaling, dropout=dropout, capture=capture == "received"
        )
    lengths = _lengths(query, mask)
    assert lengths is not None
    found: tuple[Tensor, Tensor | None] = blockwise_attention(
        query, key, value, lengths, scaling=scaling, dropout=dropout, capture=capture == "received"
    )
    return found


def _refuse_nonsense(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, dropout: float, implementation: str
) -> None:
    if implementation not in IMPLEMENTATIONS:
        raise ValueError(f"implementation {implementation!r} is not allowed; allowed: {', '.join(IMPLEMENTATIONS)}")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout {dropout} is not allowed; allowed: from 0 to below 1")
    fits = query.dim() == 4 and query.shape == key.shape == value.shape
    if not fits or (mask is not None and mask.shape != (query.shape[0], query.shape[2])):
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in (query, key, value))
        raise ValueError(
            "query, key and value must share one shape (batch, heads, length, head_dim), and a mask must be (batch, "
            f"length); got {shapes}, mask {None if mask is None else tuple(mask.shape)}"
        )


def choose(
    query: Tensor,
    mask: Tensor | None,
    *,
    dropout: float,
    window: int | None,
    capture: Capture,
    implementation: Implementation,
) -> Literal["reference", "cpu", "triton", "sdpa"]:
    """What runs for these tensors; `sdpa` is torch's own attention, for forwards that capture nothing.

    Raises:
        UsageError: the forced implementation cannot do this.
    """
    if implementation == "reference":
        return "reference"
    if implementation != "auto":
        _refuse(implementation, _why_only_reference(window, capture) or _WHY_NOT[implementation](query, mask))
        return implementation
    on_cpu = query.device.type == "cpu"
    # In training on a CPU a monitored and an unmonitored run are the same bit for bit, so there both take our own.
    if window is None and capture == "none" and not (on_cpu and (dropout or query.requires_grad)):
        return "sdpa"
    if _why_reference(query, mask, window, capture):
        return "reference"
    return "cpu" if on_cpu else "triton"


def why_maps_are_kept(implementation: Implementation, query: Tensor, capture: Capture) -> str | None:
    """Why a training forward with such queries keeps whole maps for its backward pass, or None if it does not."""
    if implementation == "reference":
        return "--attention reference does"
    without_capture = capture == "none" and query.device.type != "cpu"
    return None if implementation != "auto" or without_capture else _why_reference(query, None, None, capture)


def _why_reference(query: Tensor, mask: Tensor | None, window: int | None, capture: Capture) -> str | None:
    """Why `auto` takes the reference where attention is captured or learnt, or None if it does not."""
    cause = _why_only_reference(window, capture)
    if cause is None and query.device.type == "cpu" and query.shape[-2] < SHORT:
        cause = f"below {SHORT} tokens nothing is gained by making them anew"
    return cause or (_why_not_cpu if query.device.type == "cpu" else _why_not_triton)(query, mask)


def check(implementation: Implementation, device: torch.device) -> None:
    """Whether a forced implementation can run on a device at all.

    Raises:
        UsageError: it cannot.
    """
    if implementation in _WHY_NOT:
        _refuse(implementation, _WHY_NOT[implementation](torch.empty((1, 1, 1, 64), device=device), None))


def _refuse(implementation: Implementation, cause: str | None) -> None:
    if cause is not None:
        raise UsageError(f"--attention {implementation}: {cause}.", hint="--attention auto takes what can do it")


def _why_only_reference(window: int | None, capture: Capture) -> str | None:
    if window is not None:
        return "a sliding window (ModernBERT's local layers) runs on the reference only"
    return "the released arithmetic needs the maps, which the reference alone keeps" if capture == "released" else None


def _why_not_triton(query: Tensor, _: Tensor | None) -> str | None:
    return why_not_triton(query)


def _why_not_cpu(query: Tensor, mask: Tensor | None) -> str | None:
    if query.device.type != "cpu":
        return f"the CPU path cannot run on {query.device.type}"
    if _lengths(query, mask) is None:
        return "the CPU path needs each sample's real tokens first and the padding after them"
    return None


_WHY_NOT = {"cpu": _why_not_cpu, "triton": _why_not_triton}
"""Forced implementation -> (query, mask) -> why it cannot run, or None."""


@torch.compiler.disable  # type: ignore[untyped-decorator]  # it looks at the mask's values
def _lengths(query: Tensor, mask: Tensor | None) -> list[int] | None:
    """Real tokens of each sample, or None where padding does not come last."""
    if mask is None:
        return [query.shape[-2]] * query.shape[0]
    mask = mask.bool()
    lengths = mask.sum(-1)
    if not torch.equal(mask, torch.arange(mask.shape[-1]) < lengths[:, None]):
        return None
    return list(lengths.tolist())


def _sdpa(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float, dropout: float) -> Tensor:
    """Torch's fused attention. The mask is added: twice as fast on the CPU as a bool one; finite, as the reference."""
    bias = None
    if mask is not None:
        lowest = torch.finfo(query.dtype).min
        bias = torch.zeros(mask.shape, dtype=query.dtype, device=query.device).masked_fill_(~mask.bool(), lowest)
        bias = bias[:, None, None, :]
        if query.device.type != "cpu":
            bias = bias.expand(-1, -1, query.shape[-2], -1)
    return scaled_dot_product_attention(query, key, value, attn_mask=bias, dropout_p=dropout, scale=scaling)
