"""Disagreement: the heads of a layer should attend to different positions (Li et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from agcli.guides.base import CapturedAttention, Needs, SubsetGuide


@dataclass(frozen=True)
class Disagreement(SubsetGuide):
    """Mean over layers of `Σ_g Σ_h Σ_ij A_g,ij A_h,ij / (H² n)`, over the H guided heads and n real tokens.

    Computed as `‖Σ_h A_h‖² / (H² n)`: the sum over heads is one map.

    Source: Li et al. 2018, "Multi-Head Attention with Disagreement Regularization", on attended positions; divided by
    n, so that long inputs weigh no more, and with the sign of a loss.
    """

    name: ClassVar[str] = "disagreement"
    needs: ClassVar[Needs] = ("maps",)

    def __call__(self, attention: CapturedAttention) -> Tensor:
        """Value per sample, shape (batch,); 0 for a sample without tokens."""
        real = attention.mask
        padding = ~(real[:, :, None] & real[:, None, :])
        agreements = []
        for maps in attention.each_layer("maps", self.layers, self.heads):
            exact = maps.to(torch.promote_types(maps.dtype, torch.float32))
            agreements.append(exact.mean(1).masked_fill(padding, 0.0).square().sum((-2, -1)))
        return torch.stack(agreements).mean(0) / real.sum(-1).clamp_min(1)
