"""Candidates of a single query from an index, re-ranked; nothing is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from agcli.data.bm25 import Analysis, FirstStage, open_index
from agcli.data.formats.query_files import read_documents
from agcli.data.ranking.candidates import build_index
from agcli.data.ranking.prepared import INDEX, PreparedRanking
from agcli.errors import DataError
from agcli.measures.tie_rule import descending
from agcli.ranking.ranker import Query, Ranker


@dataclass(frozen=True)
class Answer:
    """A document for the query, with both ranks (from 1) and both scores."""

    document: str
    text: str
    rank: int
    score: float
    first_stage_rank: int
    first_stage_score: float


def answer_from_dataset(ranker: Ranker, text: str, dataset: PreparedRanking, depth: int) -> tuple[list[Answer], bool]:
    """The best of `depth` candidates in prepared data, best first, and whether the query was cut.

    Raises:
        DataError: the index is missing or damaged, or no document shares a word with the query.
    """
    stage = open_index(dataset.folder / INDEX, dataset.document_ids)
    return _answers(ranker, text, dataset.documents, dataset.document_ids, stage, depth)


def answer_from_corpus(
    ranker: Ranker, text: str, corpus: Path, analysis: Analysis, depth: int
) -> tuple[list[Answer], bool]:
    """The same in a file of documents, which is indexed temporarily.

    Raises:
        DataError: a file that cannot be read, or no document that shares a word with the query.
    """
    documents = read_documents(corpus)
    stage = build_index(documents, analysis, lambda what, done, total: None)
    return _answers(ranker, text, documents.table, list(documents.places), stage, depth)


def _answers(
    ranker: Ranker, text: str, documents: pa.Table, ids: list[str], stage: FirstStage, depth: int
) -> tuple[list[Answer], bool]:
    rows, first_scores = stage.search(text, depth)
    if not len(rows):
        raise DataError("no document shares a word with this query")
    pairs = np.stack([np.zeros(len(rows), dtype=np.int32), rows], axis=1)
    query = Query("query", text)
    _, cut = ranker.with_room([query])
    scores = ranker.scores([query], documents, pairs)
    names = [ids[row] for row in rows]
    texts = documents.column("text").take(pa.array(rows)).to_pylist()
    answers = [
        Answer(names[i], texts[i], rank, float(scores[i]), int(i) + 1, float(first_scores[i]))
        for rank, i in enumerate(descending(names, scores), start=1)
    ]
    return answers, bool(cut)
