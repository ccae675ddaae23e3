"""Batches of tokenised pairs, bucketed by length and padded to the longest of the batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agcli.guides.tokens import Tokens, Vocabulary

Rows = NDArray[np.int64]

BUCKET_BATCHES = 50
"""Batches that are sorted by length together. Larger pads less and shuffles less; at 50 batches of 32 MultiNLI pairs
2.6 % of the slots are padding, against 50 % in random batches."""
TRUNCATION = "longest_first"
"""Default for which text of a pair is cut, in the tokenizers' words."""


@dataclass(frozen=True, eq=False)
class Examples:
    """Tokenised pairs of one split.

    Attributes:
        encoded: one mapping an example: `input_ids` and, where the encoder uses them, `token_type_ids`.
        lengths: tokens of each example, special tokens included; shape (num_examples,).
        labels: label indices, shape (num_examples,).
        truncated: whether the pair was longer than the limit, shape (num_examples,).
        pad: each field's padding value.
        list_size: examples that stay together in a batch, such as a relevant document and its negatives; they follow
            one another.
        knowledge: name -> for each example the value of each two of its tokens, shape (tokens, tokens).
    """

    ids: Sequence[str]
    encoded: Sequence[Mapping[str, Sequence[int]]]
    lengths: Rows
    labels: Rows
    truncated: NDArray[np.bool_]
    pad: dict[str, int]
    list_size: int = 1
    knowledge: Mapping[str, Sequence[NDArray[np.float32]]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Rows) -> Examples:
        """The examples at these rows, in this order."""
        return Examples(
            ids=tuple(self.ids[row] for row in rows),
            encoded=tuple(self.encoded[row] for row in rows),
            lengths=self.lengths[rows],
            labels=self.labels[rows],
            truncated=self.truncated[rows],
            pad=self.pad,
            knowledge={name: _Taken(values, rows) for name, values in self.knowledge.items()},
        )


@dataclass(frozen=True, eq=False)
class _Taken(Sequence[NDArray[np.float32]]):
    """Some examples' values, each still made when it is read."""

    values: Sequence[NDArray[np.float32]]
    rows: Rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> NDArray[np.float32]:  # type: ignore[override]
        return self.values[int(self.rows[row])]


