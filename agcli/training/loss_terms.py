"""The terms of the loss beside the task's, and the attention that has to be captured for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, reduce
from operator import or_
from typing import Any

import torch
from transformers import PreTrainedModel

from agcli.attention.encoder_attention import EncoderAttention
from agcli.config import parse_subset
from agcli.declare import flag
from agcli.errors import UsageError
from agcli.guides.base import CapturedAttention, Guide, Subset, TargetGuide, Term, TermValues, reads_ids, term_values
from agcli.guides.capture import MASS, Capture, Indices, Request
from agcli.guides.schedule import Schedule
from agcli.guides.spec import GuideSpec, parse_indices
from agcli.guides.targets import Target
from agcli.guides.tokens import Tokens, Vocabulary
from agcli.options import GuideOptions
from agcli.training.guide_heads import allot_heads

RESERVED = ("loss", "task", "gradient_norm")
"""Names of the engine's own numbers."""


@dataclass(frozen=True)
class LossTerms:
    """Terms that are added to the task loss, and monitors, which are computed without gradient.

    Attributes:
        released: the authors' released arithmetic takes the place of Eq. 8.
        vocabulary: ids of the tokenizer, for guides that look at tokens.
        schedules: name of a term -> its weight over training, where that is not constant.
    """

    terms: Sequence[Term] = ()
    monitors: Sequence[Term] = ()
    released: bool = False
    vocabulary: Vocabulary = field(default_factory=Vocabulary)
    schedules: Mapping[str, Schedule] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for term in (*self.terms, *self.monitors):
            if term.name in RESERVED:
                raise ValueError(f"a term of the loss cannot be called {term.name!r}")
        unknown = sorted(set(self.schedules) - {term.name for term in self.terms})
        if unknown:
            names = ", ".join(term.name for term in self.terms) or "none"
            raise ValueError(f"there is a schedule of {unknown[0]!r}, which is no term of the loss; those are: {names}")

    def __bool__(self) -> bool:
        return bool(self.terms or self.monitors)

    @cached_property
    def capture(self) -> Capture:
        """What a training forward has to return for the guides, of their layers and heads only."""
        requests: list[Request] = []
        for guide in self.guides:
            layers: Indices = guide.layers or "all"
            heads: Indices = guide.heads or "all"
            requests += [Request(self._quantity(guide, need), layers, heads) for need in guide.needs]
        return reduce(or_, (Capture((request,)) for request in requests), Capture())

    @property
    def guides(self) -> list[Guide]:
        """The guides among terms and monitors."""
        return [term for term in (*self.terms, *self.monitors) if isinstance(term, Guide)]

    def after(self, progress: float) -> LossTerms:
        """The terms that are left after this share of training, the same object for the same terms.

        One whose schedule is `off` by then is neither computed nor captured.
        """
        schedules = self.schedules.items()
        ended = frozenset(name for name, each in schedules if each.kind == "off" and not each.factor(progress))
        return self._without(ended) if ended else self

    @property
    def num_captures(self) -> int:
        """How many captures `after` leads to over a whole training, at most."""
        return 1 + len({each.until for each in self.schedules.values() if each.kind == "off"})

    @cached_property
    def _left(self) -> dict[frozenset[str], LossTerms]:
        return {}

    def _without(self, names: frozenset[str]) -> LossTerms:
        if names not in self._left:  # made once, as a compiled model would be compiled anew for another capture
            schedules = {name: schedule for name, schedule in self.schedules.items() if name not in names}
            terms = tuple(term for term in self.terms if term.name not in names)
            self._left[names] = replace(self, terms=terms, schedules=schedules)
        return self._left[names]

    def weights(self, progress: float | None = None) -> dict[str, float]:
        """Term -> its weight after this share of training; None: its full weight."""
        factors = {} if progress is None else {name: each.factor(progress) for name, each in self.schedules.items()}
        return {term.name: term.weight * factors.get(term.name, 1.0) for term in self.terms}

    def _quantity(self, guide: Guide, need: str) -> str:
        if need == "mass":
            return f"{MASS}{guide.name}"
        return "released" if need == "received" and self.released else need

    def targets(self, tokens: Tokens) -> dict[str, Target]:
        """The targets of this batch's rows, by the name of the guide that makes them."""
        return {guide.name: guide.target(tokens) for guide in self.guides if isinstance(guide, TargetGuide)}

    def values(self, attention: CapturedAttention, progress: float | None = None) -> TermValues:
        """Raw values of terms and monitors, and the terms of the loss with their `weights(progress)`."""
        raw = term_values(self.terms, attention).raw
        with torch.no_grad():  # after the terms, which leave what they share with their graph
            monitored = term_values(self.monitors, attention)
        weights = self.weights(progress)
        return TermValues(raw | monitored.raw, {name: weights[name] * value for name, value in raw.items()})


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


