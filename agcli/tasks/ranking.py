"""Ranking of abstracts for a claim: the losses of a cross-encoder, and the score that orders documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

RankingLoss = Literal["bce", "softmax", "listwise"]
LOSSES: dict[RankingLoss, str] = {
    "bce": "binary cross-entropy",
    "softmax": "cross-entropy of relevant or not",
    "listwise": "cross-entropy of a relevant document among its negatives",
}


@dataclass(frozen=True)
class Ranking:
    """A claim and an abstract in, one score out.

    Attributes:
        loss: `bce`: binary cross-entropy on one logit (the paper's Eq. 2). `softmax`: the same question with two
            outputs. `listwise`: cross-entropy of a positive among its own negatives, by a softmax over their scores
            (ListNet's top-one probability with one relevant document, Cao et al. 2007).
        list_size: documents of a list, under `listwise`.
    """

    loss: RankingLoss = "bce"
    list_size: int = 1

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the model's outputs. One output bears transformers' own name, so a stored ranker's head is kept."""
        return ("irrelevant", "relevant") if self.loss == "softmax" else ("LABEL_0",)

    def losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss of each pair, or of each list under `listwise`, in float32.

        Shape:
            logits (batch, 1), or (batch, 2) under `softmax`; labels (batch,), 1 for a relevant document. Under
            `listwise` the batch is whole lists of one size, each its positive and then its negatives.
            Returns (batch,), or (lists,).
        """
        logits = logits.float()
        if self.loss == "softmax":
            return cross_entropy(logits, labels, reduction="none")
        if self.loss == "bce":
            return binary_cross_entropy_with_logits(logits[:, 0], labels.float(), reduction="none")
        lists = logits.view(-1, self.list_size)
        return cross_entropy(lists, labels.new_zeros(len(lists)), reduction="none")


def relevance_scores(logits: Tensor) -> NDArray[np.float32]:
    """What documents are ordered by: the one logit, or the log-odds of two. Shape (n, 1 or 2) -> (n,), float32."""
    logits = logits.float().cpu()
    scores = logits[:, 0] if logits.shape[1] == 1 else logits[:, 1] - logits[:, 0]
    found: NDArray[np.float32] = np.asarray(scores.numpy(), dtype=np.float32)
    return found
