"""Evaluations as JSON and as one long CSV table (a row a number), and the predictions of runs as CSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from agcli.evaluate.inputs import Evaluation
from agcli.evaluate.rankings import EvaluatedRanking, RankingComparison
from agcli.evaluate.runs import EvaluatedRun
from agcli.measures.bootstrap import Estimate
from agcli.measures.classification import LABEL_METRICS
from agcli.measures.paired_tests import PERMUTATIONS, MeasureComparison, PredictionComparison
from agcli.measures.ranking import PROTOCOLS, STAGES
from agcli.runs.atomic import write_text
from agcli.tables.csv_json import csv_text

RUN_COLUMNS = ("run", "dataset", "split", "kind", "label", "metric", "value", "low", "high", "n")
RANKING_COLUMNS = ("run", "against", "dataset", "split", "protocol", "kind", "metric", "value", "low", "high", "n")
TESTS = ("t_p", "randomisation_p", "better", "equal", "worse")

Runs = Evaluation[EvaluatedRun, PredictionComparison]
Rankings = Evaluation[EvaluatedRanking, RankingComparison]


def runs_json(evaluation: Runs) -> dict[str, Any]:
    """All numbers of an evaluation of runs, as plain values."""
    first, *others = evaluation.runs
    return {
        **_settings(evaluation),
        "warnings": list(evaluation.notes),
        "interval": "95 % bootstrap over examples, models fixed; not over seeds",
        "runs": [_run(run) for run in evaluation.runs],
        "comparisons": [
            {"first": first.name, "second": run.name, **_predictions_compared(comparison)}
            for run, comparison in zip(others, evaluation.comparisons, strict=True)
        ],
    }


def rankings_json(evaluation: Rankings) -> dict[str, Any]:
    """All numbers of an evaluation of rankings, as plain values; what does not exist is null."""
    return {
        "task": "ranking",
        **_settings(evaluation),
        "queries": evaluation.runs[0].n("all"),
        "interval": "95 % bootstrap over queries, models fixed; not over seeds",
        "notes": list(evaluation.notes),
        "runs": [_ranking(ranking) for ranking in evaluation.runs],
        "comparisons": [_rankings_compared(comparison) for comparison in evaluation.comparisons],
    }


def write_runs_csv(evaluation: Runs, file: Path) -> None:
    """Write all numbers of runs.

    Kinds: `metric`; `class` (with its label); `confusion` (label: gold, predicted); and of each further run against
    the first, `difference` and `test` (p-values).
    """
    numbers = [(run, _run_rows(run)) for run in evaluation.runs]
    numbers += zip(evaluation.runs[1:], map(_comparison_rows, evaluation.comparisons), strict=True)
    rows: list[Sequence[object]] = [RUN_COLUMNS]
    for run, lines in numbers:
        rows += [[run.name, run.dataset, evaluation.split, *line, run.n] for line in lines]
    write_text(file.resolve(), csv_text(rows))


def write_rankings_csv(evaluation: Rankings, file: Path) -> None:
    """Write all numbers of rankings; what does not exist has no row.

    Kinds: `first_stage` and `reranked` with their intervals; and of a comparison (`against` names the other side)
    `difference`, `t_p`, `randomisation_p` and the counts `better`, `equal`, `worse`.
    """
    data = [evaluation.dataset, evaluation.split]
    rows: list[Sequence[object]] = [RANKING_COLUMNS]
    for ranking in evaluation.runs:
        rows += [[ranking.name, "", *data, *row] for row in _ranking_rows(ranking)]
    for comparison in evaluation.comparisons:
        rows += [[comparison.second, comparison.first, *data, *row] for row in _test_rows(comparison)]
    write_text(file.resolve(), csv_text(rows))


def write_predictions(evaluation: Runs, file: Path) -> None:
    """Write one CSV row an example: id, gold label, then each run's prediction and probabilities. Never text."""
    write_text(file.resolve(), csv_text(_prediction_rows(evaluation.runs)))


def _settings(evaluation: Evaluation[Any, Any]) -> dict[str, Any]:
    return {
        "split": evaluation.split,
        "dataset": evaluation.dataset,
        "resamples": evaluation.resamples,
        "permutations": PERMUTATIONS,
        "seed": evaluation.seed,
    }


def _run(run: EvaluatedRun) -> dict[str, Any]:
    return {
        "run": run.name,
        "path": str(run.path),
        "dataset": run.dataset or None,
        "n": run.n,
        "trained_on": None if run.trained_on is None else asdict(run.trained_on),
        "labels": list(run.predictions.labels),
        "metrics": {metric: asdict(estimate) for metric, estimate in run.metrics.items()},
        "classes": [asdict(label) for label in run.labels],
        "confusion": {name: counts.tolist() for name, counts in run.confusion.items()},
        "baseline": run.baseline,
    }


