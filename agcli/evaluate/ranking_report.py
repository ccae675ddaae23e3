"""What was found about rankings, for machines: JSON and one long CSV table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agcli.evaluate.rankings import Averages, JudgedRanking, RankingComparison, RankingEvaluation
from agcli.evaluate.saved_rankings import STAGES
from agcli.measures.ranking import MEASURES, PROTOCOLS, Protocol
from agcli.measures.resampling import PERMUTATIONS
from agcli.runs.atomic import write_text
from agcli.runs.folder import csv_text

COLUMNS = ("run", "against", "dataset", "split", "protocol", "kind", "metric", "value", "low", "high", "n")
TESTS = ("t_p", "randomisation_p", "better", "equal", "worse")


def as_json(evaluation: RankingEvaluation) -> dict[str, Any]:
    """Everything that was found, as plain values for JSON; what does not exist is null."""
    return {
        "task": "ranking",
        "dataset": evaluation.dataset,
        "split": evaluation.split,
        "queries": evaluation.queries,
        "resamples": evaluation.resamples,
        "permutations": PERMUTATIONS,
        "seed": evaluation.seed,
        "interval": "95 % bootstrap over queries, models fixed; not over seeds",
        "notes": list(evaluation.notes),
        "runs": [_ranking_json(ranking) for ranking in evaluation.rankings],
        "comparisons": [_comparison_json(comparison) for comparison in evaluation.comparisons],
    }


def write_measures(evaluation: RankingEvaluation, file: Path) -> None:
    """Write everything as one long CSV table: a row a number, its `protocol` and `kind` telling which.

    Kinds: `first_stage` and `reranked` with their intervals; and of a comparison (`against` names the other side)
    `difference`, `t_p`, `randomisation_p` and the counts `better`, `equal`, `worse`. What does not exist has no row.
    """
    data = [evaluation.dataset, evaluation.split]
    rows: list[list[object]] = [list(COLUMNS)]
    for ranking in evaluation.rankings:
        rows += [[ranking.name, "", *data, *row] for row in _average_rows(ranking)]
    for comparison in evaluation.comparisons:
        rows += [[comparison.second, comparison.first, *data, *row] for row in _comparison_rows(comparison)]
    write_text(file.resolve(), csv_text(rows))


def _ranking_json(ranking: JudgedRanking) -> dict[str, Any]:
    return {
        "run": ranking.name,
        "path": str(ranking.saved.path),
        "depth": ranking.saved.depth,
        **{
            stage: {protocol: _averages_json(_averages(ranking, stage, protocol)) for protocol in PROTOCOLS}
            for stage in STAGES
        },
    }


def _averages(ranking: JudgedRanking, stage: str, protocol: Protocol) -> Averages | None:
    averages: dict[Protocol, Averages] = getattr(ranking, stage)
    return averages.get(protocol)


def _averages_json(averages: Averages | None) -> dict[str, Any] | None:
    if averages is None:
        return None
    measures = {
        measure: {"value": averages.values[measure], **asdict(averages.intervals[measure])} for measure in MEASURES
    }
    return {**measures, "n": averages.n}


def _comparison_json(comparison: RankingComparison) -> dict[str, Any]:
    differences: dict[str, Any] = dict.fromkeys(PROTOCOLS)
    for protocol, measures in comparison.differences.items():
        differences[protocol] = {measure: asdict(found) for measure, found in measures.items()}
    return {
        "first": comparison.first,
        "second": comparison.second,
        **differences,
        "left_out": comparison.left_out or None,
    }


def _average_rows(ranking: JudgedRanking) -> Iterator[list[object]]:
    """protocol, kind, metric, value, low, high, n."""
    for protocol in PROTOCOLS:
        for stage in STAGES:
            averages = _averages(ranking, stage, protocol)
            if averages is None:
                continue
            for measure, interval in averages.intervals.items():
                value = averages.values[measure]
                yield [protocol, stage, measure, value, interval.low, interval.high, averages.n]


def _comparison_rows(comparison: RankingComparison) -> Iterator[list[object]]:
    """protocol, kind, metric, value, low, high, n."""
    for protocol, measures in comparison.differences.items():
        for measure, found in measures.items():
            cells = found.value, found.interval.low, found.interval.high
            yield [protocol, "difference", measure, *cells, found.n]
        for measure, found in measures.items():
            for kind in TESTS:
                if (value := getattr(found, kind)) is not None:
                    yield [protocol, kind, measure, value, "", "", found.n]
