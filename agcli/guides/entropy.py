"""Entropy of attention rows: spread it, or bring it to a share of the greatest possible one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from agcli.guides.base import CapturedAttention, Needs, Subset, SubsetGuide
from agcli.guides.rows import mean_over_rows


@dataclass(frozen=True)
class Entropy(SubsetGuide):
    """Minus the mean entropy, in nats, over layers, heads and real rows: attention spreads where it shrinks."""

    name: ClassVar[str] = "entropy"
    needs: ClassVar[Needs] = ("entropy",)

    def __call__(self, attention: CapturedAttention) -> Tensor:
        """Value per sample, shape (batch,); 0 for a sample without tokens."""
        return -mean_entropy(attention, self.layers, self.heads)


@dataclass(frozen=True)
class EntropyBand(SubsetGuide):
    """`(mean entropy − level · ln n)²` of a sample with n real tokens: ln n is the entropy of uniform attention.

    Attributes:
        level: the wanted share of the greatest entropy, from 0 to 1.
    """

    name: ClassVar[str] = "entropy_band"
    needs: ClassVar[Needs] = ("entropy",)

    level: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.level <= 1:
            raise ValueError(f"entropy_band: level must lie between 0 and 1, got {self.level}")

    def __call__(self, attention: CapturedAttention) -> Tensor:
        """Value per sample, shape (batch,); 0 for a sample without tokens."""
        mean = mean_entropy(attention, self.layers, self.heads)
        greatest = attention.mask.sum(-1).clamp_min(1).to(mean.dtype).log()
        return (mean - self.level * greatest).square()


def mean_entropy(attention: CapturedAttention, layers: Subset, heads: Subset) -> Tensor:
    """Mean entropy over layers, heads and real rows, in nats; shape (batch,)."""
    return mean_over_rows(attention.stacked("entropy", layers, heads), attention.mask[:, None, None, :])
