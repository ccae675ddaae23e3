"""The terms of the loss beside the task's, and the attention that has to be captured for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import or_

import torch
from torch import Tensor

from agcli.attention.capture import Capture, Indices
from agcli.attention.interface import Captured
from agcli.guides.base import CapturedAttention, Guide, Term, TermValues, term_values

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
