"""Ranking measures by ir_measures, query by query, and the two protocols by which they are averaged.

**all**: every query with a relevant document counts; one whose relevant documents were not retrieved scores 0.
**conditional**: only queries with a relevant document among the candidates count, as in the code of Zuo et al. (2020);
it measures the re-ranker alone. The two are never mixed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from agcli.measures.bootstrap import Estimate, mean_estimates
from agcli.measures.classification import Floats

MEASURES = ("RR", "R@1", "R@3", "R@5", "R@20", "nDCG@10", "AP")
"""Names as ir_measures prints them. RR has no cut-off: with one, ir_measures breaks ties by ascending id."""
Protocol = Literal["all", "conditional"]
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
Stage = Literal["first_stage", "reranked"]
STAGES: tuple[Stage, ...] = get_args(Stage)
PER_QUERY_COLUMNS = ("query", "retrieved", *(f"{stage}:{name}" for stage in STAGES for name in MEASURES))
"""Of `per_query.csv` in the folder of a ranking."""
RELEVANT = 1
"""The least relevance that counts as relevant."""


@dataclass(frozen=True, eq=False)
class QueryMeasures:
    """Measures of one ranking, a row a query.

    Attributes:
        queries: ids of the queries that have a relevant document.
        values: one column for each of `MEASURES`.
        retrieved: whether a relevant document is among the query's candidates.

    Shape:
        values: (num_queries, len(MEASURES)); retrieved: (num_queries,).
    """

    queries: tuple[str, ...]
    values: NDArray[np.float64]
    retrieved: NDArray[np.bool_]

    def of(self, protocol: Protocol) -> NDArray[np.float64]:
        """The rows of `values` that a protocol counts."""
        return self.values[self.retrieved] if protocol == "conditional" else self.values

    def means(self, protocol: Protocol) -> dict[str, float]:
        """Mean of each measure, and `n`, the number of queries in it; NaN where a protocol counts no query."""
        rows = self.of(protocol)
        means = rows.mean(axis=0) if len(rows) else np.full(len(MEASURES), np.nan)
        return {**dict(zip(MEASURES, means.tolist(), strict=True)), "n": len(rows)}


def measure(run: Mapping[str, Mapping[str, float]], qrels: Mapping[str, Mapping[str, int]]) -> QueryMeasures:
    """Measure a run (query -> document -> score) by relevance judgments (query -> document -> relevance).

    Returns:
        One row for every query of `qrels` that has a relevant document, in their order; a query without results
        scores 0. Queries without a relevant document have no row; trec_eval and ir_measures would count them with 0,
        so leave them out of the qrels files that are written.
    """
    # plain int and float: trec_eval's code takes no others
    judged = {query: {document: int(grade) for document, grade in qrels[query].items()} for query in qrels}
    judged = {query: grades for query, grades in judged.items() if _relevant(grades)}
    scores = {query: {document: float(score) for document, score in run.get(query, {}).items()} for query in judged}
    retrieved = [not _relevant(judged[query]).isdisjoint(scores[query]) for query in judged]
    return QueryMeasures(tuple(judged), _values(scores, judged), np.array(retrieved, dtype=np.bool_))


def joined(parts: Sequence[QueryMeasures]) -> QueryMeasures:
    """Measures of several sets of queries as one, in the order given.

    Raises:
        ValueError: a query is in two parts.
    """
    queries = tuple(query for part in parts for query in part.queries)
    if len(set(queries)) < len(queries):
        raise ValueError("a query is in two parts")
    values = np.concatenate([np.empty((0, len(MEASURES))), *(part.values for part in parts)])
    return QueryMeasures(queries, values, np.concatenate([np.empty(0, np.bool_), *(part.retrieved for part in parts)]))


def measure_estimates(values: Floats, resamples: int, seed: int) -> dict[str, Estimate]:
    """Mean and bootstrap interval of each measure, over some queries; shape (num_queries, len(MEASURES))."""
    return dict(zip(MEASURES, mean_estimates(values, resamples=resamples, seed=seed), strict=True))


def below_first_stage(name: str, measure: str, first_stage: float, reranked: float, high: float) -> str:
    """A sentence for a re-ranker that makes its candidates' order worse; empty for every other.

    Args:
        first_stage: its mean over the candidates in their first order.
        reranked: its mean over the re-ranker's order.
        high: upper end of the interval of their difference.
    """
    if high >= 0:
        return ""
    return (
        f"{name} is worse than its first stage: {measure} {reranked:.4f} against {first_stage:.4f}, and the whole "
        "interval of the difference lies below 0. The candidates in their first order are the better ranking."
    )


def _relevant(grades: Mapping[str, int]) -> set[str]:
    return {document for document, grade in grades.items() if grade >= RELEVANT}


def _values(run: dict[str, dict[str, float]], qrels: dict[str, dict[str, int]]) -> NDArray[np.float64]:
    """Values of ir_measures, from trec_eval's own code: its other providers break ties otherwise."""
    from ir_measures import AP, RR, R, nDCG, pytrec_eval

    columns = dict(zip((RR, R @ 1, R @ 3, R @ 5, R @ 20, nDCG @ 10, AP), range(len(MEASURES)), strict=True))
    rows = {query: row for row, query in enumerate(qrels)}
    values = np.zeros((len(rows), len(columns)))
    for result in pytrec_eval.evaluator(list(columns), qrels).iter_calc(run) if rows else ():
        values[rows[result.query_id], columns[result.measure]] = result.value
    return values
