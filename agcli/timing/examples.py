"""Where the examples of a timing come from: prepared data, a shipped shape of lengths, or full-length rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from agcli.data.batching import Examples, Rows, nested_subset
from agcli.data.catalogue import find_dataset
from agcli.data.knowledge.alignment import pair_relations
from agcli.data.knowledge.stored import knowledge_digests, load_knowledge
from agcli.data.prepared import PreparedPairs, load_prepared
from agcli.errors import DataError, ModelError, UsageError, did_you_mean
from agcli.models import ZOO, find_entry, load_tokenizer, locate
from agcli.tasks.classification import pair_examples
from agcli.timing.shapes import shape

NLI = ("entailment", "neutral", "contradiction")
"""Labels where no data name any."""
SYNTHETIC_IDS = "synthetic ids"
WITHOUT_EPOCH = "--epochs: a whole epoch needs --dataset or --shape."
_NO_LIMIT = 10**6
"""Tokenizers that state no limit state 10^30 in its place."""


@dataclass(frozen=True)
class Encoder:
    """What examples depend on; no tokenizer where none is on this machine, no `max_length` where nothing limits it."""

    name: str
    tokenizer: Any
    vocab_size: int
    pad_token_id: int
    max_length: int | None


@dataclass(frozen=True, eq=False)
class TimingExamples:
    """What all methods of a group train on.

    Attributes:
        notes: what is not as in training, such as synthetic ids.
        knowledge: name -> values of each two tokens of an example, for methods whose guides need them.
    """

    examples: Examples
    labels: tuple[str, ...]
    notes: tuple[str, ...] = ()
    knowledge: Mapping[str, Sequence[Any]] = field(default_factory=dict)


def find_encoder(name: str, *, random_weights: bool, offline: bool) -> Encoder:
    """What examples of a model depend on; with random weights, its tokenizer is used only if it is on this machine.

    Raises:
        ModelError: unknown, or neither on this machine nor on the hub.
    """
    entry = find_entry(name)
    if random_weights:
        if entry is None:
            raise ModelError(
                f"--random-weights: {name!r} has no dimensions in the zoo.{did_you_mean(name, ZOO)} "
                f"Allowed: {', '.join(ZOO)}."
            )
        tokenizer = load_tokenizer(entry.name, offline=True) if locate(entry.name) else None
        return Encoder(name, tokenizer, entry.vocab_size, entry.pad_token_id, entry.max_length)
    try:
        tokenizer = load_tokenizer(name, offline=offline)
    except ModelError as error:
        if entry is None:
            raise
        hint = "--random-weights times the same dimensions without the checkpoint"
        raise ModelError(str(error), hint=f"{error.hint}; or {hint}" if error.hint else hint) from None
    limit = int(tokenizer.model_max_length)
    return Encoder(name, tokenizer, len(tokenizer), int(tokenizer.pad_token_id), limit if limit < _NO_LIMIT else None)


class FullLength:
    """Rows that are all exactly as long as allowed: neither data nor shape."""

    name = "full-length rows"
    population = None

    def take(
        self, encoder: Encoder, length: int, size: int | None, seed: int, knowledge: tuple[str, ...] = ()
    ) -> TimingExamples:
        """`size` rows of `length` tokens.

        Raises:
            UsageError: a whole epoch is wanted, and there is none; or guides need knowledge.
        """
        _refuse_knowledge(knowledge)
        if size is None:
            raise UsageError(WITHOUT_EPOCH)
        return _synthetic_nli(np.full(size, length, dtype=np.int64), encoder, seed)


class Shaped:
    """Lengths drawn from a histogram that ships with the package.

    Raises:
        UsageError: no such shape.
    """

    def __init__(self, name: str) -> None:
        self._shape = shape(name)
        self.name, self.population = name, self._shape.examples

    def take(
        self, encoder: Encoder, length: int, size: int | None, seed: int, knowledge: tuple[str, ...] = ()
    ) -> TimingExamples:
        """`size` rows of such lengths, truncated at `length`; None: an epoch's.

        Raises:
            UsageError: guides need knowledge.
        """
        _refuse_knowledge(knowledge)
        size = self.population if size is None else min(size, self.population)
        lengths = np.minimum(self._shape.lengths(size, seed), length)
        note = f"lengths drawn from the shape of {self.name}: {self._shape.source}"
        return _synthetic_nli(lengths, encoder, seed, note)


class Prepared:
    """The training split of prepared data.

    Raises:
        DataError: it has no training example.
    """

    def __init__(self, dataset: PreparedPairs) -> None:
        if "train" not in dataset.splits or dataset.splits["train"].empty:
            raise DataError("the data set has no training example", file=dataset.folder)
        self._train, self._labels, self._dataset = dataset.splits["train"], dataset.labels, dataset
        self.name, self.population = dataset.name, len(self._train)

    def take(
        self, encoder: Encoder, length: int, size: int | None, seed: int, knowledge: tuple[str, ...] = ()
    ) -> TimingExamples:
        """A random subset of `size` pairs, tokenised and truncated at `length`; None: all.

        Raises:
            UsageError: there is no tokenizer to count lengths with, or guides need knowledge of other ids.
            DataError: that knowledge was not made of the data.
        """
        knowledge_digests(self._dataset, knowledge)
        size = self.population if size is None else min(size, self.population)
        chosen = self._train.iloc[nested_subset(self.population, size, seed)]
        if encoder.tokenizer is not None:
            known = {name: load_knowledge(self._dataset, name) for name in knowledge}
            texts = chosen["text_a"].tolist(), chosen["text_b"].tolist()
            made = pair_relations(encoder.tokenizer, *texts, known, max_length=length) if known else {}
            examples = pair_examples(chosen, self._labels, encoder.tokenizer, length)
            return TimingExamples(examples, self._labels, knowledge=made)
        _refuse_knowledge(knowledge)
        if not locate("minilm"):
            raise UsageError(
                f"--random-weights: neither {encoder.name}'s tokenizer nor minilm's is here to count lengths with.",
                hint="--shape mednli or multinli needs none, and nor does leaving --dataset out",
            )
        lengths = pair_examples(chosen, self._labels, load_tokenizer("minilm", offline=True), length).lengths
        notes = (SYNTHETIC_IDS, f"lengths counted by minilm's tokenizer, as {encoder.name}'s is not here")
        return TimingExamples(synthetic(lengths, encoder, len(self._labels), seed), self._labels, notes)


Source = FullLength | Shaped | Prepared
"""Where examples come from; `population` is the number of examples of an epoch, where there is one."""


def find_source(dataset: str | None, shape: str | None) -> Source:
    """The source that the options name.

    Raises:
        AgError: no such data or shape.
    """
    if dataset is not None:
        return Prepared(load_prepared(find_dataset(dataset, Path.cwd())))
    return Shaped(shape) if shape is not None else FullLength()


def _refuse_knowledge(names: tuple[str, ...]) -> None:
    """Guides that need knowledge of the texts have none of synthetic ids."""
    if names:
        raise UsageError(
            f"--variants: {', '.join(names)}: knowledge of texts goes with their tokens, and these are synthetic ids.",
            hint="--dataset NAME of data prepared with --knowledge, and a model whose tokenizer is on this machine",
        )


def _synthetic_nli(lengths: Rows, encoder: Encoder, seed: int, *notes: str) -> TimingExamples:
    return TimingExamples(synthetic(lengths, encoder, len(NLI), seed), NLI, (SYNTHETIC_IDS, *notes))


def synthetic(lengths: Rows, encoder: Encoder, num_labels: int, seed: int) -> Examples:
    """Random ids, none of them padding (RoBERTa counts positions by it), and random labels; one row per length."""
    random = np.random.default_rng([seed, 0x1D5])
    ids = random.integers(0, encoder.vocab_size - 1, size=int(lengths.sum()))
    ids[ids >= encoder.pad_token_id] += 1
    rows = np.split(ids, np.cumsum(lengths)[:-1])
    return Examples(
        ids=tuple(f"synthetic-{number}" for number in range(len(lengths))),
        encoded=tuple({"input_ids": row.tolist()} for row in rows),
        lengths=lengths,
        labels=random.integers(0, num_labels, size=len(lengths)),
        truncated=np.zeros(len(lengths), dtype=np.bool_),
        pad={"input_ids": encoder.pad_token_id},
    )
