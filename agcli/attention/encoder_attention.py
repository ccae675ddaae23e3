"""How Hugging Face encoders give the guides what they need.

transformers calls a function registered with `AttentionInterface` in every attention layer and puts what it returns
beside its output into `outputs.attentions`. Ours, registered as `ag_auto`, `ag_reference` and so on, returns the
captured quantities there. Encoders that bypass that interface (DeBERTa, MPNet, ...) give full maps, reduced here.
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

from agcli.attention.dispatch import IMPLEMENTATIONS, Implementation, attend, check
from agcli.attention.masks import AttentionMask
from agcli.errors import ModelError, UsageError, counted
from agcli.guides.capture import MAP_QUANTITIES, Capture, Indices, Quantity, Request, choose_heads, of_heads
from agcli.guides.quantities import quantity_of_maps
from agcli.guides.targets import NO_TARGETS, Target

Captured = dict[Quantity, dict[int, Tensor]]
"""Quantity -> layer of the encoder -> tensor of the captured heads."""

Kind = Literal["interface", "maps", "none"]


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
    ag_capture: Capture = Capture(),
    ag_targets: Mapping[str, Target] = NO_TARGETS,
    ag_mask: AttentionMask | Mapping[int, AttentionMask] | None = None,
    ag_modules: list[nn.Module] | None = None,
    implementation: Implementation,
    **_: object,
) -> tuple[Tensor, dict[Quantity, Tensor] | None]:
    """Transformers' attention contract; returns output (batch, length, heads, head_dim) and what is captured."""
    if ag_modules is not None:
        ag_modules.append(module)
    layer = getattr(module, "ag_layer", 0)
    extra = ag_mask.get(layer) if isinstance(ag_mask, Mapping) else ag_mask
    sharing = query.shape[1] // key.shape[1]  # grouped-query attention: so many heads have one key and value
    if sharing > 1:
        key, value = (tensor.repeat_interleave(sharing, 1) for tensor in (key, value))
    with torch.autocast(query.device.type, enabled=False):
        output, captured = attend(
            query,
            key,
            value,
            attention_mask if extra is None else extra.with_padding(attention_mask),
            scaling=query.shape[-1] ** -0.5 if scaling is None else scaling,
            dropout=dropout,
            window=sliding_window,
            capture=ag_capture.of_layer(layer),
            targets=ag_targets,
            implementation=implementation,
        )
    return output.transpose(1, 2).contiguous(), captured or None


def _padding_mask(attention_mask: Tensor | None = None, **_: object) -> Tensor | None:
    """Hand the 2-D padding mask through: keys and voting rows are then known from one place."""
    return attention_mask


def _register() -> None:
    """Make our attention known to transformers; repeating it does nothing new."""
    for implementation in IMPLEMENTATIONS:
        AttentionInterface.register(f"ag_{implementation}", partial(_attention, implementation=implementation))
        AttentionMaskInterface.register(f"ag_{implementation}", _padding_mask)


@dataclass(frozen=True)
class EncoderAttention:
    """How captured attention comes out of one encoder.

    Attributes:
        kind: `interface` (our attention function runs), `maps` (eager maps, which come after attention dropout, are
            reduced) or `none`.
        num_layers: layers that give attention back.
        encoder: the model's class, for messages.
        shared: layers share one module (ALBERT), so that all of them capture the same.
    """

    kind: Kind
    num_layers: int
    num_heads: int
    encoder: str
    shared: bool = False

    def check_indices(
        self, owner: str, layers: tuple[int, ...] | None = None, heads: tuple[int, ...] | None = None
    ) -> None:
        """Check that layers and heads are there: eager maps of no head would make a guide of 0.

        Args:
            owner: the option or guide that names them, for the message.

        Raises:
            UsageError: one is not there.
        """
        for what, indices, count in (("layer", layers, self.num_layers), ("head", heads, self.num_heads)):
            if indices is not None and max(indices) >= count:
                raise UsageError(
                    f"{owner}: {what} {max(indices)} is too high; {self.encoder} has {counted(count, what)}, "
                    f"allowed: 0 to {count - 1}."
                )

    def forward_kwargs(
        self,
        capture: Capture,
        mask: AttentionMask | Mapping[int, AttentionMask] | None = None,
        targets: Mapping[str, Target] = NO_TARGETS,
    ) -> dict[str, Any]:
        """Keyword arguments of the model's forward that make it capture `capture` and attend by `mask`.

        Args:
            mask: bias and gate, of all layers or by layer; padding is the model's own `attention_mask`.
            targets: name -> target of the captured masses.

        Raises:
            ModelError: the encoder takes no such mask, or gives no such quantity back.
        """
        if mask is not None and (self.kind != "interface" or (self.shared and isinstance(mask, Mapping))):
            raise ModelError(f"{self.encoder} takes no bias or gate{' by layer' if self.shared else ''}.")
        if "scores" in capture.quantities and self.kind != "interface":
            raise ModelError(f"{self.encoder} gives no attention scores back.")
        kwargs: dict[str, Any] = {} if mask is None else {"ag_mask": mask}
        if not capture:
            return kwargs
        kwargs["output_attentions"] = True
        if self.kind == "interface":
            kwargs["ag_capture"] = capture.in_all_layers() if self.shared else capture
            if targets:
                kwargs["ag_targets"] = targets
        return kwargs

    def collect(
        self, outputs: Any, padding: Tensor, capture: Capture, targets: Mapping[str, Target] = NO_TARGETS
    ) -> Captured:
        """The quantities in the outputs of a forward with `forward_kwargs(capture)`, of the heads in `capture`.

        Shape: padding (batch, length), True for real tokens.

        Raises:
            ModelError: some layer returned nothing.
        """
        if not capture:
            return {}
        reported = [layer for layer in getattr(outputs, "attentions", None) or () if layer is not None]
        all_return = self.shared or self.kind == "maps"
        numbers = [layer for layer in range(self.num_layers) if all_return or capture.of_layer(layer)]
        if len(reported) != len(numbers):
            raise ModelError(f"{self.encoder}: {len(reported)} of {len(numbers)} attention layers gave attention back.")
        captured: Captured = {name: {} for name in capture.quantities}
        in_all = capture.in_all_layers().of_layer(0)
        for number, layer in zip(numbers, reported, strict=True):
            for name, heads in capture.of_layer(number).items():
                if self.kind == "maps":
                    captured[name][number] = _reduce(layer, name, heads, padding, targets)
                elif self.shared:
                    captured[name][number] = choose_heads(layer[name], heads, of=in_all[name])
                else:
                    captured[name][number] = layer[name]
        return captured


