"""Guides for tests of what lies between `--guide` and the loss: one on targets that takes heads, one on rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import pytest
from torch import Tensor

from agcli.guides.base import CapturedAttention, Needs, Subset
from agcli.guides.entry import GuideEntry, GuideOption
from agcli.guides.registry import GUIDES
from agcli.guides.targets import Diagonal, Target
from agcli.guides.tokens import Tokens


@dataclass(frozen=True)
class Ahead:
    """Minus the mean mass on the token `distance` ahead, over real rows of the guided heads."""

    name: ClassVar[str] = "ahead"
    needs: ClassVar[Needs] = ("mass",)

    weight: float = 1.0
    distance: int = 1
    form: Literal["plain", "double"] = "plain"
    layers: Subset = None
    heads: Subset = None

    def target(self, tokens: Tokens) -> Target:
        """One diagonal."""
        return Diagonal(self.distance)

    def __call__(self, attention: CapturedAttention) -> Tensor:
        mass = attention.stacked(f"mass:{self.name}", self.layers, self.heads).mean((1, 2))
        factor = 2.0 if self.form == "double" else 1.0
        return -factor * (mass * attention.mask).sum(-1) / attention.mask.sum(-1)


@dataclass(frozen=True)
class Behind(Ahead):
    """The same, backwards."""

    name: ClassVar[str] = "behind"

    distance: int = -1


@dataclass(frozen=True)
class Toward(Ahead):
    """The same, two ahead."""

    name: ClassVar[str] = "toward"

    distance: int = 2


@dataclass(frozen=True)
class Spread:
    """The mean squared norm of real rows."""

    name: ClassVar[str] = "spread"
    needs: ClassVar[Needs] = ("squared_norm",)

    weight: float = 1.0
    layers: Subset = None
    heads: Subset = None

    def __call__(self, attention: CapturedAttention) -> Tensor:
        norms = attention.stacked("squared_norm", self.layers, self.heads).mean((1, 2))
        return (norms * attention.mask).sum(-1) / attention.mask.sum(-1)


def register_toys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add `ahead`, `behind` and `toward`, which take heads, and `spread`, which does not, for one test."""
    own = (
        GuideOption("form", "plain", "plain or double.", limits={"choices": ("plain", "double")}),
        GuideOption("distance", 1, "How far ahead.", limits={"minimum": -8, "maximum": 8}),
    )
    for target in ("Ahead", "Behind", "Toward", "Spread"):
        name = target.lower()
        entry = GuideEntry(
            name=name,
            title=name,
            symbol=name,
            help="Nothing but a test.",
            weight=0.05,
            colour="#000000",
            marker="v",
            target=f"toy_guides:{target}",
            takes_heads=target != "Spread",
            options=own if name == "ahead" else (),
        )
        monkeypatch.setitem(GUIDES, name, entry)
