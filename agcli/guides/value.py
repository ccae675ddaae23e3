"""The value of one guide on whole attention maps, for tests and notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from agcli.errors import UsageError, did_you_mean
from agcli.guides.base import CapturedAttention, Guide, TargetGuide
from agcli.guides.capture import MASS, Capture, Request, check_heads
from agcli.guides.quantities import quantity_of_maps
from agcli.guides.registry import GUIDES
from agcli.guides.targets import NO_TARGETS, Target
from agcli.guides.tokens import Tokens, Vocabulary


def guide_value(
    name: str,
    maps: Tensor,
    input_ids: Tensor,
    token_type_ids: Tensor | None,
    mask: Tensor | None,
    *,
    heads: Iterable[int] | None = None,
    form: str = "nll",
    special_ids: Iterable[int] = (),
    delim_ids: Iterable[int] = (),
    period_ids: Iterable[int] = (),
    knowledge: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """What a guide adds to the loss of each sample, without its weight; differentiable in the maps.

    It is computed by the guide's class, whose further options have their defaults. Of a guide towards targets, a sample
    without a row that has one gives 0.

    Shape:
        maps: (batch, layers, heads, length, length), a row for each query; padded rows and columns count as 0.
        input_ids, token_type_ids, mask: (batch, length); the mask is True or 1 for real tokens, None if all are.
        returns: (batch,).

    Args:
        name: in the registry: `mdg`, `next`, `match`, ...
        heads: guided heads of each layer, 0-based; None for all.
        form: of guides towards targets: `nll`, `squared`, and `released` or `vector` where they have it.
        special_ids: of `[CLS]`, `[SEP]` and their like, which `match` leaves out.
        delim_ids: separators; they are the targets of `delim`, and tell the texts of `match` apart without token types.
        period_ids: all that spell a period.
        knowledge: name -> K of shape (batch, length, length), for the guides that need it of the data.

    Raises:
        ValueError: no such guide, form or head, or shapes that do not belong together.
        UsageError: the guide needs knowledge that is not given.
    """
    tokens = Tokens(
        input_ids,
        torch.ones_like(input_ids, dtype=torch.bool) if mask is None else mask.bool(),
        token_type_ids,
        Vocabulary(tuple(special_ids), tuple(delim_ids), tuple(period_ids)),
        knowledge or {},
    )
    _check_shapes(maps, tokens)
    guide = _guide(name, form, None if heads is None else tuple(heads), maps.shape[2])
    needed = getattr(guide, "knowledge", None)
    if needed is not None and needed not in tokens.knowledge:
        raise UsageError(
            f"The guide {name} needs knowledge of the data.", hint=f"pass knowledge={{{needed!r}: K}}, K of its pairs"
        )
    return guide(capture_of_maps(guide, maps, tokens))


def capture_of_maps(guide: Guide, maps: Tensor, tokens: Tokens) -> CapturedAttention:
    """What a guide needs, computed from the maps of all layers and heads, (batch, layers, heads, length, length).

    Padded rows and columns count as 0.
    """
    real = tokens.mask
    cells = (real[:, :, None] & real[:, None, :])[:, None, None]
    layers = list(enumerate(maps.masked_fill(~cells, 0.0).unbind(1)))
    targets: Mapping[str, Target] = NO_TARGETS
    if isinstance(guide, TargetGuide):
        targets = {guide.name: guide.target(tokens)}
    captured: dict[str, dict[int, Tensor]] = {}
    for need in guide.needs:
        quantity = f"{MASS}{guide.name}" if need == "mass" else need
        if quantity in ("maps", "dropped_maps"):
            captured[quantity] = dict(layers)
        else:
            captured[quantity] = {layer: quantity_of_maps(quantity, each, real, targets) for layer, each in layers}
    return CapturedAttention(real, captured, Capture(tuple(map(Request, captured))), targets, tokens)


def _guide(name: str, form: str, heads: tuple[int, ...] | None, available: int) -> Guide:
    if name not in GUIDES:
        raise ValueError(f"there is no guide {name!r}; allowed: {', '.join(GUIDES)}.{did_you_mean(name, GUIDES)}")
    if heads is not None:
        check_heads(name, heads, available)
    kind = GUIDES[name].load()
    has_forms = "form" in {item.name for item in fields(kind)}
    if form != "nll" and not has_forms:
        raise ValueError(f"the guide {name} has no forms, got form={form!r}")
    options: dict[str, Any] = {"form": form} if has_forms else {}
    guide: Guide = kind(heads=heads, **options)
    return guide


def _check_shapes(maps: Tensor, tokens: Tokens) -> None:
    if maps.dim() != 5 or maps.shape[-2] != maps.shape[-1] or not torch.is_floating_point(maps):
        raise ValueError(
            "maps must be floating-point and (batch, layers, heads, length, length), "
            f"got {maps.dtype} {tuple(maps.shape)}"
        )
    expected = (maps.shape[0], maps.shape[-1])
    given = {"input_ids": tokens.input_ids, "token_type_ids": tokens.token_type_ids, "mask": tokens.mask}
    for name, each in given.items():
        if each is not None and each.shape != expected:
            raise ValueError(f"{name} must be (batch, length), here {expected}, got {tuple(each.shape)}")
