"""Fixed patterns: some heads attend to the next token, the one before, itself, the first, a separator or a period.

Source: Deshpande & Narasimhan 2020, "Guiding Attention for Self-Supervised Learning with Transformers".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from agcli.guides.base import CapturedAttention
from agcli.guides.rows import Form, RowGuide
from agcli.guides.targets import Columns, Diagonal, Target, dense
from agcli.guides.tokens import Tokens


@dataclass(frozen=True)
class Pattern(RowGuide):
    """A pattern of 0 and 1, with the form `released` of the authors' code beside those of `RowGuide`.

    `released`: sum over layers of the mean over heads and cells of `(A_ij − T_ij)²`, of maps after attention dropout.
    Rows without a target count with T = 0, and a row of k targets with T = 1 at each of them, which no row of a
    softmax can reach. At uniform attention its gradient is L²/2 times smaller than that of `nll`. Deviation: the mean
    is over a sample's real cells; without padding it is the authors'.
    """

    forms: ClassVar[tuple[Form, ...]] = ("nll", "squared", "released")

    def __call__(self, attention: CapturedAttention) -> Tensor:
        """Value per sample, shape (batch,); 0 for a sample without a target, unless the form is `released`."""
        return self._released(attention) if self.form == "released" else super().__call__(attention)

    def _released(self, attention: CapturedAttention) -> Tensor:
        real = attention.mask
        target = dense(attention.targets[self.name], real)[:, None]  # (batch, 1, length, length)
        padding = ~(real[:, None, :, None] & real[:, None, None, :])
        total = torch.zeros((), device=real.device)
        for maps in attention.each_layer("dropped_maps", self.layers, self.heads):
            exact = maps.to(torch.promote_types(maps.dtype, torch.float32)).masked_fill(padding, 0.0)
            total = total + (exact - target).square().mean(1).sum((-2, -1))
        return total / real.sum(-1).square().clamp_min(1)


class _Position(Pattern):
    """A pattern of places."""

    reads_ids = False


class Next(_Position):
    """The next token; the last real token has none."""

    name = "next"

    def target(self, tokens: Tokens) -> Target:
        """One diagonal."""
        return Diagonal(1)


class Prev(_Position):
    """The token before; the first real token has none."""

    name = "prev"

    def target(self, tokens: Tokens) -> Target:
        """One diagonal."""
        return Diagonal(-1)


class Self(_Position):
    """The token itself."""

    name = "self"

    def target(self, tokens: Tokens) -> Target:
        """One diagonal."""
        return Diagonal(0)


class First(_Position):
    """The first real token, wherever padding puts it."""

    name = "first"

    def target(self, tokens: Tokens) -> Target:
        """One column."""
        return Columns((tokens.mask & (tokens.mask.cumsum(-1) == 1)).float())


class Delim(Pattern):
    """Every separator."""

    name = "delim"
    needs_of_vocabulary = ("delim_ids",)

    def target(self, tokens: Tokens) -> Target:
        """The separators' columns."""
        return Columns(tokens.among(tokens.vocabulary.delim_ids).float())


class Period(Pattern):
    """Every period, whichever piece spells it."""

    name = "period"
    needs_of_vocabulary = ("period_ids",)

    def target(self, tokens: Tokens) -> Target:
        """The periods' columns."""
        return Columns(tokens.among(tokens.vocabulary.period_ids).float())
