"""Terms of the loss, and what the guides among them share: the unit rows and Gram matrix of one forward.

Notation (one sample): K guided maps, L padded length, n real tokens; `M` is (K, L) with unit rows (Eq. 8).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn.functional import normalize

from agcli.guides.registry import Needs

Subset = tuple[int, ...] | None
"""Layers or heads of the encoder, 0-based; None for all."""


class CapturedAttention:
    """Attention of one forward, with everything that guides derive from it computed at most once.

    Guides work in float32 at least: the off-diagonals of the Gram matrix lie close to each other, and half
    precision would round their differences away.

    Args:
        received: column sums of the attention maps over real query rows, shape (batch, layers, heads, length).
        mask: True for real tokens, shape (batch, length).
        maps: layer -> attention maps before dropout, shape (batch, heads, length, length).
        scores: layer -> attention scores before the softmax, same shape.
        layers: the encoder's numbers of the layers in `received`; None for all.
        heads: the encoder's numbers of the heads in all of these; None for all.
    """

    def __init__(
        self,
        received: Tensor | None,
        mask: Tensor,
        *,
        maps: Mapping[int, Tensor] | None = None,
        scores: Mapping[int, Tensor] | None = None,
        layers: Subset = None,
        heads: Subset = None,
    ) -> None:
        if received is not None and (received.dim() != 4 or mask.shape != (received.shape[0], received.shape[3])):
            raise ValueError(
                "received must be (batch, layers, heads, length) and mask (batch, length), "
                f"got {tuple(received.shape)} and {tuple(mask.shape)}"
            )
        self._received = received if received is None or received.dtype == torch.float64 else received.float()
        self.mask = mask.bool()
        self._maps, self._scores, self._layers, self._heads = maps or {}, scores or {}, layers, heads
        self._subsets: dict[tuple[Subset, Subset], CapturedAttention] = {}

    @property
    def received(self) -> Tensor:
        """Column sums in float32 at least, shape (batch, layers, heads, length).

        Raises:
            ValueError: they were not captured.
        """
        if self._received is None:
            raise ValueError("received attention was not captured")
        return self._received

    def subset(self, layers: Subset, heads: Subset) -> CapturedAttention:
        """Received attention restricted to some layers and heads; guides of one subset share its Gram."""
        layers = None if layers == self._layers else layers
        heads = None if heads == self._heads else heads
        if layers is None and heads is None:
            return self
        if (layers, heads) not in self._subsets:
            chosen = self.received
            if layers is not None:
                chosen = chosen[:, _positions(layers, self._layers, "layer")]
            if heads is not None:
                chosen = chosen[:, :, _positions(heads, self._heads, "head")]
            self._subsets[layers, heads] = CapturedAttention(chosen, self.mask)
        return self._subsets[layers, heads]

    def maps(self, layers: Subset = None, heads: Subset = None) -> Iterator[Tensor]:
        """Maps of each of these layers in turn, shape (batch, heads, length, length)."""
        return self._of_layers(self._maps, layers, heads)

    def scores(self, layers: Subset = None, heads: Subset = None) -> Iterator[Tensor]:
        """Scores of each of these layers in turn, shape (batch, heads, length, length)."""
        return self._of_layers(self._scores, layers, heads)

    def _of_layers(self, captured: Mapping[int, Tensor], layers: Subset, heads: Subset) -> Iterator[Tensor]:
        for layer in captured if layers is None else layers:
            if layer not in captured:
                raise ValueError(f"layer {layer} was not captured, only {list(captured)}")
            tensor = captured[layer]
            yield tensor if heads in (None, self._heads) else tensor[:, _positions(heads, self._heads, "head")]

    @cached_property
    def num_tokens(self) -> Tensor:
        """Real tokens n of each sample, shape (batch,)."""
        return self.mask.sum(-1).to(self.received.dtype)

    @cached_property
    def unit_rows(self) -> Tensor:
        """`M`: one row a map, padded columns 0, rows of norm 1; shape (batch, K, L)."""
        rows = self.received.flatten(1, 2) * self.mask[:, None, :]
        return normalize(rows, dim=-1)

    @cached_property
    def gram(self) -> Tensor:
        """`M Mᵀ`, shape (batch, K, K): MDG's logits and all that PDG needs (`‖MᵀM − I‖² = ‖MMᵀ‖² − 2·tr(MMᵀ) + n`)."""
        return _product(self.unit_rows, self.unit_rows.mT)

    @cached_property
    def squared_gram_norm(self) -> Tensor:
        """`‖MMᵀ‖² = ‖MᵀM‖²`, shape (batch,), from whichever of the two is there already or smaller."""
        _, maps, length = self.unit_rows.shape
        if "gram" in self.__dict__ or maps <= length:
            return self.gram.square().sum((-2, -1))
        return _product(self.unit_rows.mT, self.unit_rows).square().sum((-2, -1))


