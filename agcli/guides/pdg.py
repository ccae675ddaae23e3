"""PDG, pattern decorrelation guiding: attended positions should decorrelate (Wang et al. 2022, Eq. 12)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from agcli.guides.base import CapturedAttention, Needs, Subset, check, shared
from agcli.guides.entry import Reduction


@dataclass(frozen=True)
class PDG:
    """`PDG = ‖MᵀM − I‖_F²` over the n real columns, computed as `‖MMᵀ‖² − 2·tr(MMᵀ) + n`.

    Source: Eq. 12. `reduction="sum"` is the equation; `"mean"` divides by `columns`, the padded length 256 of the
    authors' released code, at which the paper's β was searched. It is a constant: dividing by a batch's own length
    would make the value depend on padding.

    Attributes:
        weight: β in Eq. 5; not applied by the call.
        reduction: `mean` (divide by `columns`) or `sum`.
        columns: the divisor; None for the batch's padded length (the released arithmetic only).
        layers: guided layers, 0-based; None for all; `heads`, in each of those layers, likewise.
    """

    name: ClassVar[str] = "pdg"
    needs: ClassVar[Needs] = ("received",)
    released: ClassVar[Mapping[str, Any]] = {"columns": None}

    weight: float = 1.0
    reduction: Reduction = "mean"
    columns: int | None = 256
    layers: Subset = None
    heads: Subset = None

    def __post_init__(self) -> None:
        check(self.reduction, self.layers, self.heads)
        if self.columns is not None and self.columns < 1:
            raise ValueError(f"columns must be at least 1 or None, got {self.columns}")

    def __call__(self, received: Tensor | CapturedAttention, mask: Tensor | None = None) -> Tensor:
        """Value per sample, shape (batch,), from received (batch, layers, heads, length), mask (batch, length)."""
        attention = shared(received, mask, self.layers, self.heads)
        trace = attention.unit_rows.square().sum((-2, -1))
        total = attention.squared_gram_norm - 2 * trace + attention.num_tokens
        if self.reduction == "sum":
            return total
        return total / (self.columns or attention.mask.shape[-1])
