"""What a ranking leaves behind: TREC files, tables, and measures of both protocols. No text.

run.trec          the re-ranked candidates     ranking.csv    one row a candidate: both ranks, both scores
first_stage.trec  the first stage's order      per_query.csv  one row a judged claim: its measures, before and after
qrels.trec        the judgements of the claims  metrics.json   means with intervals, and the settings; written last
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from agcli.measures.order import descending, strictly_decreasing
from agcli.measures.ranking import MEASURES, PROTOCOLS, Protocol, QueryMeasures, joined, measure, measure_estimates
from agcli.measures.trec import qrels_lines, run_lines
from agcli.ranking.request import Chunk, RankJob
from agcli.runs.atomic import open_whole, write_text
from agcli.runs.folder import RunFolder, csv_text

FILES = ("metrics.json", "run.trec", "first_stage.trec", "qrels.trec", "ranking.csv", "per_query.csv")
_CANDIDATE_COLUMNS = ("query", "document", "rank", "score", "first_stage_rank", "first_stage_score", "relevance")


def write_results(job: RankJob, resamples: int, seed: int) -> None:
    """Write every file from the saved scores, a chunk at a time; `metrics.json` comes last.

    Raises:
        RunError: the disk refuses.
    """
    measured: list[tuple[QueryMeasures, QueryMeasures]] = []
    names = ["run.trec", "first_stage.trec", "ranking.csv", *(["qrels.trec"] if job.judged else [])]
    with ExitStack() as stack:
        files = {name: stack.enter_context(open_whole(job.output / name)) for name in names}
        files["ranking.csv"].write(csv_text([_CANDIDATE_COLUMNS]))
        for chunk in job.chunks():
            measured.append(_write_chunk(job, chunk, files))
    metrics = {
        **job.settings,
        "claims_cut": job.claims_cut,
        "trained_on": None if job.trained_on is None else asdict(job.trained_on),
        "credentialed": job.dataset.credentialed,
    }
    if job.judged:
        first, second = (joined([pair[side] for pair in measured]) for side in (0, 1))
        write_text(job.output / "per_query.csv", csv_text(_per_query(first, second)))
        metrics |= _metrics(first, second, resamples, seed)
    RunFolder(job.output).write_json("metrics.json", metrics)


def _write_chunk(job: RankJob, chunk: Chunk, files: dict[str, TextIO]) -> tuple[QueryMeasures, QueryMeasures]:
    """The lines of some claims, and their measures before and after."""
    scores = job.scores_of(chunk)
    assert scores is not None, "every chunk was scored"
    ends = np.cumsum([len(rows) for rows in chunk.documents])
    first: dict[str, dict[str, float]] = {}
    second: dict[str, dict[str, float]] = {}
    judgements: dict[str, dict[str, int]] = {}
    by_claim = zip(
        job.claims(chunk.rows), chunk.documents, chunk.first_scores, np.split(scores, ends[:-1]), strict=True
    )
    for claim, rows, first_scores, new_scores in by_claim:
        documents = [job.dataset.document_ids[row] for row in rows]
        before, after = strictly_decreasing(first_scores), _ordered(documents, new_scores)
        grades = job.dataset.judgements.get(claim.id, {})
        files["first_stage.trec"].write(run_lines(claim.id, documents, before, "first_stage"))
        files["run.trec"].write(run_lines(claim.id, [documents[i] for i in after[0]], after[1], "ag"))
        files["ranking.csv"].write(csv_text(_candidate_rows(claim.id, documents, after, first_scores, grades)))
        first[claim.id] = dict(zip(documents, map(float, before), strict=True))
        second[claim.id] = {documents[i]: float(score) for i, score in zip(*after, strict=True)}
        if claim.id in job.judged:
            judgements[claim.id] = grades
            files["qrels.trec"].write(qrels_lines(claim.id, grades))
    return measure(first, judgements), measure(second, judgements)


def _ordered(documents: Sequence[str], scores: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Indices of the documents in their order, and scores that no reader can take for ties."""
    order = descending(documents, scores)
    return order, strictly_decreasing(scores[order])


def _candidate_rows(
    claim: str,
    documents: Sequence[str],
    after: tuple[NDArray[np.int64], NDArray[np.float32]],
    first_scores: NDArray[np.float32],
    grades: dict[str, int],
) -> list[list[object]]:
    return [
        [claim, documents[i], rank, float(score), i + 1, float(first_scores[i]), grades.get(documents[i])]
        for rank, (i, score) in enumerate(zip(*after, strict=True), start=1)
    ]


def _per_query(first: QueryMeasures, second: QueryMeasures) -> list[list[object]]:
    header = ["query", "retrieved", *(f"{stage}:{name}" for stage in ("first_stage", "reranked") for name in MEASURES)]
    rows: list[list[object]] = [
        [query, int(retrieved), *before.tolist(), *after.tolist()]
        for query, retrieved, before, after in zip(
            first.queries, first.retrieved, first.values, second.values, strict=True
        )
    ]
    return [list(header), *rows]


def _metrics(first: QueryMeasures, second: QueryMeasures, resamples: int, seed: int) -> dict[str, Any]:
    """Means and intervals of both stages and of their difference, by protocol."""

    def by_protocol(values: dict[Protocol, NDArray[np.float64]]) -> dict[str, Any]:
        metrics: dict[str, Any] = {}
        for protocol, rows in values.items():
            estimates = measure_estimates(rows, resamples, seed) if len(rows) else {}
            metrics[protocol] = {**{name: asdict(found) for name, found in estimates.items()}, "n": len(rows)}
        return metrics

    return {
        "first_stage": by_protocol({protocol: first.of(protocol) for protocol in PROTOCOLS}),
        "reranked": by_protocol({protocol: second.of(protocol) for protocol in PROTOCOLS}),
        "difference": by_protocol({protocol: second.of(protocol) - first.of(protocol) for protocol in PROTOCOLS}),
        "interval": "95 % percentile bootstrap over claims, model fixed; not over seeds",
        "resamples": resamples,
        "seed": seed,
    }
