"""MDG, map discrimination guiding: heads should differ from each other (Wang et al. 2022, Eq. 10 and 11)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from agcli.guides.base import CapturedAttention, Needs, Subset, check, shared
from agcli.guides.entry import Reduction


@dataclass(frozen=True)
class MDG:
    """`MDG = -Σ_i log( exp(m_i·m_i/τ) / Σ_j exp(m_j·m_i/τ) )` over the K guided maps.

    This is the cross-entropy of the Gram matrix against its diagonal: each map is its own class.

    Source: Eq. 10 and 11. `reduction="sum"` is Eq. 11 to the letter; `"mean"` divides by K as the authors'
    released code does, and is the scale at which the paper's α was searched.

    Attributes:
        weight: α in Eq. 5; not applied by the call.
        layers: guided layers, 0-based; None for all; `heads`, in each of those layers, likewise.
    """

    name: ClassVar[str] = "mdg"
    needs: ClassVar[Needs] = ("received",)
    released: ClassVar[Mapping[str, Any]] = {"temperature": 2.0}

    weight: float = 1.0
    temperature: float = 1.0
    reduction: Reduction = "mean"
    layers: Subset = None
    heads: Subset = None

    def __post_init__(self) -> None:
        check(self.reduction, self.layers, self.heads)
        if not self.temperature > 0:
            raise ValueError(f"temperature must be above 0, got {self.temperature}")

    def __call__(self, received: Tensor | CapturedAttention, mask: Tensor | None = None) -> Tensor:
        """Value per sample, shape (batch,), from received (batch, layers, heads, length), mask (batch, length)."""
        logits = shared(received, mask, self.layers, self.heads).gram / self.temperature
        per_map = logits.logsumexp(-1) - logits.diagonal(dim1=-2, dim2=-1)
        return per_map.mean(-1) if self.reduction == "mean" else per_map.sum(-1)
