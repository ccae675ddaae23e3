"""Match: some heads compare the two texts of a pair, a token attending to its like in the other text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

from agcli.guides.rows import RowGuide
from agcli.guides.targets import Cells, Target
from agcli.guides.tokens import Tokens

SAME_COSINE = 1e-6
"""Cosines closer than this are equal, as those of one word piece at two positions: float32 rounds them differently."""


@dataclass(frozen=True)
class Match(RowGuide):
    """Targets are positions of the other text with the same word piece, or with similar ones.

    Special tokens, stop words and punctuation neither have targets nor are any. Where token types do not tell two
    texts apart, separators do.

    Source: our own.

    Attributes:
        match: `exact`, or `similar`: the nearest by cosine of the encoder's input embeddings before training.
        nearest: how many positions are similar, and with them any that are as near as the last of these.
    """

    name = "match"

    match: Literal["exact", "similar"] = "exact"
    nearest: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.match not in ("exact", "similar"):
            raise ValueError(f"match: match must be 'exact' or 'similar', got {self.match!r}")
        if self.nearest < 1:
            raise ValueError(f"match: nearest must be at least 1, got {self.nearest}")

    @property
    def needs_of_vocabulary(self) -> tuple[str, ...]:  # type: ignore[override]
        """Separators, as not all encoders have token types; embeddings where they are compared."""
        return ("delim_ids", "embeddings") if self.match == "similar" else ("delim_ids",)

    def target(self, tokens: Tokens) -> Target:
        """The cells of like tokens in different texts."""
        vocabulary, texts = tokens.vocabulary, _texts(tokens)
        content = tokens.mask & ~tokens.among((*vocabulary.special_ids, *vocabulary.function_ids))
        comparable = content[:, :, None] & content[:, None, :] & (texts[:, :, None] != texts[:, None, :])
        if self.match == "exact":
            like = tokens.input_ids[:, :, None] == tokens.input_ids[:, None, :]
        else:
            like = self._nearest(tokens, comparable)
        return Cells((comparable & like).float())

    def _nearest(self, tokens: Tokens, comparable: Tensor) -> Tensor:
        """Which cells are among the nearest of their row; shape (batch, length, length)."""
        table = tokens.vocabulary.embeddings
        if table is None:
            raise ValueError("match=similar compares input embeddings, but the vocabulary has none")
        vectors = table[tokens.input_ids.to(table.device)].to(tokens.input_ids.device).float()
        units = normalize(vectors, dim=-1)
        with torch.autocast(units.device.type, enabled=False):
            cosines = (units @ units.mT).masked_fill(~comparable, -2.0)
        last = cosines.topk(min(self.nearest, cosines.shape[-1]), dim=-1).values[..., -1:]
        return cosines >= last - SAME_COSINE


def _texts(tokens: Tokens) -> Tensor:
    """The text that each token belongs to, as a number; shape (batch, length)."""
    separators = tokens.among(tokens.vocabulary.delim_ids).long().cumsum(-1)
    types = tokens.token_type_ids
    if types is None:
        return separators
    first = types.gather(1, tokens.mask.int().argmax(-1, keepdim=True))  # of the first real token
    differ = ((types != first) & tokens.mask).any(-1, keepdim=True)
    return torch.where(differ, types, separators)