def _reduce(maps: Tensor, quantity: Quantity, heads: Indices, padding: Tensor, targets: Mapping[str, Target]) -> Tensor:
    """A quantity from eager maps, which come after attention dropout."""
    maps = of_heads(maps, heads)
    if quantity in MAP_QUANTITIES and quantity != "released":
        return maps
    return quantity_of_maps(quantity, maps, padding, targets)


def attach(
    model: nn.Module, attention: Implementation = "auto", *, required: bool = True, device: torch.device | None = None
) -> EncoderAttention:
    """Switch a model to our attention where possible, and test with a tiny forward what it gives back.

    An encoder that bypasses the interface ignores the switch silently, so its configuration is not relied on.

    Args:
        model: a Hugging Face model; its mode and the random state are left as they were.
        attention: the implementation; `auto` also takes eager maps where our function is bypassed.
        required: whether it is an error if nothing is given back; without guides it need not be.
        device: where the model is going to run; default: where it is.

    Raises:
        ModelError: the encoder gives no attention back, and it is required.
        UsageError: the implementation cannot run on that device, or not with this encoder.
    """
    _register()
    name, here = type(model).__name__, next(model.parameters()).device
    device = device or here
    check(attention, device)
    tried: Implementation = attention if device.type == here.type else "auto"
    attempts: tuple[tuple[Kind, str], ...] = (("interface", f"ag_{tried}"), ("maps", "eager"))
    for kind, implementation in attempts if attention == "auto" else attempts[:1]:
        try:
            model.set_attn_implementation(implementation)  # type: ignore[operator]
        except (ValueError, KeyError, NotImplementedError):
            continue
        encoder = _probe(model, kind)
        if encoder is None:
            continue
        if kind == "interface" and tried != attention:
            model.set_attn_implementation(f"ag_{attention}")  # type: ignore[operator]
        return encoder
    if not required:
        return EncoderAttention("none", 0, 0, name)
    as_maps, allow_maps = (" or as maps", "") if attention == "auto" else ("", ", allow maps: --attention auto")
    raise ModelError(
        f"{name} gives no attention back through transformers' attention interface{as_maps}, so it cannot be guided.",
        hint=f"choose another encoder (`ag models` lists those that work){allow_maps}, or leave the guides out: "
        "--mdg 0 --pdg 0, and no --guide",
    )


def _probe(model: nn.Module, kind: Kind) -> EncoderAttention | None:
    """Test with a forward over five token ids; numbers the layers. None where nothing is given back in this way."""
    device = next(model.parameters()).device
    ids = torch.ones((2, 5), dtype=torch.long, device=device)
    called: list[nn.Module] = []
    ours = {"ag_capture": Capture((Request("received"),)), "ag_modules": called} if kind == "interface" else {}
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(enabled=device.type == "cpu"):
            outputs = model(input_ids=ids, attention_mask=torch.ones_like(ids), output_attentions=True, **ours)
    except TypeError:  # a forward that takes no extra keyword arguments cannot reach our function
        return None
    finally:
        for module, mode in modes.items():
            module.training = mode
    layers = tuple(outputs.attentions or ())
    if not layers or not all(
        isinstance(layer, dict) if ours else layer is not None and layer.dim() == 4 for layer in layers
    ):
        return None
    shared = kind == "interface" and not len(set(called)) == len(called) == len(layers)
    for number, module in enumerate([] if shared else called):
        module.ag_layer = number  # type: ignore[assignment]
    first = layers[0]["received"] if ours else layers[0]
    return EncoderAttention(kind, len(layers), first.shape[1], type(model).__name__, shared)
