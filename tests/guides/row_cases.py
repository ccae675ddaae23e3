"""A batch of attention maps with its tokens, and every guide in each of its forms."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from agcli.guides import guide_value
from agcli.guides.registry import GUIDES
from agcli.guides.tokens import Tokens, Vocabulary

CLS, SEP, PERIOD, PAD = 1, 2, 3, 0
VOCABULARY = Vocabulary(special_ids=(PAD, CLS, SEP), delim_ids=(SEP,), period_ids=(PERIOD, 4))
IDS = [
    [CLS, 10, 11, PERIOD, 10, SEP, 10, 12, 11, 10, 4, SEP],
    [CLS, 13, 11, SEP, 11, 13, SEP],
    [CLS],
]
FIRST_TEXT = (6, 4, 1)  # tokens of type 0
LENGTH = 12

FORMS = [(name, form) for name, entry in GUIDES.items() for form in getattr(entry.load(), "forms", ("nll",))]
TARGET_FORMS = [(name, form) for name, form in FORMS if hasattr(GUIDES[name].load(), "target")]


@dataclass(frozen=True)
class MapBatch:
    """Maps (batch, layers, heads, length, length) and tokens; padded rows hold rubbish, padded columns 0."""

    maps: Tensor
    tokens: Tokens

    @property
    def mask(self) -> Tensor:
        return self.tokens.mask

    def value(self, name: str, form: str = "nll", maps: Tensor | None = None, heads=None) -> Tensor:
        tokens, words = self.tokens, self.tokens.vocabulary
        return guide_value(
            name,
            self.maps if maps is None else maps,
            tokens.input_ids,
            tokens.token_type_ids,
            tokens.mask,
            heads=heads,
            form=form,
            special_ids=words.special_ids,
            delim_ids=words.delim_ids,
            period_ids=words.period_ids,
            knowledge=tokens.knowledge,
        )

    def value_and_gradient(self, name: str, form: str = "nll", heads=None) -> tuple[Tensor, Tensor]:
        maps = self.maps.detach().clone().requires_grad_()
        values = self.value(name, form, maps, heads)
        return values.detach(), torch.autograd.grad(values.sum(), maps)[0]

    def sample(self, index: int) -> MapBatch:
        """One sample alone."""
        return MapBatch(self.maps[index : index + 1], _each(self.tokens, lambda tensor: tensor[index : index + 1]))

    def padded(self, before: int, after: int) -> MapBatch:
        """More padding, with rubbish in all of its cells."""
        batch, layers, heads, length, _ = self.maps.shape
        longer = length + before + after
        real = slice(before, before + length)
        maps = torch.rand((batch, layers, heads, longer, longer), generator=_generator(5), dtype=self.maps.dtype)
        maps[..., real, real] = self.maps

        def pad(tensor: Tensor) -> Tensor:
            return torch.nn.functional.pad(tensor, (before, after) * (tensor.dim() - 1))

        return MapBatch(maps, _each(self.tokens, pad))


def map_batch(layers: int = 2, heads: int = 4, ids: list[list[int]] | None = None, seed: int = 0) -> MapBatch:
    """Random maps in float64, of pairs of texts, the last of one token only."""
    rows = IDS if ids is None else ids
    length = max(1, *map(len, rows))
    input_ids = torch.tensor([row + [PAD] * (length - len(row)) for row in rows])
    mask = torch.arange(length) < torch.tensor([len(row) for row in rows])[:, None]
    first = torch.tensor([FIRST_TEXT[number % 3] for number in range(len(rows))])[:, None]
    types = ((torch.arange(length) >= first) & mask).long()
    generator = _generator(seed)
    scores = torch.randn((len(rows), layers, heads, length, length), generator=generator, dtype=torch.float64)
    maps = scores.masked_fill(~mask[:, None, None, None, :], -1e9).softmax(-1)
    tokens = Tokens(input_ids, mask, types, VOCABULARY)
    return MapBatch(maps, replace(tokens, knowledge=_knowledge(tokens, generator)))


def _knowledge(tokens: Tokens, generator: torch.Generator) -> dict[str, Tensor]:
    """Random, symmetric, about half of it 0, and nothing of special tokens."""
    content = tokens.mask & ~tokens.among(tokens.vocabulary.special_ids)
    cells = content[:, :, None] & content[:, None, :]
    knowledge = {}
    for entry in GUIDES.values():
        if entry.knowledge is not None:
            known = (torch.rand(cells.shape, generator=generator, dtype=torch.float64) - 0.5).clamp_min(0)
            knowledge[entry.knowledge] = (known + known.mT) * cells
    return knowledge


def _each(tokens: Tokens, change) -> Tokens:
    return Tokens(
        change(tokens.input_ids),
        change(tokens.mask),
        None if tokens.token_type_ids is None else change(tokens.token_type_ids),
        tokens.vocabulary,
        {name: change(known) for name, known in tokens.knowledge.items()},
    )


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
