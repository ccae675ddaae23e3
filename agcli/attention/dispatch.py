"""Which implementation of guided attention runs: the public function, and the rule behind `--attention auto`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal, get_args, overload

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from agcli.attention.cpu import blockwise_attention
from agcli.attention.masks import AttentionMask, as_mask
from agcli.attention.reference import reference_attention
from agcli.attention.triton.attention import triton_attention, why_not_triton
from agcli.attention.triton.plan import why_no_plan
from agcli.errors import UsageError
from agcli.guides.capture import MAP_QUANTITIES, MASS, NOTHING, RECEIVED, LayerCapture, Quantity, check_layer_capture
from agcli.guides.targets import NO_TARGETS, Target, check_target

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


@overload
def guided_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | AttentionMask | None,
    *,
    scaling: float,
    dropout: float = ...,
    capture: None = ...,
    targets: Mapping[str, Target] = ...,
    implementation: Implementation = ...,
) -> tuple[Tensor, Tensor]: ...


@overload
def guided_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | AttentionMask | None,
    *,
    scaling: float,
    dropout: float = ...,
    capture: LayerCapture,
    targets: Mapping[str, Target] = ...,
    implementation: Implementation = ...,
) -> tuple[Tensor, dict[Quantity, Tensor]]: ...


def guided_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | AttentionMask | None,
    *,
    scaling: float,
    dropout: float = 0.0,
    capture: LayerCapture | None = None,
    targets: Mapping[str, Target] = NO_TARGETS,
    implementation: Implementation = "auto",
) -> tuple[Tensor, Tensor | dict[Quantity, Tensor]]:
    """Scaled dot-product attention, and the attention that each token received or what else is captured.

    Source: Wang et al. 2022, Eq. 8, summed over real queries, of the map before dropout. All outputs are
    differentiable in query, key and value, and in a mask's bias and gate.

    Shape:
        query, key, value: (batch, heads, length, head_dim).
        mask: (batch, length), True for real tokens, or an `AttentionMask`; None where all are real.
        returns: output (batch, heads, length, head_dim); received (batch, heads, length), in float32 at least, 0 for
            padded tokens. With `capture`, a dictionary of the quantities of the captured heads, shaped as
            `agcli.guides.capture.Quantity` says. What padded rows of the output hold depends on the implementation.

    Args:
        scaling: positive factor on the dot products, such as head_dim ** -0.5.
        dropout: attention dropout rate; acts on the output only.
        capture: quantity -> heads: `{"entropy": "all", "mass:following": (0, 1)}`.
        targets: name -> target of each captured mass: `{"following": Diagonal(1)}`.
        implementation: `auto`, or one that is forced.

    Raises:
        UsageError: the forced implementation cannot do this; the message names the cause.
        ValueError: shapes that do not belong together, an impossible dropout rate or implementation, or a mass
            without its target.
    """
    wanted = RECEIVED if capture is None else capture
    settings: dict[str, Any] = {"scaling": scaling, "dropout": dropout, "implementation": implementation}
    output, captured = attend(query, key, value, mask, capture=wanted, targets=targets, **settings)
    return output, captured["received"] if capture is None else captured


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | AttentionMask | None,
    *,
    scaling: float,
    dropout: float = 0.0,
    window: int | None = None,
    capture: LayerCapture = NOTHING,
    targets: Mapping[str, Target] = NO_TARGETS,
    implementation: Implementation = "auto",
) -> tuple[Tensor, dict[Quantity, Tensor]]:
    """`guided_attention` for any quantities and windows.

    Raises:
        UsageError: the forced implementation cannot do this.
        ValueError: as `guided_attention`.
    """
    mask = as_mask(mask)
    _check(query, key, value, mask, dropout, implementation)
    _check_capture(capture, targets, query)
    chosen = choose(query, mask, dropout=dropout, window=window, capture=capture, implementation=implementation)
    if chosen == "reference":
        settings: dict[str, Any] = {"scaling": scaling, "dropout": dropout, "window": window}
        return reference_attention(query, key, value, mask, capture=capture, targets=targets, **settings)
    if chosen == "sdpa":
        return _sdpa(query, key, value, mask.padding, scaling, dropout), {}
    settings = {"scaling": scaling, "dropout": dropout}
    if chosen == "cpu":
        lengths = _lengths(query, mask.padding)
        outputs: tuple[Tensor, dict[Quantity, Tensor]] = blockwise_attention(
            query, key, value, lengths, capture=capture, targets=targets, **settings
        )
        return outputs
    return triton_attention(query, key, value, mask.padding, capture=capture, targets=targets, **settings)


def _check_capture(capture: LayerCapture, targets: Mapping[str, Target], query: Tensor) -> None:
    """Refuse a quantity without its target, a target of another batch, and heads that are not there."""
    check_layer_capture(capture, query.shape[1])
    for quantity in capture:
        name = quantity.removeprefix(MASS)
        if quantity.startswith(MASS):
            if name not in targets:
                raise ValueError(f"{quantity} needs a target named {name!r}; there are: {', '.join(targets) or 'none'}")
            check_target(name, targets[name], query.shape[0], query.shape[2])


def _check(query: Tensor, key: Tensor, value: Tensor, mask: AttentionMask, dropout: float, implementation: str) -> None:
    if implementation not in IMPLEMENTATIONS:
        raise ValueError(f"implementation {implementation!r} is not allowed; allowed: {', '.join(IMPLEMENTATIONS)}")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout {dropout} is not allowed; allowed: from 0 to below 1")
    if not (query.dim() == 4 and query.shape == key.shape == value.shape and mask.fits(query)):
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in (query, key, value))
        cells = (mask.padding, mask.bias, mask.gate)
        masks = ", ".join(str(None if tensor is None else tuple(tensor.shape)) for tensor in cells)
        raise ValueError(
            "query, key and value must share one shape (batch, heads, length, head_dim), and a mask must be (batch, "
            "length), its bias and gate broadcastable to (batch, heads, length, length); "
            f"got {shapes}, padding, bias and gate {masks}"
        )


def choose(
    query: Tensor,
    mask: Tensor | AttentionMask | None,
    *,
    dropout: float,
    window: int | None,
    capture: Collection[Quantity],
    implementation: Implementation,
) -> Literal["reference", "cpu", "triton", "sdpa"]:
    """What runs for these tensors; `sdpa` is torch's own attention, for forwards that capture nothing.

    Raises:
        UsageError: the forced implementation cannot do this.
    """
    if implementation == "reference":
        return "reference"
    mask = as_mask(mask)
    only_reference = _why_only_reference(mask, window, capture)
    if implementation != "auto":
        _refuse(implementation, only_reference or _why_not(implementation, query, mask.padding, capture))
        return implementation
    on_cpu = query.device.type == "cpu"
    # In training on a CPU a monitored and an unmonitored run are the same bit for bit, so there both take our own.
    if not (capture or only_reference) and not (on_cpu and (dropout or query.requires_grad)):
        return "sdpa"
    if only_reference or _why_reference(query, mask.padding, capture):
        return "reference"
    return "cpu" if on_cpu else "triton"


def why_maps_are_kept(implementation: Implementation, query: Tensor, capture: Collection[Quantity]) -> str | None:
    """Why a training forward with such queries keeps whole maps for its backward pass, or None if it does not."""
    if implementation == "reference":
        return "--attention reference does"
    if implementation != "auto" or (not capture and query.device.type != "cpu"):
        return None
    return _why_only_reference(AttentionMask(), None, capture) or _why_reference(query, None, capture)


def check(
    implementation: Implementation, device: torch.device, capture: Collection[Quantity] = (), *, whose: str = ""
) -> None:
    """Whether a forced implementation can run on a device at all, and capture these quantities.

    Args:
        whose: what the quantities are for, which the message names.

    Raises:
        UsageError: it cannot.
    """
    if implementation in ("cpu", "triton"):
        query = torch.empty((1, 1, 1, 64), device=device)
        cause = _why_only_reference(AttentionMask(), None, capture)
        cause = cause or _why_not(implementation, query, None, capture)
        _refuse(implementation, f"{whose}: {cause}" if cause and whose else cause)


def _refuse(implementation: Implementation, cause: str | None) -> None:
    if cause is not None:
        raise UsageError(f"--attention {implementation}: {cause}.", hint="--attention auto takes what can do it")


def _why_only_reference(mask: AttentionMask, window: int | None, capture: Collection[Quantity]) -> str | None:
    if window is not None:
        return "a sliding window (ModernBERT's local layers) runs on the reference only"
    if not mask.is_plain:
        return "an additive bias or a gate on attention runs on the reference only"
    if "released" in capture:
        return "the released arithmetic needs the maps, which the reference alone keeps"
    if any(quantity in MAP_QUANTITIES for quantity in capture):
        return "attention maps and scores are given by the reference only"
    return None


def _why_reference(query: Tensor, padding: Tensor | None, capture: Collection[Quantity]) -> str | None:
    """Why `auto` takes the reference for what other implementations can do too, or None if it does not."""
    on_cpu = query.device.type == "cpu"
    if on_cpu and query.shape[-2] < SHORT:
        return f"below {SHORT} tokens nothing is gained by making them anew"
    return _why_not("cpu" if on_cpu else "triton", query, padding, capture)


def _why_not(
    implementation: Implementation, query: Tensor, padding: Tensor | None, capture: Collection[Quantity]
) -> str | None:
    """Why the CPU path or the kernels cannot run, or None if they can."""
    if implementation == "triton":
        return why_not_triton(query) or _why_kernels_cannot(capture)
    if query.device.type != "cpu":
        return f"the CPU path cannot run on {query.device.type}"
    if _lengths(query, padding) is None:
        return "the CPU path needs each sample's real tokens first and the padding after them"
    return None


def _why_kernels_cannot(capture: Collection[Quantity]) -> str | None:
    """Where only the names of quantities are known, their heads may still turn out to have two targets."""
    return why_no_plan(capture) if isinstance(capture, Mapping) else None


@torch.compiler.disable  # type: ignore[untyped-decorator]  # it reads the padding's values
def _lengths(query: Tensor, padding: Tensor | None) -> list[int] | None:
    """Real tokens of each sample, or None where padding does not come last."""
    if padding is None:
        return [query.shape[-2]] * query.shape[0]
    padding = padding.bool()
    lengths = padding.sum(-1)
    if not torch.equal(padding, torch.arange(padding.shape[-1]) < lengths[:, None]):
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
