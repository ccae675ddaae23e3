"""What guides may know of a batch beside its attention: tokens, and what vocabulary and data say of them."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from agcli.errors import UsageError


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Ids of a tokenizer that patterns refer to.

    Attributes:
        special_ids: of `[CLS]`, `[SEP]`, `[PAD]` and their like.
        delim_ids: of the sign between and behind texts, `[SEP]` or `</s>`.
        period_ids: all that spell a period.
        function_ids: of stop words and punctuation, which no match is made of.
        embeddings: the encoder's input embeddings before training, (vocabulary, hidden_size); None unless a guide
            needs them.
    """

    special_ids: tuple[int, ...] = ()
    delim_ids: tuple[int, ...] = ()
    period_ids: tuple[int, ...] = ()
    function_ids: tuple[int, ...] = ()
    embeddings: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Tokens:
    """The tokens of one batch.

    Shape: ids, mask (True for real tokens) and, where the encoder has them, token_type_ids are (batch, length).

    Attributes:
        ids: None where the encoder was given embeddings in their place.
        knowledge: name -> what the data's knowledge says of each pair of tokens, at least 0, (batch, length, length).
    """

    ids: Tensor | None
    mask: Tensor
    token_type_ids: Tensor | None = None
    vocabulary: Vocabulary = field(default_factory=Vocabulary)
    knowledge: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def input_ids(self) -> Tensor:
        """The tokens' ids, (batch, length).

        Raises:
            UsageError: there are none.
        """
        if self.ids is None:
            raise UsageError(
                "A guide needs the tokens' ids, and the encoder was called with inputs_embeds and without input_ids.",
                hint="call it with input_ids, or leave out the guides that look at tokens",
            )
        return self.ids

    def among(self, ids: tuple[int, ...]) -> Tensor:
        """Whether each real token is one of these, (batch, length)."""
        return torch.isin(self.input_ids, _on_device(ids, self.input_ids.dtype, self.input_ids.device)) & self.mask


@functools.lru_cache(maxsize=64)
def _on_device(ids: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Copied once and not with every batch, as a copy waits for the device."""
    return torch.tensor(ids, dtype=dtype, device=device)
