"""What guides of a Hugging Face trainer need: tokens, knowledge of the data, schedules, layers and heads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from agcli.errors import UsageError, did_you_mean
from agcli.guides.base import Guide
from agcli.guides.schedule import parse_schedule
from agcli.guides.tokens import Tokens, Vocabulary

Knowledge = Callable[[Tensor, Tensor], Mapping[str, Tensor]]
"""(input_ids, mask), both (batch, length) -> name -> what is known of each pair of tokens, (batch, length, length)."""


def check_schedules(schedules: Mapping[str, str], guides: Sequence[Guide]) -> None:
    """Refuse a schedule that is none, or of a guide that is not there.

    Raises:
        UsageError: there is one.
    """
    names = [guide.name for guide in guides]
    for name, text in schedules.items():
        if name not in names:
            raise UsageError(
                f"schedules: there is no guide {name!r}; allowed: {', '.join(names) or 'none'}."
                + did_you_mean(name, names)
            )
        try:
            parse_schedule(text)
        except ValueError as error:
            raise UsageError(f"schedules: {name}: {error}") from None


def check_knowledge(guides: Sequence[Guide], knowledge: Knowledge | None) -> None:
    """Refuse a guide on knowledge of the data where none is given.

    Raises:
        UsageError: there is one.
    """
    needed = {guide.name: name for guide in guides if (name := getattr(guide, "knowledge", None)) is not None}
    for guide, name in needed.items():
        if knowledge is None:
            raise UsageError(
                f"The guide {guide} needs the knowledge {name!r} of each batch.",
                hint=f"knowledge=function, of (input_ids, mask) to {{{name!r}: tensor (batch, length, length)}}",
            )


def tokens_of(arguments: Mapping[str, Any], vocabulary: Vocabulary, knowledge: Knowledge | None) -> Tokens:
    """The tokens among the arguments of an encoder's forward; without a mask every position is real.

    Raises:
        UsageError: knowledge of another shape, or embeddings in place of the ids that it depends on.
    """
    ids, mask = arguments.get("input_ids"), arguments.get("attention_mask")
    positions = arguments["inputs_embeds"][..., 0] if ids is None else ids
    mask = torch.ones_like(positions, dtype=torch.bool) if mask is None else mask.bool()
    tokens = Tokens(ids, mask, arguments.get("token_type_ids"), vocabulary)
    if knowledge is None:
        return tokens
    known = {name: pairs.to(mask.device) for name, pairs in knowledge(tokens.input_ids, mask).items()}
    expected = (*mask.shape, mask.shape[-1])
    for name, pairs in known.items():
        if pairs.shape != expected:
            raise UsageError(f"knowledge {name!r} is {tuple(pairs.shape)}, not (batch, length, length) = {expected}.")
    return replace(tokens, knowledge=known)
