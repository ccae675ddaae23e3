"""The seam between Hugging Face encoders and the guides.

transformers calls a function registered with `AttentionInterface` in every attention layer and hands what it returns
beside its output to `outputs.attentions`. Ours returns received attention there, so no hooks or globals are needed.
It is registered once for each implementation, as `ag_auto`, `ag_reference` and so on; no such name is ever saved.
Encoders that bypass that interface (DeBERTa, MPNet, ...) give full maps, which are reduced here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

from agcli.attention.reference import Capture, received_attention
from agcli.attention.selection import IMPLEMENTATIONS, Implementation, attend, check
from agcli.errors import ModelError


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    ag_capture: Capture = "none",
    implementation: Implementation,
    **_: object,
) -> tuple[Tensor, Tensor | None]:
    """Transformers' attention contract; returns output (batch, length, heads, head_dim) and received or None."""
    sharing = query.shape[1] // key.shape[1]  # grouped-query attention: so many heads have one key and value
    if sharing > 1:
        key, value = (tensor.repeat_interleave(sharing, 1) for tensor in (key, value))
    with torch.autocast(query.device.type, enabled=False):
        output, received = attend(
            query,
            key,
            value,
            attention_mask,
            scaling=query.shape[-1] ** -0.5 if scaling is None else scaling,
            dropout=dropout,
            window=sliding_window,
            capture=ag_capture,
            implementation=implementation,
        )
    return output.transpose(1, 2).contiguous(), received


def _padding_mask(attention_mask: Tensor | None = None, **_: object) -> Tensor | None:
    """Hand the 2-D padding mask through: keys and voting rows are then known from one place."""
    return attention_mask


def register() -> None:
    """Make our attention known to transformers; repeating it does nothing new."""
    for implementation in IMPLEMENTATIONS:
        name = _registered(implementation)
        AttentionInterface.register(name, partial(_attention, implementation=implementation))
        AttentionMaskInterface.register(name, _padding_mask)


def _registered(implementation: Implementation) -> str:
    return f"ag_{implementation}"


@dataclass(frozen=True)
class Seam:
    """How received attention comes out of one encoder.

    Attributes:
        kind: `interface` (our attention function runs), `maps` (eager maps are reduced) or `none`.
        num_layers: attention layers that report.
        num_heads: heads in each.
        encoder: the model's class, for messages.
    """

    kind: Literal["interface", "maps", "none"]
    num_layers: int
    num_heads: int
    encoder: str

    def forward_kwargs(self, capture: Capture) -> dict[str, Any]:
        """What to pass to the model's forward so that it captures `capture`."""
        if capture == "none":
            return {}
        if self.kind == "maps":
            return {"output_attentions": True}
        return {"output_attentions": True, "ag_capture": capture}

    def received(self, attentions: tuple[Tensor, ...] | None, mask: Tensor, capture: Capture) -> Tensor:
        """Stack `outputs.attentions` into received attention, shape (batch, layers, heads, length).

        Args:
            attentions: as the model returned them, one tensor a layer.
            mask: True for real tokens, shape (batch, length).
            capture: what was asked of `forward_kwargs`.

        Raises:
            ModelError: some layer returned nothing.
        """
        layers = attentions or ()
        if len(layers) != self.num_layers or any(layer is None for layer in layers):
            raise ModelError(
                f"{self.encoder}: {len(layers)} of {self.num_layers} attention layers gave attention back."
            )
        if self.kind == "interface":
            return torch.stack(tuple(layers), dim=1)
        if capture == "released":
            return torch.stack([layer.mean(-1) for layer in layers], dim=1)
        # Eager maps come after attention dropout; these encoders offer no clean ones.
        return torch.stack([received_attention(layer, mask) for layer in layers], dim=1)


def attach(
    model: nn.Module, attention: Implementation = "auto", *, required: bool = True, device: torch.device | None = None
) -> Seam:
    """Switch a model to our attention where it can be, and find out by trying what it gives back.

    The model's configured heads and layers are not trusted: a tiny forward counts what really reports, since an
    encoder that bypasses the interface ignores the switch silently.

    Args:
        model: a Hugging Face model; its mode and the random state are left as they were.
        attention: the implementation; `auto` also takes eager maps where our function is bypassed.
        required: whether nothing given back is an error; without guides it need not be.
        device: where the model is going to run; default: where it is.

    Raises:
        ModelError: the encoder gives no attention back, and it is required.
        UsageError: the implementation cannot run on that device, or not with this encoder.
    """
    register()
    name = type(model).__name__
    here = next(model.parameters()).device
    device = device or here
    check(attention, device)
    tried: Implementation = attention if device.type == here.type else "auto"
    attempts: tuple[tuple[Literal["interface", "maps"], str], ...] = (
        ("interface", _registered(tried)),
        ("maps", "eager"),
    )
    for kind, implementation in attempts if attention == "auto" else attempts[:1]:
        try:
            model.set_attn_implementation(implementation)  # type: ignore[operator]
        except (ValueError, KeyError, NotImplementedError):
            continue
        layers = _probe(model, Seam(kind, 0, 0, name).forward_kwargs("received"))
        dimensions = 3 if kind == "interface" else 4
        if layers and all(layer is not None and layer.dim() == dimensions for layer in layers):
            if kind == "interface" and tried != attention:
                model.set_attn_implementation(_registered(attention))  # type: ignore[operator]
            return Seam(kind, len(layers), layers[0].shape[1], name)
    if not required:
        return Seam("none", 0, 0, name)
    ways = "through transformers' attention interface" + (" or as maps" if attention == "auto" else "")
    raise ModelError(
        f"{name} gives no attention back {ways}, so it cannot be guided.",
        hint="choose another encoder (`ag models` lists those that work)"
        + ("" if attention == "auto" else ", allow maps: --attention auto")
        + ", or turn the guides off: --mdg 0 --pdg 0",
    )


def _probe(model: nn.Module, kwargs: Mapping[str, Any]) -> tuple[Tensor, ...]:
    """`outputs.attentions` of a forward over five token ids; leaves mode and random state as they were."""
    device = next(model.parameters()).device
    ids = torch.ones((2, 5), dtype=torch.long, device=device)
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(enabled=device.type == "cpu"):
            outputs = model(input_ids=ids, attention_mask=torch.ones_like(ids), **kwargs)
    except TypeError:  # a forward that takes no extra keyword arguments cannot reach our function
        return ()
    finally:
        for module, mode in modes.items():
            module.training = mode
    return tuple(outputs.attentions or ())
