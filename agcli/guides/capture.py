"""What a forward returns beside its output, and of which layers and heads: here `--guide-layers` takes effect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from torch import Tensor

Quantity = str
"""What a layer can return of some of its heads; in float32 at least. Padded rows and columns of rows' numbers are 0.

`received`: column sums of the map over real rows (Eq. 8), (batch, heads, length).
`mass:NAME`: mass of each row of the map on the target NAME, `a_i = Σ_j A_ij T_ij`, (batch, heads, length).
`squared_norm`: `q_i = Σ_j A_ij²`; `entropy`: `e_i = −Σ_j A_ij ln A_ij`, in nats; same shape.
`released`: the authors' released arithmetic of `received`: the mean over keys of the dropped-out map, same shape.
`maps`: the map before attention dropout, (batch, heads, length, length); padded rows hold anything.
`dropped_maps`: the map after attention dropout; `scores`: what the softmax is taken of, any bias included, before
padding is masked; same shape.
"""

ROW_QUANTITIES = ("squared_norm", "entropy")
MAP_QUANTITIES = ("released", "maps", "dropped_maps", "scores")
"""Quantities that need whole maps, which the reference alone keeps."""
QUANTITIES = ("received", *ROW_QUANTITIES, *MAP_QUANTITIES)
"""All quantities but the masses."""
MASS = "mass:"

Indices = tuple[int, ...] | Literal["all"]
"""Layers or heads of an encoder, 0-based."""

LayerCapture = Mapping[Quantity, Indices]
"""What one layer returns: quantity -> heads."""

RECEIVED: LayerCapture = MappingProxyType({"received": "all"})
NOTHING: LayerCapture = MappingProxyType({})


@dataclass(frozen=True)
class Request:
    """One quantity of some layers and heads.

    Raises:
        ValueError: there is no such quantity.
    """

    quantity: Quantity
    layers: Indices = "all"
    heads: Indices = "all"

    def __post_init__(self) -> None:
        _check_quantity(self.quantity)

    def includes(self, layer: int) -> bool:
        """Whether it is a request to this layer."""
        return self.layers == "all" or layer in self.layers


@dataclass(frozen=True)
class Capture:
    """Requests to an encoder; a layer without a request computes and returns nothing."""

    requests: tuple[Request, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.requests)

    def __or__(self, other: Capture) -> Capture:
        """Both captures."""
        return Capture(tuple(dict.fromkeys((*self.requests, *other.requests))))

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """What any layer returns."""
        return tuple(dict.fromkeys(request.quantity for request in self.requests))

    def of_layer(self, layer: int) -> dict[Quantity, Indices]:
        """What one layer returns, and of which heads."""
        heads: dict[Quantity, Indices] = {}
        for request in self.requests:
            if request.includes(layer):
                quantity = request.quantity
                heads[quantity] = _union(heads[quantity], request.heads) if quantity in heads else request.heads
        return heads

    def in_all_layers(self) -> Capture:
        """The same quantities and heads, of every layer."""
        return Capture(tuple(Request(request.quantity, "all", request.heads) for request in self.requests))


def check_layer_capture(capture: LayerCapture, num_heads: int) -> None:
    """Check what a layer shall return.

    Raises:
        ValueError: there is no such quantity; heads that are not there, one of them twice, or no tuple.
    """
    for quantity, heads in capture.items():
        _check_quantity(quantity)
        check_heads(quantity, heads, num_heads)


def check_heads(name: str, heads: Indices, num_heads: int) -> None:
    """Check which heads of an encoder a quantity, or a guide, is of.

    Raises:
        ValueError: heads that are not there, one of them twice, or no tuple.
    """
    some = isinstance(heads, tuple) and 0 < len(heads) == len({*heads}) and {*heads} <= {*range(num_heads)}
    if heads != "all" and not some:
        allowed = f'0 to {num_heads - 1} in a tuple, each once, or "all"'
        raise ValueError(f"{name}: heads {heads!r} are not allowed; allowed: {allowed}")


def _check_quantity(quantity: Quantity) -> None:
    if quantity not in QUANTITIES and not quantity.startswith(MASS):
        allowed = ", ".join((*QUANTITIES, f"{MASS}NAME"))
        raise ValueError(f"there is no quantity {quantity!r}; allowed: {allowed}")


def of_heads(tensor: Tensor, heads: Indices) -> Tensor:
    """A tensor of all heads, (batch, heads, ...), restricted to some."""
    if heads == "all":
        return tensor
    if heads == tuple(range(heads[0], heads[-1] + 1)):
        return tensor[:, heads[0] : heads[-1] + 1]
    return tensor[:, list(heads)]


def choose_heads(tensor: Tensor, heads: Indices, *, of: Indices) -> Tensor:
    """Some of the heads that a tensor (batch, heads, ...) holds, which are the encoder's heads `of`.

    Raises:
        ValueError: it does not hold them.
    """
    if heads == of:
        return tensor
    if of == "all":
        return of_heads(tensor, heads)
    missing = [head for head in heads if head not in of] if heads != "all" else ["all"]
    if missing:
        raise ValueError(f"head {missing[0]} was not captured, only {list(of)}")
    return of_heads(tensor, tuple(of.index(head) for head in heads if head != "all"))


def _union(one: Indices, other: Indices) -> Indices:
    return "all" if "all" in (one, other) else tuple(sorted({*one, *other}))
