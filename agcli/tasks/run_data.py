"""The data of a run: its examples, how they are judged, and by what. One class for each kind of prepared data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
from torch import Tensor

from agcli.data.batching import Examples, Rows, nested_subset, padding_values
from agcli.data.prepared import PreparedDataset
from agcli.data.ranking.prepared import RankingDataset
from agcli.data.text_pairs import PairTemplate, TextPairs, Tokens, cut_note, pair_template, text_tokens, with_room
from agcli.data.token_cache import TokenStore, open_store
from agcli.errors import DataError, DivergedError, UsageError, cells_hidden
from agcli.measures.classification import (
    METRICS,
    Predictions,
    classification_metrics,
    majority_baseline,
    prediction_rows,
)
from agcli.measures.ranking import MEASURES, measure
from agcli.options import DataOptions, RankingOptions
from agcli.tasks import Classification, Ranking, relevance_scores
from agcli.tasks.ranking import LOSSES, RankingLoss

DEV_DEPTH = 20
"""Candidates of a dev claim where nobody says how many: enough for RR, a fifth of the cost of a hundred."""
DEV_SEED = 0
"""Dev queries are drawn with one seed for all runs: runs with different seeds are chosen on the same claims."""


Row = Sequence[object]
Texts = tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Judgement:
    """A split as a model answered it.

    Attributes:
        metrics: name -> value, and `n`.
        make_baseline: the same of an answer that needs no model, and its `label`.
        make_table: a header, then one line of `predictions.csv` an example; never text. Baseline and table are made
            when they are asked for: most epochs are judged by their metrics and forgotten.
    """

    metrics: dict[str, float]
    make_baseline: Callable[[], dict[str, float | str]]
    make_table: Callable[[], Sequence[Row]]


class RunData(ABC):
    """What a run trains on and is judged by.

    Attributes:
        dataset: the prepared data.
        task: labels and losses.
        metrics: dev metrics that can choose the best epoch; the first is the default.
        loss: the task loss in words.
        baseline: the answer that needs no model, in words.
        dev_depth: candidates of a dev claim that are ranked; None where nothing is.
        notes: what making the examples did beside the plain.
    """

    dataset: PreparedDataset | RankingDataset
    task: Classification | Ranking
    metrics: tuple[str, ...]
    loss: str
    baseline: str
    dev_depth: int | None = None
    notes: tuple[str, ...] = ()

    @abstractmethod
    def examples(self, tokenizer: Any, shared: Path | None = None) -> dict[str, Examples]:
        """`train`, limited as asked, and the splits that it is judged on; `shared`: tokenised data of a sweep."""

    @abstractmethod
    def training_texts(self) -> list[Texts]:
        """What a later test must not hold: the pair of texts of each training row, or each claim that has a list."""

    @abstractmethod
    def judge(self, split: str, examples: dict[str, Examples], logits: Tensor) -> Judgement:
        """What logits in the order of a split's examples are worth."""

    def prepare_saving(self, config: Any, tokenizer: Any) -> None:
        """Put into config and tokenizer what those who load the saved model should find there."""
        return  # mostly nothing

    def metric(self, asked: str | None) -> str:
        """The dev metric that chooses.

        Raises:
            UsageError: one that this kind of task does not have.
        """
        if asked is not None and asked not in self.metrics:
            raise UsageError(f"--metric {asked}: {self.dataset.name} is judged by {', '.join(self.metrics)}.")
        return asked or self.metrics[0]


class PairData(RunData):
    """Pairs with labels."""

    dataset: PreparedDataset
    task: Classification
    metrics = METRICS[:4]
    loss = "cross-entropy"
    baseline = "majority class"

    def __init__(self, dataset: PreparedDataset, options: DataOptions, subset_seed: int) -> None:
        self.dataset, self.options, self.subset_seed = dataset, options, subset_seed
        self.task = Classification(dataset.labels)

    def examples(self, tokenizer: Any, shared: Path | None = None) -> dict[str, Examples]:
        """Every split, tokenised."""
        frames = dict(self.dataset.splits)
        for split in ("train", "dev"):
            if split not in frames:
                raise DataError(f"the data set has no {split} split", file=self.dataset.folder, allowed=frames)
        for split, frame in frames.items():
            if frame.empty:
                raise DataError(f"the {split} split is empty", file=self.dataset.folder)
        rows = {split: np.arange(len(frame)) for split, frame in frames.items()}
        rows["train"] = self._training_rows
        store = open_store(shared, self.dataset, tokenizer, self.options.max_length)
        return {split: self._examples(split, rows[split], tokenizer, store) for split in frames}

    @property
    def _training_rows(self) -> Rows:
        return training_rows(len(self.dataset.splits["train"]), self.options, self.subset_seed)

    def training_texts(self) -> list[Texts]:
        """Both texts of the rows that are trained on."""
        frame = self.dataset.splits["train"].iloc[self._training_rows]
        return list(zip(frame["text_a"], frame["text_b"], strict=True))

    def _examples(self, split: str, rows: Rows, tokenizer: Any, store: TokenStore | None) -> Examples:
        frame = self.dataset.splits[split]

        def make(chosen: Rows) -> Examples:
            return self.task.examples(frame.iloc[chosen], tokenizer, self.options.max_length)

        if store is None:
            return make(rows)
        encoded, truncated = store.pairs(split, rows, len(frame), make)
        ids, gold = tuple(frame["id"].iloc[rows].tolist()), self.task.gold(frame.iloc[rows])
        return Examples(ids, encoded, encoded.lengths, gold, truncated, padding_values(tokenizer))

    def judge(self, split: str, examples: dict[str, Examples], logits: Tensor) -> Judgement:
        """Classification metrics, beside those of the majority class."""
        found: Predictions = self.task.predictions(examples[split], logits)
        return Judgement(
            classification_metrics(found),
            lambda: majority_baseline(examples["train"].labels, found.gold, found.labels),
            lambda: prediction_rows(found),
        )


