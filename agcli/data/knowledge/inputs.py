"""The training texts of prepared data, each once, and which of them are read together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array

from agcli.data.knowledge.words import words_of
from agcli.data.prepared import PreparedPairs
from agcli.data.ranking.prepared import PreparedRanking
from agcli.errors import DataError

Dataset = PreparedPairs | PreparedRanking
Group = tuple[int, ...]
"""Numbers of texts."""


@dataclass(frozen=True, eq=False)
class TrainingInputs:
    """Training texts, each once, in the order in which they first occur.

    Attributes:
        examples: the texts of each input that a model is trained on.
        related: the texts of each input whose parts belong together: pairs; of ranking data a query and its relevant
            document, and each other document alone, since a negative has nothing to do with its query.
    """

    texts: tuple[str, ...]
    examples: tuple[Group, ...]
    related: tuple[Group, ...]

    @cached_property
    def words(self) -> tuple[frozenset[str], ...]:
        """The different words of each text."""
        return tuple(frozenset(word for word, _, _ in words_of(text)) for text in self.texts)


def training_inputs(dataset: Dataset) -> TrainingInputs:
    """The training split's texts.

    Raises:
        DataError: there is none.
    """
    numbers: dict[str, int] = {}

    def numbered(texts: Iterable[str]) -> list[int]:
        return [numbers.setdefault(text, len(numbers)) for text in texts]

    if isinstance(dataset, PreparedPairs):
        if "train" not in dataset.splits or dataset.splits["train"].empty:
            raise _no_training_data(dataset)
        frame = dataset.splits["train"]
        texts = (text for pair in zip(frame["text_a"], frame["text_b"], strict=True) for text in pair)
        places = np.array(numbered(texts)).reshape(-1, 2)
        groups = tuple((a, b) for a, b in places.tolist())
        return TrainingInputs(tuple(numbers), groups, groups)
    if dataset.lists is None:
        raise _no_training_data(dataset)
    queries, documents = np.unique(dataset.lists[:, 0]), np.unique(dataset.lists[:, 1:])
    by_query = dict(zip(queries.tolist(), numbered(dataset.queries["text"].iloc[queries]), strict=True))
    by_document = dict(zip(documents.tolist(), numbered(dataset.texts(documents)), strict=True))
    lists = dataset.lists.tolist()
    pairs = [(by_query[query], by_document[document]) for query, *row in lists for document in row]
    relevant = dict.fromkeys((by_query[query], by_document[row[0]]) for query, *row in lists)
    used = {document for _, document in relevant}
    alone = [(document,) for document in dict.fromkeys(by_document.values()) if document not in used]
    return TrainingInputs(tuple(numbers), tuple(dict.fromkeys(pairs)), (*relevant, *alone))


def _no_training_data(dataset: Dataset) -> DataError:
    return DataError("knowledge is made of the training split, and there is none", file=dataset.folder)


def occurrences(inputs: TrainingInputs, groups: tuple[Group, ...], numbers: dict[str, int]) -> csc_array:
    """Which of the words each group of texts has: 1 however often it occurs; shape (groups, words)."""
    by_text = [[numbers[word] for word in words if word in numbers] for words in inputs.words]
    rows = [np.unique([word for text in group for word in by_text[text]]).astype(np.int32) for group in groups]
    bounds = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    columns = np.concatenate([np.empty(0, np.int32), *rows])
    ones = np.ones(len(columns))
    return csr_array((ones, columns, bounds), shape=(len(groups), len(numbers))).tocsc()


Block = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]


def joint_counts(occurring: csc_array, first: int, size: int, weights: NDArray[np.float64] | None = None) -> Block:
    """Of words `first` to `first + size` with each later word: both, and the groups that have them.

    Args:
        occurring: which words each group has, shape (groups, words).
        weights: of each group; 1 by default.
    """
    block = occurring[:, first : first + size]
    weighted = block if weights is None else block.multiply(weights[:, None])
    counts = (weighted.T @ occurring[:, first:]).tocoo()
    later = counts.col > counts.row
    return (
        counts.row[later].astype(np.int64) + first,
        counts.col[later].astype(np.int64) + first,
        counts.data[later].astype(np.float64),
    )
