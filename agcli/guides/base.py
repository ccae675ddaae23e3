"""Terms of the loss, and what the guides among them share: the unit rows and Gram matrix of one forward.

Notation (one sample): K guided maps, L padded length, n real tokens; `M` is (K, L) with unit rows (Eq. 8).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn.functional import normalize

from agcli.guides.capture import Capture, Indices, Request, choose_heads
from agcli.guides.targets import NO_TARGETS, Target, row_sums
from agcli.guides.tokens import Tokens

Subset = tuple[int, ...] | None
"""Layers or heads of the encoder, 0-based; None for all."""

Captured = Mapping[str, Mapping[int, Tensor]]
"""Quantity -> layer of the encoder -> tensor of the captured heads."""

Needs = tuple[str, ...]
"""Quantities of `agcli.guides.capture.Quantity`; `mass` stands for the mass on the guide's own target."""


class ReceivedAttention:
    """Received attention of some maps, with everything that guides derive from it computed at most once.

    Guides work in float32 at least: the off-diagonals of the Gram matrix lie close to each other, and half
    precision would round their differences away.

    Args:
        received: column sums of the attention maps over real query rows, shape (batch, layers, heads, length).
        mask: True for real tokens, shape (batch, length).
    """

    def __init__(self, received: Tensor, mask: Tensor) -> None:
        if received.dim() != 4 or mask.shape != (received.shape[0], received.shape[3]):
            raise ValueError(
                "received must be (batch, layers, heads, length) and mask (batch, length), "
                f"got {tuple(received.shape)} and {tuple(mask.shape)}"
            )
        self.received = received if received.dtype == torch.float64 else received.float()
        self.mask = mask.bool()

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


class CapturedAttention:
    """What one forward captured for the guides; what several of them derive from it is computed once.

    Args:
        mask: True for real tokens, shape (batch, length).
        captured: quantity -> layer -> tensor of the captured heads.
        capture: which heads those are.
        targets: name -> target of the captured masses.
        tokens: the batch's tokens, for guides that look at them.
    """

    def __init__(
        self,
        mask: Tensor,
        captured: Captured,
        capture: Capture,
        targets: Mapping[str, Target] = NO_TARGETS,
        tokens: Tokens | None = None,
    ) -> None:
        self.mask, self.targets, self.tokens = mask.bool(), targets, tokens
        self._captured, self._capture = captured, capture
        self._received: dict[tuple[str, Subset, Subset], ReceivedAttention] = {}
        self._row_sums: dict[tuple[str, int], Tensor] = {}

    @classmethod
    def of_received(cls, received: Tensor, mask: Tensor) -> CapturedAttention:
        """From received attention of all layers and heads, (batch, layers, heads, length)."""
        return cls(mask, {"received": dict(enumerate(received.unbind(1)))}, Capture((Request("received"),)))

    def received(self, layers: Subset = None, heads: Subset = None) -> ReceivedAttention:
        """Received attention of some layers and heads; guides of one subset share it.

        Raises:
            ValueError: it was not captured.
        """
        quantity = "released" if "released" in self._captured else "received"
        if (quantity, layers, heads) not in self._received:
            # The released arithmetic keeps padded rows.
            mask = torch.ones_like(self.mask) if quantity == "released" else self.mask
            self._received[quantity, layers, heads] = ReceivedAttention(self.stacked(quantity, layers, heads), mask)
        return self._received[quantity, layers, heads]

    def each_layer(self, quantity: str, layers: Subset = None, heads: Subset = None) -> Iterator[Tensor]:
        """A quantity of each of these layers in turn, shape (batch, heads, ...), with the heads in this order.

        Raises:
            ValueError: it was not captured.
        """
        captured = self._captured.get(quantity, {})
        if not captured:
            raise ValueError(f"{quantity} was not captured")
        for layer in captured if layers is None else layers:
            if layer not in captured:
                raise ValueError(f"layer {layer} was not captured, only {list(captured)}")
            wanted: Indices = "all" if heads is None else heads
            yield choose_heads(captured[layer], wanted, of=self._capture.of_layer(layer)[quantity])

    def stacked(self, quantity: str, layers: Subset = None, heads: Subset = None) -> Tensor:
        """`each_layer` as one tensor, (batch, layers, heads, ...)."""
        return torch.stack(list(self.each_layer(quantity, layers, heads)), dim=1)

    def row_sums(self, target: str, power: int = 1) -> Tensor:
        """`Σ_j T_ij^power` of a target's rows, 0 where a row has none; shape (batch, length)."""
        if (target, power) not in self._row_sums:
            self._row_sums[target, power] = row_sums(self.targets[target], self.mask, power)
        return self._row_sums[target, power]


def _product(left: Tensor, right: Tensor) -> Tensor:
    """A matrix product that autocast does not lower to half precision."""
    with torch.autocast(left.device.type, enabled=False):
        return left @ right


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

    @property
    def needs(self) -> Needs:
        """The quantities that it is computed from, of its layers and heads."""

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
    check_subset(layers, heads)


def check_subset(layers: Subset, heads: Subset) -> None:
    """Check which layers and heads a guide guides.

    Raises:
        ValueError: not None, and no tuple of 0-based indices.
    """
    for name, indices in (("layers", layers), ("heads", heads)):
        if indices is not None and (not isinstance(indices, tuple) or not indices or min(indices) < 0):
            raise ValueError(f"{name} must be None or a tuple of 0-based indices, got {indices!r}")


@dataclass(frozen=True)
class SubsetGuide:
    """The fields that guides share.

    Attributes:
        weight: λ in the loss; not applied by the call.
        layers: guided layers, 0-based; None for all; `heads`, in each of those layers, likewise.

    Raises:
        ValueError: layers or heads that are no tuple of 0-based indices.
    """

    weight: float = 1.0
    layers: Subset = None
    heads: Subset = None

    def __post_init__(self) -> None:
        check_subset(self.layers, self.heads)


@runtime_checkable
class TargetGuide(Guide, Protocol):
    """A guide that needs `mass`: on a target that it makes of the batch's tokens."""

    def target(self, tokens: Tokens) -> Target:
        """The target of every row, made once a batch."""


def reads_ids(guide: Guide) -> bool:
    """Whether a guide looks at what the tokens are: it says so itself (`reads_ids`), else one towards targets does."""
    return bool(getattr(guide, "reads_ids", isinstance(guide, TargetGuide)))


def shared(
    received: Tensor | CapturedAttention, mask: Tensor | None, layers: Subset, heads: Subset
) -> ReceivedAttention:
    """Received attention that a guide computes from, in either of the two forms of its call.

    A tensor holds all layers and heads.
    """
    if isinstance(received, CapturedAttention):
        return received.received(layers, heads)
    if mask is None:
        raise ValueError("a guide called with a received tensor also needs the mask (batch, length)")
    for number, chosen in ((1, layers), (2, heads)):
        if chosen is not None:
            received = received.index_select(number, torch.tensor(chosen, device=received.device))
    return ReceivedAttention(received, mask)


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