class RankingData(RunData):
    """Claims with documents to rank: lists to train on, and the first candidates of some dev claims."""

    dataset: RankingDataset
    task: Ranking
    dev_depth: int
    metrics = MEASURES
    baseline = "first stage"

    def __init__(
        self, dataset: RankingDataset, options: DataOptions, ranking: RankingOptions, subset_seed: int
    ) -> None:
        self.dataset, self.options, self.ranking, self.subset_seed = dataset, options, ranking, subset_seed
        listed = ranking.ranking_loss == "listwise" and dataset.lists is not None
        self.dev_depth = ranking.dev_depth or min(DEV_DEPTH, dataset.depth)
        if self.dev_depth > dataset.depth:
            raise UsageError(f"--dev-depth {self.dev_depth}: {dataset.name} has {dataset.depth} candidates a claim.")
        self.list_size = dataset.lists.shape[1] - 1 if listed and dataset.lists is not None else 1
        self.task = Ranking(cast(RankingLoss, ranking.ranking_loss), self.list_size)
        self.loss = LOSSES[self.task.loss]

    def examples(self, tokenizer: Any, shared: Path | None = None) -> dict[str, Examples]:
        """`train` and `dev`; texts are tokenised once, however many pairs they are in."""
        pairs = {"train": self._training_pairs, "dev": self.dev_pairs}
        queries, template = self.dataset.queries, pair_template(tokenizer)
        claims = np.unique(np.concatenate([each[:, 0] for each in pairs.values()]))
        documents = np.unique(np.concatenate([each[:, 1] for each in pairs.values()]))
        limit = self.options.max_length
        store = open_store(shared, self.dataset, tokenizer, limit)

        def tokens(kind: str, rows: Rows, available: int, texts: Callable[[Any], Sequence[str]]) -> Sequence[Tokens]:
            def make(chosen: Rows) -> Sequence[Tokens]:
                return text_tokens(tokenizer, texts(chosen), limit)

            return make(rows) if store is None else store.texts(kind, rows, available, make)

        first = tokens("claims", claims, len(queries), lambda rows: queries["text"].iloc[rows].tolist())
        first = self._with_room(queries["id"].iloc[claims].tolist(), first, template)
        second = tokens("documents", documents, len(self.dataset.documents), self.dataset.texts)
        by_claim = dict(zip(claims.tolist(), first, strict=True))
        by_document = dict(zip(documents.tolist(), second, strict=True))
        return {
            split: TextPairs(template, by_claim, by_document, each, limit).examples(
                tokenizer, self._ids(each), self._labels(each), self.list_size if split == "train" else 1
            )
            for split, each in pairs.items()
        }

    def _with_room(self, names: list[str], claims: Sequence[Tokens], template: PairTemplate) -> Sequence[Tokens]:
        limit = self.options.max_length
        hint = f"--long-claims cut, or a --max-length above {limit}"
        with cells_hidden(self.dataset.credentialed):
            fitting, cut = with_room(names, claims, template, limit, self.ranking.long_claims == "cut", hint)
        self.notes = (cut_note(cut, len(claims), limit),) if cut else ()
        return fitting

    def prepare_saving(self, config: Any, tokenizer: Any) -> None:
        """sentence-transformers' `CrossEncoder` shall give our scores: no sigmoid, and pairs cut where ours are."""
        config.sentence_transformers = {"activation_fn": "torch.nn.modules.linear.Identity"}
        tokenizer.model_max_length = self.options.max_length

    @cached_property
    def _training_pairs(self) -> Rows:
        lists = self.dataset.lists
        if lists is None:
            raise DataError("the data set has no training pairs", file=self.dataset.folder, allowed=["ag rank on it"])
        chosen = lists[training_rows(len(lists), self.options, self.subset_seed)]
        size = lists.shape[1] - 1
        return np.stack([np.repeat(chosen[:, 0], size), chosen[:, 1:].reshape(-1)], axis=1).astype(np.int64)

    def training_texts(self) -> list[Texts]:
        """The claims of the lists that are trained on."""
        claims = np.unique(self._training_pairs[:, 0])
        return [(text,) for text in self.dataset.queries["text"].iloc[claims]]

    @cached_property
    def dev_rows(self) -> Rows:
        """Rows of the dev claims that choose the epoch."""
        judged = self.dataset.judged("dev").astype(np.int64)
        if not len(judged):
            raise DataError("no dev claim has a relevant document", file=self.dataset.folder)
        wanted = min(self.ranking.dev_queries, len(judged))
        return judged[nested_subset(len(judged), wanted, DEV_SEED)]

    @cached_property
    def dev_pairs(self) -> Rows:
        """Dev claims with their first candidates, query by query; shape (num_pairs, 2)."""
        found = [
            np.stack([np.full(len(rows), row), rows], axis=1)
            for row in self.dev_rows
            for rows, _ in [self.dataset.candidates(int(row), self.dev_depth)]
        ]
        pairs = np.concatenate(found).astype(np.int64)
        if not len(pairs):
            raise DataError("the first stage found no candidate for any dev claim", file=self.dataset.folder)
        return pairs

    def _ids(self, pairs: Rows) -> list[str]:
        queries, documents = self.dataset.queries["id"].to_numpy(), self.dataset.document_ids
        return [f"{queries[query]} {documents[document]}" for query, document in pairs]

    def _labels(self, pairs: Rows) -> Rows:
        """1 where the judgements call the document relevant to the claim."""
        queries, documents = self.dataset.queries["id"].to_numpy(), self.dataset.document_ids
        judged = (self.dataset.judgements.get(queries[query], {}).get(documents[row], 0) for query, row in pairs)
        return np.array([relevance > 0 for relevance in judged], dtype=np.int64)

    def judge(self, split: str, examples: dict[str, Examples], logits: Tensor) -> Judgement:
        """Ranking measures over all its claims, beside those of the first stage."""
        scores = relevance_scores(logits)
        ids = [identifier.split(" ") for identifier in examples[split].ids]
        broken = int((~np.isfinite(scores)).sum())
        if broken:
            raise DivergedError(
                f"{broken} of {len(scores)} scores of {split} are not a number.",
                hint="the weights are broken: a lower learning rate, or --precision fp32",
            )
        run: dict[str, dict[str, float]] = {}
        for (query, document), score in zip(ids, scores, strict=True):
            run.setdefault(query, {})[document] = float(score)
        labels = examples[split].labels
        return Judgement(
            measure(run, self._dev_qrels).means("all"),
            lambda: {"label": "first stage", **measure(self._first_stage(), self._dev_qrels).means("all")},
            lambda: [
                ["query", "document", "relevant", "score"],
                *([*pair, int(label), float(score)] for pair, label, score in zip(ids, labels, scores, strict=True)),
            ],
        )

    @cached_property
    def _dev_qrels(self) -> dict[str, dict[str, int]]:
        """Judgements of the dev claims that choose the epoch."""
        return {query: self.dataset.judgements[query] for query in self.dataset.queries["id"].iloc[self.dev_rows]}

    def _first_stage(self) -> dict[str, dict[str, float]]:
        """Their candidates as the first stage ranked them: claim -> document -> score."""
        found: dict[str, dict[str, float]] = {}
        for query, row in zip(self._dev_qrels, self.dev_rows, strict=True):
            rows, scores = self.dataset.candidates(int(row), self.dev_depth)
            names = (self.dataset.document_ids[document] for document in rows)
            found[query] = dict(zip(names, map(float, scores), strict=True))
        return found


def run_data(
    dataset: PreparedDataset | RankingDataset, options: DataOptions, ranking: RankingOptions, subset_seed: int
) -> RunData:
    """The class that fits the prepared data."""
    if isinstance(dataset, RankingDataset):
        return RankingData(dataset, options, ranking, subset_seed)
    return PairData(dataset, options, subset_seed)


def training_rows(available: int, options: DataOptions, seed: int) -> Rows:
    """Rows of the training subset that `--train-limit` or `--train-fraction` ask for.

    Raises:
        UsageError: more than there are.
    """
    limit = options.train_limit
    if limit is not None and limit > available:
        raise UsageError(f"--train-limit {limit}: the data set has {available} training examples.")
    return nested_subset(available, limit or max(1, round(options.train_fraction * available)), seed)
