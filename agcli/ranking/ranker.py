"""A fine-tuned run as a scorer of (query, document) pairs. Each text is tokenised once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from agcli.data.text_pairs import PairTemplate, TextPairs, Tokens, pair_template, text_tokens, with_room
from agcli.models import load_model
from agcli.ranking.scoring import BATCH_TOKENS, score_logits
from agcli.runs.device import keep_freed_memory, precision_here
from agcli.runs.folder import RunFolder, open_ranker_run
from agcli.tasks.ranking import finite_scores

KEPT_DOCUMENTS = 200_000
"""Documents whose tokens are kept for later queries: 200 MB at 256 tokens. Beyond it they are tokenised again."""


@dataclass(frozen=True)
class Query:
    """Id and text of a query."""

    id: str
    text: str


@dataclass(eq=False)
class Ranker:
    """A model that scores (query, document) pairs.

    Attributes:
        max_length: longest pair in tokens; the document is cut, and a query only where it leaves it no room.
        batch_tokens: tokens in a batch, padding included.
        cut_queries: whether a query that leaves no room for a document is cut; else it is an error.
    """

    folder: RunFolder
    model: Any
    tokenizer: Any
    weights_sha256: str
    max_length: int
    precision: str
    batch_tokens: int
    device: torch.device
    cut_queries: bool = True
    _documents: dict[int, Tokens] = field(default_factory=dict)
    _corpus: pa.Table | None = None

    def scores(
        self,
        queries: Sequence[Query],
        corpus: pa.Table,
        pairs: NDArray[np.int32],
        on_batch: Callable[[int], None] | None = None,
    ) -> NDArray[np.float32]:
        """Score pairs; batches are by length within the call, so pass some thousands at a time.

        Args:
            queries: those that the pairs refer to.
            corpus: documents, with the column `text`; tokens are cached as long as it is the same table.
            pairs: index of the query and row of the document, shape (num_pairs, 2).
            on_batch: called with the number of pairs of each batch done.

        Returns:
            Shape (num_pairs,), in the order of `pairs`; higher is more relevant.

        Raises:
            DataError: a query that leaves no room for a document and must not be cut.
            RunError: a score that is not a number.
        """
        if not len(pairs):
            return np.empty(0, dtype=np.float32)
        tokens, _ = self.with_room(queries)
        documents = self._tokens_of(corpus, np.unique(pairs[:, 1]))
        together = TextPairs(self._template, dict(enumerate(tokens)), documents, pairs, self.max_length)
        examples = together.examples(self.tokenizer, [""] * len(pairs), np.zeros(len(pairs), np.int64))
        logits = score_logits(
            self.model,
            examples,
            self.device,
            precision=self.precision,
            batch_tokens=self.batch_tokens,
            on_batch=on_batch,
        )
        return finite_scores(logits, "scores", "--precision fp32 may help; else the run's weights are broken")

    def with_room(self, queries: Sequence[Query]) -> tuple[list[Tokens], int]:
        """Tokens of the queries, each of which leaves room for a document, and how many were cut for that.

        Raises:
            DataError: one leaves none and must not be cut.
        """
        tokens = text_tokens(self.tokenizer, [query.text for query in queries], self.max_length)
        hint = f"--long-claims cut; or train at a --max-length above {self.max_length}"
        names = [query.id for query in queries]
        return with_room(names, tokens, self._template, self.max_length, self.cut_queries, hint)

    @cached_property
    def _template(self) -> PairTemplate:
        return pair_template(self.tokenizer)

    def _tokens_of(self, corpus: pa.Table, rows: NDArray[np.int32]) -> dict[int, Tokens]:
        """Tokens by row of the corpus: of these rows, and of all others in the cache."""
        if corpus is not self._corpus or len(self._documents) > KEPT_DOCUMENTS:
            self._corpus, self._documents = corpus, {}
        new = [row for row in rows.tolist() if row not in self._documents]
        texts = corpus.column("text").take(pa.array(new, pa.int64())).to_pylist()
        self._documents.update(zip(new, text_tokens(self.tokenizer, texts, self.max_length), strict=True))
        return self._documents


def open_ranker(
    run: Path,
    *,
    precision: str = "auto",
    batch_tokens: int | None = None,
    cut_queries: bool = True,
    offline: bool = False,
) -> Ranker:
    """The model of a finished run that was trained to rank.

    Raises:
        DataError: no run folder.
        RunError: an unfinished run.
        UsageError: a run that was trained to classify, or a precision that this hardware lacks.
    """
    folder = open_ranker_run(run)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        keep_freed_memory()
    precision = precision_here(precision)
    loaded = load_model(str(folder.model), labels=folder.trained_labels, offline=offline)
    return Ranker(
        folder=folder,
        model=loaded.model.to(device).eval(),
        tokenizer=loaded.tokenizer,
        weights_sha256=loaded.weights_sha256,
        max_length=int(folder.config["max_length"]),
        precision=precision,
        batch_tokens=batch_tokens or BATCH_TOKENS[device.type],
        device=device,
        cut_queries=cut_queries,
    )
