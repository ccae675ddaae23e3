"""Knowledge of pairs of words: mutual information, dependency arcs, similarity in WordNet (Wang et al. 2022, Table 2).

K, made with the data, is symmetric, at least 0, and 0 for special tokens; the targets are its rows scaled to sum 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

from agcli.errors import UsageError
from agcli.guides.base import CapturedAttention
from agcli.guides.rows import Form, RowGuide
from agcli.guides.targets import Cells, Columns, Target
from agcli.guides.tokens import Tokens


@dataclass(frozen=True)
class Knowledge(RowGuide):
    """Knowledge of the data under the guide's name, with the form `vector` beside those of `RowGuide`.

    `vector`: mean over layers and heads of `Σ_j (m_j − k_j)²`: received attention m against the column mean k of K,
    both scaled to sum 1.

    Source: the authors' code makes the vectors k; how they enter its loss is not published.
    """

    forms: ClassVar[tuple[Form, ...]] = ("nll", "squared", "vector")

    @property
    def knowledge(self) -> str | None:
        """What the data must know of its pairs of tokens; None for a guide that can do without."""
        return self.name

    def target(self, tokens: Tokens) -> Target:
        """K with rows scaled to sum 1, or, for `vector`, its column mean scaled to sum 1."""
        real = tokens.mask[:, :, None] & tokens.mask[:, None, :]
        known = self._known(tokens)
        known = known.to(torch.promote_types(known.dtype, torch.float32)).masked_fill(~real, 0.0)
        if self.form == "vector":
            return Columns(normalize(known.sum(-2), p=1.0, dim=-1))
        return Cells(normalize(known, p=1.0, dim=-1))

    def _known(self, tokens: Tokens) -> Tensor:
        """K, (batch, length, length).

        Raises:
            UsageError: the batch does not carry it.
            ValueError: it has another shape.
        """
        if self.name not in tokens.knowledge:
            carried = ", ".join(tokens.knowledge) or "none"
            raise UsageError(
                f"The guide {self.name} needs the data's knowledge {self.name!r}; the batch carries: {carried}.",
                hint=f"ag prepare --knowledge {self.name} makes it",
            )
        known = tokens.knowledge[self.name]
        batch, length = tokens.mask.shape
        if known.shape != (batch, length, length):
            raise ValueError(
                f"knowledge {self.name!r} must be (batch, length, length), here {(batch, length, length)}, "
                f"got {tuple(known.shape)}"
            )
        return known

    def __call__(self, attention: CapturedAttention) -> Tensor:
        """Value per sample, shape (batch,); 0 for a sample of which nothing is known."""
        return self._vector(attention) if self.form == "vector" else super().__call__(attention)

    def _vector(self, attention: CapturedAttention) -> Tensor:
        target = attention.targets[self.name]
        assert isinstance(target, Columns)  # as `target` makes it for this form
        received = attention.received(self.layers, self.heads).received
        received = received * attention.mask[:, None, None, :]
        wanted = target.weights.to(received.dtype)[:, None, None, :]
        errors = (normalize(received, p=1.0, dim=-1) - wanted).square().sum(-1)
        return errors.mean((1, 2)).masked_fill(~target.weights.any(-1), 0.0)


@dataclass(frozen=True)
class PMI(Knowledge):
    """Pointwise mutual information of words, where it is above 0.

    `counts="sentence"` does without the data's counts: of the tokens x, y at i < j, `log2(p(x,y) / (p(x) p(y)))`,
    p(x) the share of x among the n tokens of this input, p(x,y) the share of "x, then y" among its n − 1 pairs of
    neighbours; 0 where y never follows x.

    Source: `counts="sentence"` is a helper of Wang et al.'s code. Where no token repeats, it is one constant for
    neighbours and 0 elsewhere. Deviations: it counts word pieces and not words, K is cut at 0, and special tokens,
    which are counted, carry no knowledge.
    """

    name = "pmi"

    counts: Literal["split", "sentence"] = "split"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.counts not in ("split", "sentence"):
            raise ValueError(f"pmi: counts must be 'split' or 'sentence', got {self.counts!r}")

    @property
    def knowledge(self) -> str | None:
        """Nothing where this input alone is counted."""
        return self.name if self.counts == "split" else None

    def _known(self, tokens: Tokens) -> Tensor:
        return super()._known(tokens) if self.counts == "split" else sentence_pmi(tokens)


class Dependency(Knowledge):
    """Dependency arcs, in both directions."""

    name = "dependency"


class WordSim(Knowledge):
    """Wu-Palmer similarity in WordNet."""

    name = "wordsim"


def sentence_pmi(tokens: Tokens) -> Tensor:
    """PMI of the tokens of each input, from its own counts, cut at 0; shape (batch, length, length)."""
    ids, real = tokens.input_ids, tokens.mask
    same = (ids[:, :, None] == ids[:, None, :]) & real[:, :, None] & real[:, None, :]
    number = real.sum(-1)[:, None, None].float()
    count = same.sum(-1).float()
    # pairs[i, j] = Σ_k [x_k = x_i] [x_k+1 = x_j]: float32 holds such counts exactly, bfloat16 would not
    with torch.autocast(ids.device.type, enabled=False):
        pairs = same[:, :, :-1].float() @ same[:, :, 1:].float().mT
    independent = count[:, :, None] * count[:, None, :] / number.square().clamp_min(1)
    together = pairs / (number - 1).clamp_min(1)
    ratio = torch.where(pairs > 0, together / independent.clamp_min(torch.finfo(torch.float32).tiny), 1.0)
    above = ratio.log2().clamp_min(0.0).triu(1)
    content = real & ~tokens.among(tokens.vocabulary.special_ids)
    return (above + above.mT) * (content[:, :, None] & content[:, None, :])
