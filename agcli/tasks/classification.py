"""Classification of pairs of texts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from agcli.data.batching import Examples, Rows, padding_values, tokenise
from agcli.data.knowledge.alignment import pair_relations
from agcli.data.knowledge.stored import load_knowledge
from agcli.data.prepared import PreparedPairs
from agcli.data.token_cache import TokenStore, open_store
from agcli.errors import DataError
from agcli.measures.classification import (
    Predictions,
    classification_metrics,
    majority_baseline,
    prediction_rows,
    read_predictions,
)
from agcli.runs.folder import RunFolder
from agcli.tasks.base import Table, Task


def pair_examples(frame: pd.DataFrame, labels: Sequence[str], tokenizer: Any, max_length: int) -> Examples:
    """Tokenise rows of a prepared split; `labels` are all label names, in the order of the model's outputs."""
    texts = frame["text_a"].tolist(), frame["text_b"].tolist()
    gold = _gold(frame, labels).tolist()
    return tokenise(tokenizer, frame["id"].tolist(), *texts, gold, max_length=max_length)


def label_probabilities(examples: Examples, labels: Sequence[str], logits: Tensor) -> Predictions:
    """Predictions from logits in the order of `examples`, shape (num_examples, num_labels)."""
    return Predictions(
        ids=tuple(examples.ids),
        labels=tuple(labels),
        gold=examples.labels,
        probabilities=np.asarray(torch.softmax(logits.double().cpu(), dim=-1).numpy(), dtype=np.float64),
    )


class Classification(Task):
    """Softmax over the labels of a prepared data set.

    Source: Wang et al. 2022, equation 1.
    """

    name = "classification"
    loss = "cross-entropy"
    dataset: PreparedPairs

    @property
    def outputs(self) -> tuple[str, ...]:
        """The labels."""
        return self.dataset.labels

    def examples(
        self, tokenizer: Any, shared: Path | None = None, knowledge: Collection[str] = ()
    ) -> dict[str, Examples]:
        """Every split, tokenised.

        Raises:
            DataError: no train or dev split, an empty split, or no such knowledge.
        """
        known = {name: load_knowledge(self.dataset, name) for name in knowledge}
        frames = self.dataset.splits
        for split in ("train", "dev"):
            if split not in frames:
                raise DataError(f"the data set has no {split} split", file=self.dataset.folder, allowed=frames)
        rows = {split: np.arange(len(frame)) for split, frame in frames.items()}
        for split in frames:
            if not len(rows[split]):
                raise DataError(f"the {split} split is empty", file=self.dataset.folder)
        rows["train"] = self.training_subset(len(frames["train"]))
        store = open_store(shared, self.dataset, tokenizer, self.options.max_length)
        examples = {split: self._tokenised(frames[split], split, rows[split], tokenizer, store) for split in frames}
        if known:
            chosen = frames["train"].iloc[rows["train"]]
            limit = self.options.max_length
            made = pair_relations(
                tokenizer, chosen["text_a"].tolist(), chosen["text_b"].tolist(), known, max_length=limit
            )
            examples["train"] = replace(examples["train"], knowledge=made)
        return examples

    def _tokenised(
        self, frame: pd.DataFrame, split: str, rows: Rows, tokenizer: Any, store: TokenStore | None
    ) -> Examples:
        def make(chosen: Rows) -> Examples:
            return pair_examples(frame.iloc[chosen], self.outputs, tokenizer, self.options.max_length)

        if store is None:
            return make(rows)
        encoded, truncated = store.pairs(split, rows, len(frame), make)
        ids, gold = tuple(frame["id"].iloc[rows].tolist()), _gold(frame.iloc[rows], self.outputs)
        return Examples(ids, encoded, encoded.lengths, gold, truncated, padding_values(tokenizer))

    def training_texts(self) -> list[tuple[str, ...]]:
        """Both texts of each row of the training subset."""
        frame = self.dataset.splits["train"]
        frame = frame.iloc[self.training_subset(len(frame))]
        return list(zip(frame["text_a"], frame["text_b"], strict=True))

    @staticmethod
    def losses(logits: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of each example: logits (batch, num_labels), labels (batch,) -> (batch,), in float32."""
        return cross_entropy(logits.float(), labels, reduction="none")

    def evaluate(self, examples: Examples, logits: Tensor) -> dict[str, float]:
        """Accuracy, macro averages and calibration."""
        return classification_metrics(label_probabilities(examples, self.outputs, logits))

    def evaluate_baseline(self, train: Examples, examples: Examples) -> dict[str, float | str]:
        """Metrics of the most frequent label of the training subset."""
        return majority_baseline(train.labels, examples.labels, self.outputs)

    def predictions(self, examples: Examples, logits: Tensor) -> Table:
        """Gold label, prediction and probabilities of each example."""
        return prediction_rows(label_probabilities(examples, self.outputs, logits))

    def card_facts(self) -> list[str]:
        """The labels."""
        return [f"Labels: {', '.join(self.outputs)}"]


def _gold(frame: pd.DataFrame, labels: Sequence[str]) -> NDArray[np.int64]:
    """Label indices of rows of a prepared split, shape (num_examples,)."""
    index = {label: place for place, label in enumerate(labels)}
    return np.array([index[label] for label in frame["label"]], dtype=np.int64)


def load_predictions(folder: RunFolder, split: str) -> Predictions:
    """The predictions of a run on one split.

    Raises:
        DataError: `predictions.csv` is missing or damaged, or has no such split.
    """
    return read_predictions(folder.path / "predictions.csv", split, escaped=folder.cells_are_escaped)