@dataclass(frozen=True, eq=False)
class Batch:
    """The input of one forward.

    Attributes:
        inputs: what the encoder takes: `input_ids`, `attention_mask` (int64) and perhaps `token_type_ids`, each of
            shape (batch, length).
        labels: label indices, shape (batch,).
        rows: the rows of `Examples` it was made from.
        knowledge: name -> what is known of each pair of tokens, (batch, length, length).
    """

    inputs: dict[str, Tensor]
    labels: Tensor
    rows: Rows
    knowledge: dict[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def mask(self) -> Tensor:
        """True for real tokens, shape (batch, length)."""
        return self.inputs["attention_mask"].bool()

    def tokens(self, vocabulary: Vocabulary) -> Tokens:
        """What guides may know of it."""
        inputs = self.inputs
        return Tokens(inputs["input_ids"], self.mask, inputs.get("token_type_ids"), vocabulary, self.knowledge)

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device; copied to a GPU from pinned memory, asynchronously."""

        def move(tensor: Tensor) -> Tensor:
            return (tensor.pin_memory() if device.type == "cuda" else tensor).to(device, non_blocking=True)

        inputs, knowledge = (
            {name: move(tensor) for name, tensor in tensors.items()} for tensors in (self.inputs, self.knowledge)
        )
        return Batch(inputs, move(self.labels), self.rows, knowledge)


def tokenise(
    tokenizer: Any,
    ids: Sequence[str],
    text_a: Sequence[str],
    text_b: Sequence[str],
    labels: Sequence[int],
    *,
    max_length: int,
    truncation: str = TRUNCATION,
) -> Examples:
    """Tokenise pairs once, in the tokenizer's own pair form.

    Args:
        max_length: longest pair in tokens, special tokens included.
        truncation: which text is cut where a pair is too long, in the tokenizers' words.
    """
    fields = [name for name in ("input_ids", "token_type_ids") if name in tokenizer.model_input_names]
    encoding = tokenizer(
        list(text_a),
        list(text_b),
        truncation=truncation,
        max_length=max_length,
        padding=False,
        return_attention_mask=False,
        return_overflowing_tokens=False,
    )
    columns = [encoding[name] for name in fields]
    encoded = tuple(dict(zip(fields, values, strict=True)) for values in zip(*columns, strict=True))
    lengths = np.array([len(fields["input_ids"]) for fields in encoded], dtype=np.int64)
    truncated = np.array([bool(item.overflowing) for item in encoding.encodings], dtype=np.bool_)
    return Examples(
        tuple(ids), encoded, lengths, np.asarray(labels, dtype=np.int64), truncated, padding_values(tokenizer)
    )


def padding_values(tokenizer: Any) -> dict[str, int]:
    """Padding value of each encoded field."""
    return {"input_ids": tokenizer.pad_token_id, "token_type_ids": tokenizer.pad_token_type_id}


def collate(examples: Examples, rows: Rows, *, multiple: int = 1, longest: int = 0) -> Batch:
    """The batch of these rows, padded on the right to the longest, `longest` at least, rounded up to a multiple."""
    chosen = [examples.encoded[row] for row in rows]
    real = examples.lengths[rows]
    length = int(-(-max(real.max(), longest) // multiple) * multiple)
    inputs = {}
    for name in chosen[0]:
        padded = np.full((len(rows), length), examples.pad[name], dtype=np.int64)
        for row, fields in zip(padded, chosen, strict=True):
            row[: len(fields[name])] = fields[name]
        inputs[name] = torch.from_numpy(padded)
    inputs["attention_mask"] = (torch.arange(length) < torch.from_numpy(real)[:, None]).long()
    knowledge = {name: _padded([values[row] for row in rows], length) for name, values in examples.knowledge.items()}
    return Batch(inputs, torch.from_numpy(examples.labels[rows]), rows, knowledge)


def _padded(squares: Sequence[NDArray[np.float32]], length: int) -> Tensor:
    """Square arrays as one tensor, (batch, length, length), 0 in padding."""
    padded = np.zeros((len(squares), length, length), dtype=np.float32)
    for square, values in zip(padded, squares, strict=True):
        square[: len(values), : len(values)] = values
    return torch.from_numpy(padded)


def epoch_order(lengths: Rows, batch_size: int, data_seed: int, epoch: int, list_size: int = 1) -> list[Rows]:
    """The batches of one epoch as rows: shuffled, bucketed by length, then the batches shuffled.

    A function of its arguments alone, so that a resumed run sees what the uninterrupted one would have seen.
    Every row occurs once; only one batch can be smaller than the others. Lists are shuffled whole, by their longest
    example, and a batch holds as many of them as it can, at least one.
    """
    random = np.random.default_rng([data_seed, epoch])
    longest = lengths.reshape(-1, list_size).max(axis=1)
    size = max(1, batch_size // list_size)
    shuffled = random.permutation(len(longest))
    batches: list[Rows] = []
    for bucket in _chunks(shuffled, size * BUCKET_BATCHES):
        by_length = bucket[np.argsort(longest[bucket], kind="stable")]
        batches.extend(_chunks(by_length, size))
    within = np.arange(list_size)
    return [(batches[index][:, None] * list_size + within).reshape(-1) for index in random.permutation(len(batches))]


def length_order(lengths: Rows, batch_size: int) -> list[Rows]:
    """Batches for evaluation: longest first, so that too large a batch fails at once and not at the end."""
    return _chunks(np.argsort(-lengths, kind="stable"), batch_size)


def nested_subset(num_examples: int, size: int, seed: int) -> Rows:
    """Rows of a random subset, in source order; for one seed the smaller subset is part of the larger one."""
    return np.sort(np.random.default_rng([seed, 0x5B5E7]).permutation(num_examples)[:size])


def _chunks(rows: Rows, size: int) -> list[Rows]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]
