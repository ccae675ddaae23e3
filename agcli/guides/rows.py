"""What guides towards target positions share: the mass of each row on its target set, in two forms."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from agcli.guides.base import CapturedAttention, Needs, SubsetGuide
from agcli.guides.capture import MASS
from agcli.guides.targets import Target
from agcli.guides.tokens import Tokens

Form = Literal["nll", "squared", "released", "vector"]

_NEEDS: Mapping[Form, Needs] = {
    "nll": ("mass",),
    "squared": ("mass", "squared_norm"),
    "released": ("dropped_maps",),
    "vector": ("received",),
}

LEAST_MASS = 1e-30
"""Smaller masses count as this one and get no gradient.

`−ln a` of a mass that underflowed to 0 would not be finite, and `1/a` of the smallest float32, times the loss scale of
fp16 training, would not be either.
"""


@dataclass(frozen=True)
class RowGuide(SubsetGuide, ABC):
    """A guide of rows towards their targets T; rows without a target are left out, and so are samples of such rows.

    `nll`: mean over layers, heads and rows of `−ln a_i`, `a_i = Σ_j A_ij T_ij`. A row that cannot reach its targets, so
    that its mass is exactly 0, is left out: they lie outside a sliding window, or an encoder that gives its maps after
    attention dropout has dropped them.
    `squared`: the same mean of `‖A_i − P_i‖² = q_i − 2 a_i/t_i + Σ_j T_ij²/t_i²`, `P_i = T_i/t_i`, `t_i = Σ_j T_ij`.

    At uniform attention over L tokens, with one target a row, the gradient of `squared` with respect to the scores is
    L/2 times smaller than that of `nll`: it hardly moves a head that does not attend to its target yet.

    Raises:
        ValueError: an unknown form, or layers or heads that are no tuple of 0-based indices.
    """

    name: ClassVar[str]
    forms: ClassVar[tuple[Form, ...]] = ("nll", "squared")
    needs_of_vocabulary: ClassVar[tuple[str, ...]] = ()
    """Fields of `agcli.guides.tokens.Vocabulary` without which it has no target."""
    reads_ids: ClassVar[bool] = True
    """Whether its targets depend on what the tokens are, and not only on where they stand."""

    form: Form = "nll"

    def __post_init__(self) -> None:
        if self.form not in self.forms:
            raise ValueError(f"{self.name}: form must be one of {', '.join(self.forms)}, got {self.form!r}")
        super().__post_init__()

    @property
    def needs(self) -> Needs:
        """The quantities of its form."""
        return _NEEDS[self.form]

    @abstractmethod
    def target(self, tokens: Tokens) -> Target:
        """The targets of the batch's rows."""

    def __call__(self, attention: CapturedAttention) -> Tensor:
        """Value per sample, shape (batch,); 0 for a sample without a target."""
        mass = attention.stacked(f"{MASS}{self.name}", self.layers, self.heads)  # (batch, layers, heads, length)
        targets = attention.row_sums(self.name)  # (batch, length)
        rows = targets > 0
        if self.form == "nll":
            return mean_over_rows(-mass.clamp_min(LEAST_MASS).log(), rows[:, None, None, :] & (mass > 0))
        norm = attention.stacked("squared_norm", self.layers, self.heads)
        sums = targets.masked_fill(~rows, 1.0).to(mass.dtype)[:, None, None, :]
        squares = attention.row_sums(self.name, power=2).to(mass.dtype)[:, None, None, :]
        return mean_over_rows(norm - 2 * mass / sums + squares / sums.square(), rows[:, None, None, :])


def mean_over_rows(values: Tensor, rows: Tensor) -> Tensor:
    """Mean over some rows of all layers and heads of each sample; 0 for a sample without one.

    Shape: values (batch, layers, heads, length); rows likewise, or 1 for layers and heads -> (batch,).
    """
    kept = rows.expand(values.shape)
    return values.masked_fill(~kept, 0.0).sum((1, 2, 3)) / kept.sum((1, 2, 3)).clamp_min(1)
