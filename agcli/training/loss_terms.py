"""The terms of the loss beside the task's, and the attention that has to be captured for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property, reduce
from operator import or_
from typing import Any

import torch

from agcli.attention.encoder_attention import EncoderAttention
from agcli.config import parse_indices
from agcli.declare import flag
from agcli.errors import UsageError
from agcli.guides.base import CapturedAttention, Guide, TargetGuide, Term, TermValues, term_values
from agcli.guides.capture import MASS, Capture, Indices, Request
from agcli.guides.registry import GUIDES
from agcli.guides.targets import Target
from agcli.guides.tokens import Tokens, Vocabulary
from agcli.options import GuideOptions

RESERVED = ("loss", "task", "gradient_norm")
"""Names of the engine's own numbers."""


@dataclass(frozen=True)
class LossTerms:
    """Terms that are added to the task loss, and monitors, which are computed without gradient.

    Attributes:
        released: the authors' released arithmetic takes the place of Eq. 8.
        vocabulary: ids of the tokenizer, for guides that look at tokens.
    """

    terms: Sequence[Term] = ()
    monitors: Sequence[Term] = ()
    released: bool = False
    vocabulary: Vocabulary = field(default_factory=Vocabulary)

    def __post_init__(self) -> None:
        for term in (*self.terms, *self.monitors):
            if term.name in RESERVED:
                raise ValueError(f"a term of the loss cannot be called {term.name!r}")

    def __bool__(self) -> bool:
        return bool(self.terms or self.monitors)

    @cached_property
    def capture(self) -> Capture:
        """What a training forward has to return for the guides, of their layers and heads only."""
        requests: list[Request] = []
        for guide in self._guides:
            layers: Indices = guide.layers or "all"
            heads: Indices = guide.heads or "all"
            requests += [Request(self._quantity(guide, need), layers, heads) for need in guide.needs]
        return reduce(or_, (Capture((request,)) for request in requests), Capture())

    @property
    def _guides(self) -> list[Guide]:
        return [term for term in (*self.terms, *self.monitors) if isinstance(term, Guide)]

    def _quantity(self, guide: Guide, need: str) -> str:
        if need == "mass":
            return f"{MASS}{guide.name}"
        return "released" if need == "received" and self.released else need

    def targets(self, tokens: Tokens) -> dict[str, Target]:
        """The targets of this batch's rows, by the name of the guide that makes them."""
        return {guide.name: guide.target(tokens) for guide in self._guides if isinstance(guide, TargetGuide)}

    def values(self, attention: CapturedAttention) -> TermValues:
        """Raw values of terms and monitors, and the weighted terms of the loss."""
        values = term_values(self.terms, attention)
        with torch.no_grad():  # after the terms, which leave what they share with their graph
            monitored = term_values(self.monitors, attention)
        return TermValues(values.raw | monitored.raw, values.weighted)


class GuidedForward:
    """One forward of an encoder: the keyword arguments that make it capture what the terms need, and what it captured.

    Args:
        tokens: the batch that the forward is about to run on.
    """

    def __init__(self, terms: LossTerms, encoder: EncoderAttention, tokens: Tokens) -> None:
        self._terms, self._encoder, self._tokens = terms, encoder, tokens
        self._targets = terms.targets(tokens)
        self.kwargs = encoder.forward_kwargs(terms.capture, targets=self._targets)

    def attention(self, outputs: Any) -> CapturedAttention:
        """Attention of the forward with these outputs.

        Raises:
            ModelError: some layer returned nothing.
        """
        capture, mask = self._terms.capture, self._tokens.mask
        captured = self._encoder.collect(outputs, mask, capture, self._targets)
        return CapturedAttention(mask, captured, capture, self._targets, self._tokens)


def make_terms(options: GuideOptions, encoder: EncoderAttention) -> LossTerms:
    """Guides and monitors from their options. A guide of weight 0 is absent.

    Raises:
        UsageError: a layer or head that the encoder does not have.
    """
    released = options.guide_mode == "released"
    shared: dict[str, Any] = {"reduction": options.reduction}
    for subset, count in (("layers", encoder.num_layers), ("heads", encoder.num_heads)):
        name = f"guide_{subset}"
        indices = parse_indices(getattr(options, name))
        if indices is not None and indices[-1] >= count:
            raise UsageError(f"{flag(name)}: index {indices[-1]} is too high; allowed: 0 to {count - 1}.")
        shared[subset] = indices

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
