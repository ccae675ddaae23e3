"""Sentence-pair classification: what an example is, its loss, its predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from agcli.data.batching import Examples, tokenise
from agcli.measures.classification import Predictions


@dataclass(frozen=True)
class Classification:
    """Softmax over the labels of a prepared data set (the paper's Eq. 1).

    Attributes:
        labels: label names; a label's index is its place here.
    """

    labels: tuple[str, ...]

    def examples(self, frame: pd.DataFrame, tokenizer: Any, max_length: int) -> Examples:
        """Tokenise a prepared split."""
        return tokenise(
            tokenizer,
            frame["id"].tolist(),
            frame["text_a"].tolist(),
            frame["text_b"].tolist(),
            self.gold(frame).tolist(),
            max_length=max_length,
        )

    def gold(self, frame: pd.DataFrame) -> NDArray[np.int64]:
        """Label indices of a prepared split, shape (num_examples,)."""
        index = {label: place for place, label in enumerate(self.labels)}
        return np.array([index[label] for label in frame["label"]], dtype=np.int64)

    def losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of each example: logits (batch, num_labels), labels (batch,) -> (batch,), in float32."""
        return cross_entropy(logits.float(), labels, reduction="none")

    def predictions(self, examples: Examples, logits: Tensor) -> Predictions:
        """Predictions from logits in the order of `examples`, shape (num_examples, num_labels)."""
        return Predictions(
            ids=tuple(examples.ids),
            labels=self.labels,
            gold=examples.labels,
            probabilities=np.asarray(torch.softmax(logits.double().cpu(), dim=-1).numpy(), dtype=np.float64),
        )
