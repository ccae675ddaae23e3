"""Pairs of texts that are tokenised once, however many pairs they are in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agcli.data.batching import Examples, padding_values
from agcli.errors import DataError, ModelError, shortened

Tokens = NDArray[np.int32]
Numbers = NDArray[np.int64]

_PROBE = ("Aspirin helps.", "In 2,000 patients, aspirin halved the pain.")


@dataclass(frozen=True)
class PairTemplate:
    """A tokenizer's pair form: special tokens before, between and after two texts, and the segment of each token.

    Attributes:
        special: the special tokens before the first text, between the two, and after the second.
        segments: `token_type_ids` of these special tokens.
        texts: `token_type_ids` of the tokens of the first and of the second text.
        fields: the fields that the encoder takes: `input_ids` and perhaps `token_type_ids`.
    """

    special: tuple[Tokens, Tokens, Tokens]
    segments: tuple[Tokens, Tokens, Tokens]
    texts: tuple[int, int]
    fields: tuple[str, ...]

    @property
    def num_special(self) -> int:
        """Number of special tokens in a pair."""
        return sum(len(tokens) for tokens in self.special)

    def join(self, first: Tokens, second: Tokens) -> dict[str, Tokens]:
        """The fields of a pair, not truncated."""
        before, between, after = self.special
        joined = {"input_ids": np.concatenate([before, first, between, second, after])}
        if "token_type_ids" in self.fields:
            types = [np.full(len(text), kind, np.int32) for text, kind in zip((first, second), self.texts, strict=True)]
            before, between, after = self.segments
            joined["token_type_ids"] = np.concatenate([before, types[0], between, types[1], after])
        return joined


def pair_template(tokenizer: Any) -> PairTemplate:
    """Read the template off the pair that a fast Hugging Face tokenizer makes of two texts.

    Raises:
        ModelError: the tokenizer's pair is not its two texts with special tokens around them.
    """
    encoding = tokenizer(*_PROBE, truncation=False, return_token_type_ids=True, verbose=False)
    places = np.array([-1 if place is None else place for place in encoding.sequence_ids(0)])
    ids, types = (np.array(encoding[name], dtype=np.int32) for name in ("input_ids", "token_type_ids"))
    a, b = np.flatnonzero(places == 0), np.flatnonzero(places == 1)
    if not len(a) or not len(b) or a[-1] > b[0]:
        raise ModelError("this tokenizer does not put a first text before a second one; it cannot be used to rank.")
    parts = slice(0, a[0]), slice(a[-1] + 1, b[0]), slice(b[-1] + 1, None)
    before, between, after = parts
    template = PairTemplate(
        (ids[before], ids[between], ids[after]),
        (types[before], types[between], types[after]),
        (int(types[a[0]]), int(types[b[0]])),
        tuple(name for name in ("input_ids", "token_type_ids") if name in tokenizer.model_input_names),
    )
    apart = text_tokens(tokenizer, _PROBE, len(ids))
    if not np.array_equal(template.join(*apart)["input_ids"], ids):
        raise ModelError("this tokenizer reads a pair otherwise than its two texts apart; it cannot be used to rank.")
    return template


def text_tokens(tokenizer: Any, texts: Sequence[str], limit: int) -> list[Tokens]:
    """At most `limit` tokens of each text, without special tokens."""
    if not texts:
        return []
    encoding = tokenizer(
        list(texts),
        add_special_tokens=False,
        truncation=True,
        max_length=limit,
        padding=False,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
    )
    return [np.array(ids, dtype=np.int32) for ids in encoding["input_ids"]]


class TextPairs(Sequence[Mapping[str, Any]]):
    """Encoded pairs, each joined when it is read; only the second text is cut to the limit.

    Args:
        first: tokens of first texts, by their number.
        second: tokens of second texts, by theirs.
        pairs: number of first and second text of each pair, shape (num_pairs, 2).
        max_length: longest pair in tokens, special tokens included.
    """

    def __init__(
        self,
        template: PairTemplate,
        first: Mapping[int, Tokens],
        second: Mapping[int, Tokens],
        pairs: NDArray[np.integer[Any]],
        max_length: int,
    ) -> None:
        self.template, self.first, self.second, self.pairs = template, first, second, pairs
        self.lengths_first = _lengths(first, pairs[:, 0])
        self.space = max_length - template.num_special - self.lengths_first
        whole = _lengths(second, pairs[:, 1])
        self.truncated = whole > self.space
        self.lengths = template.num_special + self.lengths_first + np.minimum(whole, self.space)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, row: int) -> Mapping[str, Any]:  # type: ignore[override]
        first, second = self.pairs[row]
        return self.template.join(self.first[int(first)], self.second[int(second)][: self.space[row]])

    def beside(self, first: Mapping[int, Numbers], second: Mapping[int, Numbers], special: int) -> JoinedNumbers:
        """A number beside each token, from those beside the tokens of the texts; `special` beside special tokens."""
        return JoinedNumbers(self, first, second, special)

    def examples(self, tokenizer: Any, ids: Sequence[str], labels: NDArray[np.int64], list_size: int = 1) -> Examples:
        """Examples to train on or to score."""
        return Examples(ids, self, self.lengths, labels, self.truncated, padding_values(tokenizer), list_size)


@dataclass(frozen=True, eq=False)
class JoinedNumbers(Sequence[Numbers]):
    """Numbers beside the tokens of pairs, each joined when it is read; cut as the pairs are."""

    pairs: TextPairs
    first: Mapping[int, Numbers]
    second: Mapping[int, Numbers]
    special: int

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, row: int) -> Numbers:  # type: ignore[override]
        before, between, after = (np.full(len(ids), self.special) for ids in self.pairs.template.special)
        first, second = self.pairs.pairs[row]
        of_first = self.first[int(first)][: self.pairs.lengths_first[row]]
        of_second = self.second[int(second)][: self.pairs.space[row]]
        return np.concatenate([before, of_first, between, of_second, after])


def with_room(
    names: Sequence[str], tokens: Sequence[Tokens], template: PairTemplate, max_length: int, cut: bool, hint: str
) -> tuple[list[Tokens], int]:
    """First texts that each leave room for at least one token of a second text.

    One that leaves none is cut to half of what the special tokens leave, so that the second text has the other half.

    Args:
        names: of the first texts, for messages.
        cut: whether they may be cut.
        hint: for the error where they may not.

    Returns:
        The texts, and how many of them were cut.

    Raises:
        DataError: one is too long and must not be cut; the first is named.
    """
    limit = max_length - template.num_special
    long = [row for row, text in enumerate(tokens) if len(text) >= limit]
    if long and not cut:
        raise DataError(
            f"{len(long)} of {len(tokens)} queries leave no room for a document: they have more than "
            f"{limit - 1} tokens",
            detail=f"The first is {shortened(names[long[0]])}.",
            hint=hint,
        )
    fitting = list(tokens)
    for row in long:
        fitting[row] = tokens[row][: max(1, limit // 2)]
    return fitting, len(long)


def cut_note(cut: int, queries: int, max_length: int) -> str:
    """A note on long queries that were cut."""
    where = f"no room for a document at --max-length {max_length}"
    return f"{cut} of {queries} queries leave {where}: they are cut to half of it"


def _lengths(tokens: Mapping[int, Tokens], numbers: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Lengths of the texts with these numbers, each looked up once."""
    different, places = np.unique(numbers, return_inverse=True)
    return np.array([len(tokens[int(number)]) for number in different], dtype=np.int64)[places]