def _ranking(ranking: EvaluatedRanking) -> dict[str, Any]:
    fields: dict[str, Any] = {"run": ranking.name, "path": str(ranking.saved.path), "depth": ranking.saved.depth}
    for stage in STAGES:
        fields[stage] = dict.fromkeys(PROTOCOLS)
        for protocol, measures in ranking.stages[stage].items():
            values = {measure: asdict(estimate) for measure, estimate in measures.items()}
            fields[stage][protocol] = {**values, "n": ranking.n(protocol)}
    return fields


def _difference(difference: Estimate) -> dict[str, Any]:
    return {"value": difference.value, "interval": {"low": difference.low, "high": difference.high}}


def _predictions_compared(comparison: PredictionComparison) -> dict[str, Any]:
    differences = {metric: _difference(difference) for metric, difference in comparison.differences.items()}
    return {**asdict(comparison), "differences": differences}


def _rankings_compared(comparison: RankingComparison) -> dict[str, Any]:
    protocols: dict[str, Any] = dict.fromkeys(PROTOCOLS)
    for protocol, measures in comparison.measures.items():
        protocols[protocol] = {measure: _measure_compared(test) for measure, test in measures.items()}
    names = {"first": comparison.first, "second": comparison.second}
    return {**names, **protocols, "left_out": comparison.left_out or None}


def _measure_compared(test: MeasureComparison) -> dict[str, Any]:
    values = asdict(test)
    del values["difference"]
    return {"n": values.pop("n"), **_difference(test.difference), **values}


def _run_rows(run: EvaluatedRun) -> Iterator[list[object]]:
    """kind, label, metric, value, low, high."""
    for metric, estimate in run.metrics.items():
        yield ["metric", "", metric, *_cells(estimate)]
    for line in run.labels:
        for metric in LABEL_METRICS:
            yield ["class", line.label, metric, *_cells(getattr(line, metric))]
    labels, confusion = run.predictions.labels, run.confusion
    for gold, predicted in np.ndindex(confusion["counts"].shape):
        cell = [int(counts[gold, predicted]) for counts in confusion.values()]
        yield ["confusion", f"{labels[gold]}, {labels[predicted]}", "count", *cell]


def _comparison_rows(comparison: PredictionComparison) -> Iterator[list[object]]:
    """kind, label, metric, value, low, high."""
    for metric, difference in comparison.differences.items():
        yield ["difference", "", metric, *_cells(difference)]
    yield ["test", "", "mcnemar_p", comparison.mcnemar_p, "", ""]
    for metric, p_value in comparison.permutation_p.items():
        yield ["test", "", f"permutation_p_{metric}", p_value, "", ""]


def _ranking_rows(ranking: EvaluatedRanking) -> Iterator[list[object]]:
    """protocol, kind, metric, value, low, high, n."""
    for protocol in PROTOCOLS:
        for stage in STAGES:
            for measure, estimate in ranking.stages[stage].get(protocol, {}).items():
                yield [protocol, stage, measure, *_cells(estimate), ranking.n(protocol)]


def _test_rows(comparison: RankingComparison) -> Iterator[list[object]]:
    """protocol, kind, metric, value, low, high, n."""
    for protocol, measures in comparison.measures.items():
        for measure, test in measures.items():
            yield [protocol, "difference", measure, *_cells(test.difference), test.n]
        for measure, test in measures.items():
            for kind in TESTS:
                if (value := getattr(test, kind)) is not None:
                    yield [protocol, kind, measure, value, "", "", test.n]


def _cells(estimate: Estimate) -> list[float]:
    return [estimate.value, estimate.low, estimate.high]


def _prediction_rows(runs: Sequence[EvaluatedRun]) -> Iterator[list[object]]:
    header: list[object] = ["id", "gold"]
    for run in runs:
        prefix = f"{run.name}:" if len(runs) > 1 else ""
        header += [f"{prefix}prediction", *(f"{prefix}p_{label}" for label in run.predictions.labels)]
    yield header
    first = runs[0].predictions
    for row, identifier in enumerate(first.ids):
        cells: list[object] = [identifier, first.labels[first.gold[row]]]
        for run in runs:
            label = run.predictions.labels[run.predictions.predicted[row]]
            cells += [label, *run.predictions.probabilities[row].tolist()]
        yield cells
