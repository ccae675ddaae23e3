"""What all guides share: the unit rows and Gram matrix of one forward, and the step from values to a loss.

Notation (one sample): K guided maps, L padded length, n real tokens; `M` is (K, L) with unit rows (Eq. 8).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal, Protocol

import torch
from torch import Tensor
from torch.nn.functional import normalize

Reduction = Literal["mean", "sum"]
Subset = tuple[int, ...] | None


class ReceivedAttention:
    """Received attention of one forward, with everything the guides derive from it computed at most once.

    Args:
        received: column sums of the attention maps over real query rows, shape (batch, layers, heads, length).
        mask: True for real tokens, shape (batch, length).

    Guides work in float32 at least: the off-diagonals of the Gram matrix lie close to each other, and half
    precision would round their differences away.
    """

    def __init__(self, received: Tensor, mask: Tensor) -> None:
        if received.dim() != 4 or mask.shape != (received.shape[0], received.shape[3]):
            raise ValueError(
                "received must be (batch, layers, heads, length) and mask (batch, length), "
                f"got {tuple(received.shape)} and {tuple(mask.shape)}"
            )
        self.received = received if received.dtype == torch.float64 else received.float()
        self.mask = mask.bool()
        self._subsets: dict[tuple[Subset, Subset], ReceivedAttention] = {}

    def subset(self, layers: Subset, heads: Subset) -> ReceivedAttention:
        """The same forward restricted to some layers and heads (0-based); guides of one subset share its Gram."""
        if layers is None and heads is None:
            return self
        if (layers, heads) not in self._subsets:
            chosen = self.received
            if layers is not None:
                chosen = chosen[:, list(layers)]
            if heads is not None:
                chosen = chosen[:, :, list(heads)]
            self._subsets[layers, heads] = ReceivedAttention(chosen, self.mask)
        return self._subsets[layers, heads]

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
        return self._product(self.unit_rows, self.unit_rows.mT)

    @cached_property
    def squared_gram_norm(self) -> Tensor:
        """`‖MMᵀ‖² = ‖MᵀM‖²`, shape (batch,), from whichever of the two is there already or smaller."""
        _, maps, length = self.unit_rows.shape
        if "gram" in self.__dict__ or maps <= length:
            return self.gram.square().sum((-2, -1))
        return self._product(self.unit_rows.mT, self.unit_rows).square().sum((-2, -1))

    def _product(self, left: Tensor, right: Tensor) -> Tensor:
        """A matrix product that autocast does not lower to half precision."""
        with torch.autocast(left.device.type, enabled=False):
            return left @ right


class Guide(Protocol):
    """A regulariser on attention: small, pure, one value per sample."""

    name: ClassVar[str]
    needs: ClassVar[Literal["received", "maps"]]

    @property
    def weight(self) -> float:
        """The guide's weight in the loss (α, β, ...)."""

    def __call__(self, received: Tensor | ReceivedAttention, mask: Tensor | None = None) -> Tensor:
        """The guide's value for each sample, without the weight; shape (batch,)."""


def check(reduction: str, layers: Subset, heads: Subset) -> None:
    """Refuse what would silently compute something else.

    Raises:
        ValueError: an unknown reduction, or layers or heads that are no tuple of 0-based indices.
    """
    if reduction not in ("mean", "sum"):
        raise ValueError(f"reduction must be 'mean' or 'sum', got {reduction!r}")
    for name, indices in (("layers", layers), ("heads", heads)):
        if indices is not None and (not isinstance(indices, tuple) or not indices or min(indices) < 0):
            raise ValueError(f"{name} must be None or a tuple of 0-based indices, got {indices!r}")


def shared(
    received: Tensor | ReceivedAttention, mask: Tensor | None, layers: Subset, heads: Subset
) -> ReceivedAttention:
    """The object that a guide computes from, whichever of the two call forms was used."""
    if isinstance(received, ReceivedAttention):
        return received.subset(layers, heads)
    if mask is None:
        raise ValueError("a guide called with a received tensor also needs the mask (batch, length)")
    return ReceivedAttention(received, mask).subset(layers, heads)


@dataclass(frozen=True)
class GuideValues:
    """What the guides said about one batch.

    Attributes:
        raw: guide name -> mean over the batch's samples, without the weight; scalar tensors.
        weighted: guide name -> weight · raw, the term of the loss; scalar tensors.
    """

    raw: dict[str, Tensor]
    weighted: dict[str, Tensor]

    @property
    def loss(self) -> Tensor:
        """Σ weight · raw, what is added to the task loss (Eq. 5); scalar tensor."""
        return torch.stack(list(self.weighted.values())).sum()


def guide_values(guides: Sequence[Guide], attention: ReceivedAttention) -> GuideValues:
    """Reduce over the batch and weight, once, for all guides (Eq. 5).

    The batch mean is over all samples, so gradient accumulation over equal micro-batches equals one large batch.

    Raises:
        ValueError: a guide occurs twice.
    """
    raw = {guide.name: guide(attention).mean() for guide in guides}
    if len(raw) < len(guides):
        raise ValueError(f"each guide may occur once, got {[guide.name for guide in guides]}")
    return GuideValues(raw, weighted={guide.name: guide.weight * raw[guide.name] for guide in guides})


def text_forms(guides: Sequence[Guide]) -> Iterator[str]:
    """`mdg=0.01` and the like: how a guide reads in the command line, configs, CSV headers and tables."""
    for guide in guides:
        yield f"{guide.name}={guide.weight:g}"
