"""Knowledge of words as knowledge of the tokens that a tokenizer makes of them, by the places of both in the text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agcli.data.batching import TRUNCATION
from agcli.data.knowledge.relations import Numbers, Relations, Values
from agcli.data.knowledge.stored import Knowledge
from agcli.data.knowledge.words import word_of_token
from agcli.data.text_pairs import TextPairs

Sides = NDArray[np.signedinteger[Any]]
NOTHING = -1
"""The number of a token without knowledge, and the side of a special token."""
_CHUNK = 1024  # pairs that are tokenised at a time


@dataclass(frozen=True, eq=False)
class TokenRelations(Sequence[Values]):
    """Of each example the value of each two of its tokens, (length, length), made when it is read.

    Attributes:
        numbers: of the word that each token of an example stands for, shape (length,).
        sides: the text that each of them is from, 0 or 1, shape (length,).
    """

    relations: Relations
    numbers: Sequence[Numbers]
    sides: Sequence[Sides]

    @classmethod
    def of_texts(
        cls, relations: Relations, pairs: TextPairs, first: Mapping[int, Numbers], second: Mapping[int, Numbers]
    ) -> TokenRelations:
        """Of pairs whose texts are tokenised apart, from the numbers of `text_numbers` by the texts' own numbers."""
        sides = (
            {number: np.full(len(own), side) for number, own in texts.items()}
            for side, texts in enumerate((first, second))
        )
        of_first, of_second = sides
        return cls(relations, pairs.beside(first, second, NOTHING), pairs.beside(of_first, of_second, NOTHING))

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, row: int) -> Values:  # type: ignore[override]
        return self.relations.of_tokens(self.numbers[row], self.sides[row])


def pair_relations(
    tokenizer: Any,
    text_a: Sequence[str],
    text_b: Sequence[str],
    known: Mapping[str, Knowledge],
    *,
    max_length: int,
    truncation: str = TRUNCATION,
) -> dict[str, TokenRelations]:
    """Knowledge of pairs of training texts as `agcli.data.batching.tokenise` encodes them; likewise truncated.

    Every piece of a word stands for the word. Special tokens stand for none.
    """
    special = _special_ids(tokenizer)
    sides: list[Sides] = []
    numbers: dict[str, list[Numbers]] = {name: [] for name in known}
    for start in range(0, len(text_a), _CHUNK):
        chunk = list(text_a[start : start + _CHUNK]), list(text_b[start : start + _CHUNK])
        encodings = tokenizer(*chunk, truncation=truncation, max_length=max_length, padding=False).encodings
        for first, second, encoding in zip(*chunk, encodings, strict=True):
            side = np.array([NOTHING if place is None else place for place in encoding.sequence_ids], dtype=np.int8)
            side[np.isin(encoding.ids, special)] = NOTHING
            sides.append(side)
            for name, knowledge in known.items():
                own = np.full(len(side), NOTHING, dtype=np.int64)
                for place, text in enumerate((first, second)):
                    own[side == place] = _numbers(knowledge, text, encoding, side == place)
                numbers[name].append(own)
    return {name: TokenRelations(known[name].relations, numbers[name], sides) for name in known}


def text_numbers(
    tokenizer: Any, texts: Sequence[str], limit: int, known: Mapping[str, Knowledge]
) -> dict[str, list[Numbers]]:
    """Numbers of the words that the tokens of single texts stand for, as `agcli.data.text_pairs.text_tokens` cuts them.

    Returns:
        Name -> for each text an array of shape (tokens,).
    """
    special = _special_ids(tokenizer)
    numbers: dict[str, list[Numbers]] = {name: [] for name in known}
    for start in range(0, len(texts), _CHUNK):
        chunk = list(texts[start : start + _CHUNK])
        encodings = tokenizer(
            chunk, add_special_tokens=False, truncation=True, max_length=limit, padding=False, verbose=False
        ).encodings
        for text, encoding in zip(chunk, encodings, strict=True):
            own = ~np.isin(encoding.ids, special)
            for name, knowledge in known.items():
                values = np.full(len(own), NOTHING, dtype=np.int64)
                values[own] = _numbers(knowledge, text, encoding, own)
                numbers[name].append(values)
    return numbers


def _special_ids(tokenizer: Any) -> list[int]:
    """Tokens without a word, which a text may spell out too; one that stands for an unknown word is none."""
    return [token for token in tokenizer.all_special_ids if token != tokenizer.unk_token_id]


def _numbers(knowledge: Knowledge, text: str, encoding: Any, chosen: NDArray[np.bool_]) -> Numbers:
    """Numbers of the words of the chosen tokens, which are all from `text`."""
    starts, ends, numbers = knowledge.spans(text)
    offsets = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)[chosen]
    word = word_of_token(starts, ends, offsets[:, 0], offsets[:, 1])
    return np.append(numbers, NOTHING)[word]  # -1, no word, takes the last
