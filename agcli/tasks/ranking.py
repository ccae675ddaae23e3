"""Ranking of documents for a query by a cross-encoder: a pair of texts in, one score out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from agcli.data.batching import Examples, Rows, nested_subset
from agcli.data.knowledge.alignment import TokenRelations, text_numbers
from agcli.data.knowledge.stored import Knowledge, load_knowledge
from agcli.data.ranking.prepared import PreparedRanking, load_ranking
from agcli.data.text_pairs import PairTemplate, TextPairs, Tokens, cut_note, pair_template, text_tokens, with_room
from agcli.data.token_cache import open_store
from agcli.errors import DataError, DivergedError, UsageError, cells_hidden
from agcli.measures.ranking import measure
from agcli.options import DataOptions, RankingLoss, RankingOptions
from agcli.tasks.base import Dataset, Table, Task

LOSSES: dict[RankingLoss, str] = {
    "bce": "binary cross-entropy",
    "softmax": "cross-entropy of relevant or not",
    "listwise": "cross-entropy of a relevant document among its negatives",
}
DEV_DEPTH = 20
"""Default number of candidates of a dev query: enough for RR, a fifth of the cost of a hundred."""
DEV_SEED = 0
"""Dev queries are drawn with one seed, so that runs with different seeds choose their epochs on the same queries."""
_DEV_NOTE = (
    "Dev is the first {depth} candidates of {queries} queries; a query whose document is not among them scores 0. The "
    "score is the model's one output, or the difference of its two (relevant minus irrelevant). sentence-transformers' "
    "`CrossEncoder` gives the same outputs as long as the document is the longer text where a pair must be cut."
)


def ranking_losses(loss: RankingLoss, logits: Tensor, labels: Tensor, list_size: int = 1) -> Tensor:
    """Loss of each pair, or of each list under `listwise`, in float32.

    Source: `bce` is equation 2 of Wang et al. 2022. `softmax` is the same with two outputs. `listwise` is ListNet's
    top-one probability with one relevant document (Cao et al. 2007): a softmax over the scores of a list.

    Shape:
        logits (batch, 1), or (batch, 2) under `softmax`; labels (batch,), 1 for a relevant document. Under `listwise`
        the batch consists of whole lists of `list_size`, each its positive and then its negatives.
        Returns (batch,), or (lists,).
    """
    logits = logits.float()
    if loss == "softmax":
        return cross_entropy(logits, labels, reduction="none")
    if loss == "bce":
        return binary_cross_entropy_with_logits(logits[:, 0], labels.float(), reduction="none")
    lists = logits.view(-1, list_size)
    return cross_entropy(lists, labels.new_zeros(len(lists)), reduction="none")


def relevance_scores(logits: Tensor) -> NDArray[np.float32]:
    """Scores for ordering documents: the one logit, or the log-odds of two. Shape (n, 1 or 2) -> (n,), float32."""
    logits = logits.float().cpu()
    scores = logits[:, 0] if logits.shape[1] == 1 else logits[:, 1] - logits[:, 0]
    return np.asarray(scores.numpy(), dtype=np.float32)


def finite_scores(logits: Tensor, what: str, hint: str) -> NDArray[np.float32]:
    """`relevance_scores`, all of them numbers.

    Args:
        what: the scores in words, for the error.
        hint: what to do about weights that give others.

    Raises:
        DivergedError: a score is not a number.
    """
    scores = relevance_scores(logits)
    not_finite = int((~np.isfinite(scores)).sum())
    if not_finite:
        raise DivergedError(f"{not_finite} of {len(scores)} {what} are not a number.", hint=hint)
    return scores


class Ranking(Task):
    """Trained on lists of a relevant document and its negatives; evaluated on first candidates of some dev queries."""

    name = "ranking"
    dataset: PreparedRanking
    read = staticmethod(load_ranking)

    def __init__(self, dataset: Dataset, options: DataOptions, ranking: RankingOptions, subset_seed: int) -> None:
        super().__init__(dataset, options, ranking, subset_seed)
        self.ranking = ranking
        self.loss = LOSSES[ranking.ranking_loss]
        depth = self.dataset.depth
        self.dev_depth = ranking.dev_depth or min(DEV_DEPTH, depth)
        if self.dev_depth > depth:
            raise UsageError(f"--dev-depth {self.dev_depth}: {dataset.name} has {depth} candidates a query.")
        lists = self.dataset.lists
        listwise = ranking.ranking_loss == "listwise" and lists is not None
        self.list_size = lists.shape[1] - 1 if listwise else 1  # type: ignore[union-attr]

    @property
    def outputs(self) -> tuple[str, ...]:
        """One output has transformers' own name, so that a stored ranker's classifier is kept."""
        return ("irrelevant", "relevant") if self.ranking.ranking_loss == "softmax" else ("LABEL_0",)

    def examples(
        self, tokenizer: Any, shared: Path | None = None, knowledge: Collection[str] = ()
    ) -> dict[str, Examples]:
        """`train` and `dev`; texts are tokenised once, however many pairs they are in."""
        known = {name: load_knowledge(self.dataset, name) for name in knowledge}
        pairs = {"train": self._training_pairs, "dev": self._dev_pairs}
        queries, template, limit = self.dataset.queries, pair_template(tokenizer), self.options.max_length
        store = open_store(shared, self.dataset, tokenizer, limit)

        def tokens(kind: str, rows: Rows, available: int, texts: Callable[[Any], Sequence[str]]) -> Sequence[Tokens]:
            def make(chosen: Rows) -> Sequence[Tokens]:
                return text_tokens(tokenizer, texts(chosen), limit)

            return make(rows) if store is None else store.texts(kind, rows, available, make)

        query_rows, document_rows = map(np.unique, np.concatenate(list(pairs.values())).T)
        first = tokens("claims", query_rows, len(queries), lambda rows: queries["text"].iloc[rows].tolist())
        first = self._with_room(queries["id"].iloc[query_rows].tolist(), first, template)
        second = tokens("documents", document_rows, len(self.dataset.documents), self.dataset.texts)
        by_query = dict(zip(query_rows.tolist(), first, strict=True))
        by_document = dict(zip(document_rows.tolist(), second, strict=True))
        encoded = {split: TextPairs(template, by_query, by_document, rows, limit) for split, rows in pairs.items()}
        examples = {
            split: encoded[split].examples(
                tokenizer, *self._ids_and_labels(rows), self.list_size if split == "train" else 1
            )
            for split, rows in pairs.items()
        }
        if known:
            made = self._relations(tokenizer, encoded["train"], known)
            examples["train"] = replace(examples["train"], knowledge=made)
        return examples

    def _relations(
        self, tokenizer: Any, encoded: TextPairs, known: Mapping[str, Knowledge]
    ) -> dict[str, TokenRelations]:
        """Knowledge of the training pairs; texts are aligned once, however many pairs they are in."""
        limit = self.options.max_length
        queries, documents = map(np.unique, encoded.pairs.T)
        first = text_numbers(tokenizer, self.dataset.queries["text"].iloc[queries].tolist(), limit, known)
        second = text_numbers(tokenizer, self.dataset.texts(documents), limit, known)
        return {
            name: TokenRelations.of_texts(
                knowledge.relations,
                encoded,
                dict(zip(queries.tolist(), first[name], strict=True)),
                dict(zip(documents.tolist(), second[name], strict=True)),
            )
            for name, knowledge in known.items()
        }

    def _with_room(self, names: list[str], queries: Sequence[Tokens], template: PairTemplate) -> Sequence[Tokens]:
        limit = self.options.max_length
        hint = f"--long-claims cut, or a --max-length above {limit}"
        with cells_hidden(self.dataset.credentialed):
            fitting, cut = with_room(names, queries, template, limit, self.ranking.long_claims == "cut", hint)
        self.notes = (cut_note(cut, len(queries), limit),) if cut else ()
        return fitting

    @cached_property
    def _training_pairs(self) -> Rows:
        """Query and document of each training pair, list by list; shape (num_pairs, 2)."""
        lists = self.dataset.lists
        if lists is None:
            hint = "only `ag rank` takes such data"
            raise DataError("the data set has no training pairs", file=self.dataset.folder, hint=hint)
        chosen = lists[self.training_subset(len(lists))]
        size = lists.shape[1] - 1
        return np.stack([np.repeat(chosen[:, 0], size), chosen[:, 1:].reshape(-1)], axis=1).astype(np.int64)

    def training_texts(self) -> list[tuple[str, ...]]:
        """The queries of the training lists."""
        queries = np.unique(self._training_pairs[:, 0])
        return [(text,) for text in self.dataset.queries["text"].iloc[queries]]

    @cached_property
    def _dev_queries(self) -> dict[str, int]:
        """Id -> row of the dev queries on which the best epoch is chosen."""
        with_qrels = self.dataset.judged("dev").astype(np.int64)
        if not len(with_qrels):
            raise DataError("no dev query has a relevant document", file=self.dataset.folder)
        size = min(self.ranking.dev_queries, len(with_qrels))
        rows = with_qrels[nested_subset(len(with_qrels), size, DEV_SEED)]
        return dict(zip(self.dataset.queries["id"].iloc[rows], rows.tolist(), strict=True))

    @cached_property
    def _dev_pairs(self) -> Rows:
        """Dev queries with their first candidates, query by query; shape (num_pairs, 2)."""
        pairs = [(row, document) for row in self._dev_queries.values() for document in self._candidates(row)[0]]
        if not pairs:
            raise DataError("the first stage has no candidate for any dev query", file=self.dataset.folder)
        return np.array(pairs, dtype=np.int64)

    def _candidates(self, row: int) -> tuple[list[int], list[float]]:
        """Document rows and first-stage scores of a query's first candidates."""
        rows, scores = self.dataset.candidates(row, self.dev_depth)
        return rows.tolist(), list(map(float, scores))

    def _ids_and_labels(self, pairs: Rows) -> tuple[list[str], Rows]:
        """`QUERY DOCUMENT` of each pair, and 1 where the qrels call the document relevant to the query."""
        ids, labels = [], []
        query_ids, qrels = self.dataset.queries["id"].to_numpy(), self.dataset.relevance
        for row, document_row in pairs:
            query, document = query_ids[row], self.dataset.document_ids[document_row]
            ids.append(f"{query} {document}")
            labels.append(qrels.get(query, {}).get(document, 0) > 0)
        return ids, np.array(labels, dtype=np.int64)

    def losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss of each pair or list, see `ranking_losses`."""
        return ranking_losses(self.ranking.ranking_loss, logits, labels, self.list_size)

    def evaluate(self, examples: Examples, logits: Tensor) -> dict[str, float]:
        """Ranking measures over all dev queries.

        Raises:
            DivergedError: a score is not a number.
        """
        hint = "the weights are broken: a lower learning rate, or --precision fp32"
        scores = finite_scores(logits, "scores of dev", hint)
        run: dict[str, dict[str, float]] = {}
        for identifier, score in zip(examples.ids, scores, strict=True):
            query, document = identifier.split(" ")
            run.setdefault(query, {})[document] = float(score)
        return measure(run, self._dev_qrels()).means("all")

    def evaluate_baseline(self, train: Examples, examples: Examples) -> dict[str, float | str]:
        """Measures of the candidates as the first stage ranked them."""
        run: dict[str, dict[str, float]] = {}
        for query, row in self._dev_queries.items():
            rows, scores = self._candidates(row)
            run[query] = dict(zip((self.dataset.document_ids[document] for document in rows), scores, strict=True))
        return {"label": self.entry.baseline, **measure(run, self._dev_qrels()).means("all")}

    def _dev_qrels(self) -> dict[str, dict[str, int]]:
        return {query: self.dataset.relevance[query] for query in self._dev_queries}

    def predictions(self, examples: Examples, logits: Tensor) -> Table:
        """Query, document, relevance and score of each pair."""
        rows: list[Sequence[object]] = [["query", "document", "relevant", "score"]]
        for identifier, label, score in zip(examples.ids, examples.labels, relevance_scores(logits), strict=True):
            rows.append([*identifier.split(" "), int(label), float(score)])
        return rows

    def prepare_saving(self, config: Any, tokenizer: Any) -> None:
        """Let sentence-transformers' `CrossEncoder` give the same scores: no sigmoid, and pairs cut to our length."""
        config.sentence_transformers = {"activation_fn": "torch.nn.modules.linear.Identity"}
        tokenizer.model_max_length = self.options.max_length

    def settings(self) -> dict[str, Any]:
        """Candidates of each dev query."""
        return {"dev_depth": self.dev_depth}

    def card_note(self, metrics: dict[str, Any]) -> str:
        """The meaning of the dev scores, and how to get them in other libraries."""
        return _DEV_NOTE.format(depth=self.dev_depth, queries=metrics["dev"]["n"])
