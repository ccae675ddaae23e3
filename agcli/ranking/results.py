"""The files of a ranking: TREC files, tables, and measures of both protocols. No text.

run.trec          the re-ranked candidates         ranking.csv    one row a candidate: both ranks, both scores
first_stage.trec  the first stage's order          per_query.csv  one row a judged query: measures before and after
qrels.trec        relevance judgments              metrics.json   means with intervals, and settings; written last
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from agcli.data.ranking.prepared import PreparedRanking
from agcli.measures.classification import Floats
from agcli.measures.ranking import PER_QUERY_COLUMNS, PROTOCOLS, QueryMeasures, joined, measure, measure_estimates
from agcli.measures.tie_rule import descending, strictly_decreasing
from agcli.measures.trec import qrels_lines, run_lines
from agcli.ranking.ranker import Query
from agcli.runs.atomic import open_whole, write_text
from agcli.runs.folder import RunFolder
from agcli.tables.csv_json import csv_text

Scores = NDArray[np.float32]
FILES = ("metrics.json", "run.trec", "first_stage.trec", "qrels.trec", "ranking.csv", "per_query.csv")
_CANDIDATE_COLUMNS = ("query", "document", "rank", "score", "first_stage_rank", "first_stage_score", "relevance")


@dataclass(frozen=True, eq=False)
class Chunk:
    """Consecutive queries whose candidates are scored together.

    Attributes:
        documents: of each query, its candidates as rows of the corpus, best of the first stage first.
        first_scores: of each query, their first-stage scores.
    """

    number: int
    queries: Sequence[Query]
    documents: Sequence[NDArray[np.int32]]
    first_scores: Sequence[Scores]

    @property
    def pairs(self) -> NDArray[np.int32]:
        """Index of the query within the chunk and row of the document, shape (num_pairs, 2)."""
        counts = [len(rows) for rows in self.documents]
        queries = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        return np.stack([queries, np.concatenate([np.empty(0, np.int32), *self.documents])], axis=1)


def write_results(
    folder: RunFolder,
    dataset: PreparedRanking,
    judged: frozenset[str],
    scored: Iterable[tuple[Chunk, Scores]],
    metrics: dict[str, Any],
    resamples: int,
    seed: int,
) -> None:
    """Write every file, a chunk at a time; `metrics.json` comes last.

    Args:
        judged: ids of the queries with a relevant document.
        scored: the chunks and their scores, in the order of `Chunk.pairs`.
        metrics: entries of `metrics.json` beside the measures.

    Raises:
        RunError: the disk refuses.
    """
    measured: list[tuple[QueryMeasures, QueryMeasures]] = []
    names = ["run.trec", "first_stage.trec", "ranking.csv", *(["qrels.trec"] if judged else [])]
    with ExitStack() as stack:
        files = {name: stack.enter_context(open_whole(folder.path / name)) for name in names}
        files["ranking.csv"].write(csv_text([_CANDIDATE_COLUMNS]))
        for chunk, scores in scored:
            measured.append(_write_chunk(files, dataset, judged, chunk, scores))
    if judged:
        first, second = (joined([pair[side] for pair in measured]) for side in (0, 1))
        write_text(folder.path / "per_query.csv", csv_text(_per_query(first, second)))
        metrics = metrics | _measures(first, second, resamples, seed)
    folder.write_json("metrics.json", metrics)


def _write_chunk(
    files: dict[str, TextIO], dataset: PreparedRanking, judged: frozenset[str], chunk: Chunk, scores: Scores
) -> tuple[QueryMeasures, QueryMeasures]:
    """Write the lines of some queries; their measures before and after."""
    first: dict[str, dict[str, float]] = {}
    second: dict[str, dict[str, float]] = {}
    qrels: dict[str, dict[str, int]] = {}
    ends = np.cumsum([len(rows) for rows in chunk.documents])[:-1]
    by_query = zip(chunk.queries, chunk.documents, chunk.first_scores, np.split(scores, ends), strict=True)
    for query, rows, first_scores, new_scores in by_query:
        documents = [dataset.document_ids[row] for row in rows]
        before, order = strictly_decreasing(first_scores), descending(documents, new_scores)
        reranked, after = [documents[i] for i in order], strictly_decreasing(new_scores[order])
        grades = dataset.relevance.get(query.id, {})
        files["first_stage.trec"].write(run_lines(query.id, documents, before, "first_stage"))
        files["run.trec"].write(run_lines(query.id, reranked, after, "ag"))
        table = [
            [query.id, documents[i], rank, float(score), i + 1, float(first_scores[i]), grades.get(documents[i])]
            for rank, (i, score) in enumerate(zip(order, after, strict=True), start=1)
        ]
        files["ranking.csv"].write(csv_text(table))
        first[query.id] = dict(zip(documents, before.tolist(), strict=True))
        second[query.id] = dict(zip(reranked, after.tolist(), strict=True))
        if query.id in judged:
            qrels[query.id] = grades
            files["qrels.trec"].write(qrels_lines(query.id, grades))
    return measure(first, qrels), measure(second, qrels)


def _per_query(first: QueryMeasures, second: QueryMeasures) -> list[list[object]]:
    rows: list[list[object]] = [[*PER_QUERY_COLUMNS]]
    for query, retrieved, *values in zip(first.queries, first.retrieved, first.values, second.values, strict=True):
        rows.append([query, int(retrieved), *np.concatenate(values).tolist()])
    return rows


def _measures(first: QueryMeasures, second: QueryMeasures, resamples: int, seed: int) -> dict[str, Any]:
    """Means and intervals of both stages and of their difference, by protocol."""

    def estimates(values: Floats) -> dict[str, Any]:
        measured = measure_estimates(values, resamples, seed) if len(values) else {}
        return {**{name: asdict(estimate) for name, estimate in measured.items()}, "n": len(values)}

    before, after = ({protocol: measures.of(protocol) for protocol in PROTOCOLS} for measures in (first, second))
    return {
        "first_stage": {protocol: estimates(before[protocol]) for protocol in PROTOCOLS},
        "reranked": {protocol: estimates(after[protocol]) for protocol in PROTOCOLS},
        "difference": {protocol: estimates(after[protocol] - before[protocol]) for protocol in PROTOCOLS},
        "interval": "95 % percentile bootstrap over queries, model fixed; not over seeds",
        "resamples": resamples,
        "seed": seed,
    }
