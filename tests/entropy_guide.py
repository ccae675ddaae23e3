"""A third guide, as somebody would add it, and `ag` with it; run as a program, so that workers have it too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from agcli.guides import registry
from agcli.guides.base import CapturedAttention, Subset, shared
from agcli.guides.entry import GuideEntry, GuideOption


@dataclass(frozen=True)
class Entropy:
    """Mean entropy of the received attention of a sample's maps."""

    name: ClassVar[str] = "received_entropy"
    needs: ClassVar[tuple[str, ...]] = ("received",)

    weight: float = 1.0
    layers: Subset = None
    heads: Subset = None
    power: float = 1.0

    def __call__(self, received: Tensor | CapturedAttention, mask: Tensor | None = None) -> Tensor:
        """Value per sample, shape (batch,)."""
        rows = shared(received, mask, self.layers, self.heads).unit_rows
        entropy = -(rows * (rows + 1e-9).log()).sum((-2, -1)) / rows.shape[1]
        return entropy**self.power


if "received_entropy" not in registry.GUIDES:  # this file is a program, and a module that the guide is loaded from
    registry.register(
        GuideEntry(
            name="received_entropy",
            title="Entropy",
            symbol="γ",
            help="Weight of entropy guiding (γ); 0 turns it off.",
            weight=0.05,
            colour="#009E73",
            marker="v",
            target="entropy_guide:Entropy",
            options=(GuideOption("power", 1.0, "Power of the entropy.", limits={"above": 0.0}),),
        )
    )

if __name__ == "__main__":
    from agcli.__main__ import main

    main()
