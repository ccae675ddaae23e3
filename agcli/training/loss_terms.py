"""The terms of the loss beside the task's, and the attention that has to be captured for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property, reduce
from operator import or_
from typing import Any

import torch
from torch import Tensor

from agcli.attention.capture import Capture, Indices
from agcli.attention.encoder_attention import Captured, EncoderAttention
from agcli.config import parse_indices
from agcli.declare import flag
from agcli.errors import UsageError
from agcli.guides.base import CapturedAttention, Guide, Term, TermValues, term_values
from agcli.guides.registry import GUIDES
from agcli.options import GuideOptions

RESERVED = ("loss", "task", "gradient_norm")
"""Names of the engine's own numbers."""


@dataclass(frozen=True)
class LossTerms:
    """Terms that are added to the task loss, and monitors, which are computed without gradient.

    Attributes:
        released: the authors' released arithmetic takes the place of Eq. 8.
    """

    terms: Sequence[Term] = ()
    monitors: Sequence[Term] = ()
    released: bool = False

    def __post_init__(self) -> None:
        for term in (*self.terms, *self.monitors):
            if term.name in RESERVED:
                raise ValueError(f"a term of the loss cannot be called {term.name!r}")

    def __bool__(self) -> bool:
        return bool(self.terms or self.monitors)

    @cached_property
    def capture(self) -> Capture:
        """What a training forward has to return for the guides, of their layers and heads only."""
        captures = (self._capture(term) for term in (*self.terms, *self.monitors) if isinstance(term, Guide))
        return reduce(or_, captures, Capture())

    def _capture(self, guide: Guide) -> Capture:
        layers: Indices = guide.layers or "all"
        heads: Indices = guide.heads or "all"
        if guide.needs == "maps":
            return Capture(maps=layers, heads=heads)
        if guide.needs == "received":
            return Capture(released=layers, heads=heads) if self.released else Capture(received=layers, heads=heads)
        return Capture()

    def attention(self, captured: Captured, mask: Tensor) -> CapturedAttention:
        """A forward's captured attention for the terms. The released arithmetic keeps padded rows."""
        received = captured.get("released" if self.released else "received", {})
        heads = self.capture.heads
        return CapturedAttention(
            torch.stack(list(received.values()), dim=1) if received else None,
            torch.ones_like(mask) if self.released else mask,
            maps=captured.get("maps"),
            scores=captured.get("scores"),
            layers=tuple(received),
            heads=None if heads == "all" else heads,
        )

    def values(self, captured: Captured, mask: Tensor) -> TermValues:
        """Raw values of terms and monitors, and the weighted terms of the loss.

        Shape: mask (batch, length), True for real tokens.
        """
        attention = self.attention(captured, mask)
        values = term_values(self.terms, attention)
        with torch.no_grad():  # after the terms, which leave what they share with their graph
            monitored = term_values(self.monitors, attention)
        return TermValues(values.raw | monitored.raw, values.weighted)


def make_terms(options: GuideOptions, encoder: EncoderAttention) -> LossTerms:
    """Guides and monitors from their options. A guide of weight 0 is absent.

    Raises:
        UsageError: a layer or head that the encoder does not have.
    """
    released = options.guide_mode == "released"
    shared: dict[str, Any] = {"reduction": options.reduction}
    for field, count in (("layers", encoder.num_layers), ("heads", encoder.num_heads)):
        name = f"guide_{field}"
        indices = parse_indices(getattr(options, name))
        if indices is not None and indices[-1] >= count:
            raise UsageError(f"{flag(name)}: index {indices[-1]} is too high; allowed: 0 to {count - 1}.")
        shared[field] = indices

    def make(name: str, weight: float) -> Guide:
        kind = GUIDES[name].load()
        values = {**shared, **options.of_guide(name), **(getattr(kind, "released", {}) if released else {})}
        accepted = {item.name for item in fields(kind)}
        guide: Guide = kind(weight=weight, **{key: value for key, value in values.items() if key in accepted})
        return guide

    return LossTerms(
        terms=tuple(make(name, weight) for name, weight in options.weights.items() if weight > 0),
        monitors=tuple(make(name, 0.0) for name in options.monitored if not options.weights[name]),
        released=released,
    )
