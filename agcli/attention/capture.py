"""What a forward returns beside its output, and of which layers and heads: here `--guide-layers` takes effect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

Quantity = Literal["received", "released", "maps", "scores"]
"""What a layer can return.

`received`: column sums of the map over real rows (Eq. 8), (batch, heads, length).
`released`: the authors' released arithmetic in its place, the mean over keys of the dropped-out map, same shape.
`maps`: the map before attention dropout, (batch, heads, length, length); padded rows hold anything.
`scores`: what the softmax is taken of, any bias included, before padding is masked; same shape.
"""

QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)

Quantities = tuple[Quantity, ...]

Indices = tuple[int, ...] | Literal["all"]
"""Layers or heads of an encoder, 0-based."""


@dataclass(frozen=True)
class Capture:
    """For each quantity the layers that return it, and the heads, the same in every layer.

    A layer that returns nothing computes nothing for it.
    """

    received: Indices = ()
    released: Indices = ()
    maps: Indices = ()
    scores: Indices = ()
    heads: Indices = "all"

    def __bool__(self) -> bool:
        return bool(self.quantities)

    def __or__(self, other: Capture) -> Capture:
        """The union of two captures."""
        if not (self and other):
            return self or other
        fields = (*QUANTITIES, "heads")
        return Capture(**{name: _union(getattr(self, name), getattr(other, name)) for name in fields})

    @property
    def quantities(self) -> Quantities:
        """What any layer returns."""
        return tuple(name for name in QUANTITIES if self.layers(name))

    def layers(self, quantity: Quantity) -> Indices:
        """The layers that return a quantity."""
        layers: Indices = getattr(self, quantity)
        return layers

    def of_layer(self, layer: int) -> Quantities:
        """What one layer returns."""
        return tuple(name for name in QUANTITIES if self.layers(name) == "all" or layer in self.layers(name))

    def in_all_layers(self) -> Capture:
        """The same quantities and heads, of every layer."""
        layers: dict[Quantity, Indices] = dict.fromkeys(self.quantities, "all")
        return Capture(**layers, heads=self.heads)

    def of_heads(self, tensor: Tensor) -> Tensor:
        """A quantity of all heads, (batch, heads, ...), restricted to the captured ones."""
        return tensor if self.heads == "all" else tensor[:, list(self.heads)]


def _union(one: Indices, other: Indices) -> Indices:
    return "all" if "all" in (one, other) else tuple(sorted({*one, *other}))