def vocabulary_for(guides: Sequence[Guide], tokenizer: Any, model: PreTrainedModel, name: str) -> Vocabulary:
    """What these guides need to know of a tokenizer, and of its model's input embeddings as they are now.

    Raises:
        UsageError: it has no such sign as a guide is about; names guide and encoder.
    """
    from agcli.guides.vocabulary import check_vocabulary, vocabulary_of

    if not any(map(reads_ids, guides)):
        return Vocabulary()
    compared = any("embeddings" in getattr(guide, "needs_of_vocabulary", ()) for guide in guides)
    vocabulary = vocabulary_of(tokenizer, model.get_input_embeddings().weight if compared else None)
    for guide in guides:
        check_vocabulary(guide, vocabulary, name)
    return vocabulary


def make_terms(options: GuideOptions, encoder: EncoderAttention) -> LossTerms:
    """Guides and monitors from their options. A guide of weight 0 is absent; one with a share of the task has weight 1.

    Raises:
        UsageError: a layer or head that the encoder does not have, too few free heads, or a guide that the released
            arithmetic cannot give what it needs.
    """
    released = options.guide_mode == "released"
    monitored = tuple(GuideSpec(name, 0.0) for name in options.monitored if name not in options.specs)
    specs = (*options.specs.values(), *monitored)
    if not specs and encoder.kind == "none":
        return LossTerms()  # its layers and heads need not be known
    layers, pool = parse_subset(options.guide_layers), parse_subset(options.guide_heads)
    encoder.check_indices(flag("guide_layers"), layers=layers)
    encoder.check_indices(flag("guide_heads"), heads=pool)
    heads = allot_heads(specs, pool, encoder)

    def make(spec: GuideSpec) -> Guide:
        kind, has_flag = spec.entry.load(), spec.entry.has_flag
        values: dict[str, Any] = {
            "reduction": options.reduction,
            "layers": _layers(spec, layers, encoder),
            "heads": heads[spec.name],
            **options.of_guide(spec.name),
            **(getattr(kind, "released", {}) if released and has_flag else {}),
        }
        accepted = {item.name for item in fields(kind)}
        weight = 1.0 if spec.of_task else spec.weight
        guide: Guide = kind(weight=weight, **{key: value for key, value in values.items() if key in accepted})
        if released and not has_flag and "received" in guide.needs:
            raise UsageError(
                f"--guide-mode released: {spec.name} needs received attention (Eq. 8), in whose place the released "
                "arithmetic comes: leave one of them out."
            )
        return guide

    return LossTerms(
        terms=tuple(make(spec) for spec in options.specs.values()),
        monitors=tuple(make(spec) for spec in monitored),
        released=released,
        schedules={spec.name: spec.schedule for spec in options.specs.values() if spec.schedule.kind != "constant"},
    )


def _layers(spec: GuideSpec, usual: Subset, encoder: EncoderAttention) -> Subset:
    """A guide's own layers, or those of all guides."""
    if "layers" not in spec.options:
        return usual
    layers = parse_indices(spec.options["layers"])
    encoder.check_indices(f"--guide {spec}", layers)
    return layers