def _product(left: Tensor, right: Tensor) -> Tensor:
    """A matrix product that autocast does not lower to half precision."""
    with torch.autocast(left.device.type, enabled=False):
        return left @ right


def _positions(wanted: tuple[int, ...], captured: Subset, what: str) -> list[int]:
    if captured is None:
        return list(wanted)
    missing = sorted(set(wanted) - set(captured))
    if missing:
        raise ValueError(f"{what} {missing[0]} was not captured, only {list(captured)}")
    return [captured.index(number) for number in wanted]


class Term(Protocol):
    """A term of the loss beside the task's; its name is a column in histories and a key in reports."""

    @property
    def name(self) -> str:
        """Unique among the terms of a loss."""

    @property
    def weight(self) -> float:
        """The factor in the loss (α, β, ...)."""

    def __call__(self, attention: CapturedAttention, /) -> Tensor:
        """The value without the weight: one for each sample, shape (batch,), or one for the batch, scalar."""


@runtime_checkable
class Guide(Term, Protocol):
    """A regulariser on attention: a term with one value for each sample, shape (batch,)."""

    needs: ClassVar[Needs]
    """The quantity it needs of its layers and heads."""

    @property
    def layers(self) -> Subset:
        """The guided layers."""

    @property
    def heads(self) -> Subset:
        """The guided heads of each of those layers."""


def check(reduction: str, layers: Subset, heads: Subset) -> None:
    """Check a guide's options.

    Raises:
        ValueError: an unknown reduction, or layers or heads that are no tuple of 0-based indices.
    """
    if reduction not in ("mean", "sum"):
        raise ValueError(f"reduction must be 'mean' or 'sum', got {reduction!r}")
    for name, indices in (("layers", layers), ("heads", heads)):
        if indices is not None and (not isinstance(indices, tuple) or not indices or min(indices) < 0):
            raise ValueError(f"{name} must be None or a tuple of 0-based indices, got {indices!r}")


def shared(
    received: Tensor | CapturedAttention, mask: Tensor | None, layers: Subset, heads: Subset
) -> CapturedAttention:
    """The attention that a guide computes from, in either of the two forms of its call."""
    if isinstance(received, CapturedAttention):
        return received.subset(layers, heads)
    if mask is None:
        raise ValueError("a guide called with a received tensor also needs the mask (batch, length)")
    return CapturedAttention(received, mask).subset(layers, heads)


@dataclass(frozen=True)
class TermValues:
    """Scalar tensors by the terms' names: means over the batch, without (`raw`) and with the weight."""

    raw: dict[str, Tensor]
    weighted: dict[str, Tensor]

    @property
    def loss(self) -> Tensor:
        """Σ weight · raw, to be added to the task loss (Eq. 5); scalar tensor."""
        return torch.stack(list(self.weighted.values())).sum()


def term_values(terms: Sequence[Term], attention: CapturedAttention) -> TermValues:
    """Reduce over the batch and weight, once, for all terms (Eq. 5).

    The batch mean is over all samples, so gradient accumulation over equal micro-batches equals one large batch.

    Raises:
        ValueError: a term occurs twice.
    """
    raw = {term.name: term(attention).mean() for term in terms}
    if len(raw) < len(terms):
        raise ValueError(f"each guide may occur once, got {[term.name for term in terms]}")
    return TermValues(raw, weighted={term.name: term.weight * raw[term.name] for term in terms})
