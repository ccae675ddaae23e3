"""Saved rankings evaluated under both protocols, and compared query by query."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agcli.errors import counted
from agcli.evaluate.inputs import Evaluation, aligned_all, different_splits, open_distinct
from agcli.measures.bootstrap import RESAMPLES, Estimate
from agcli.measures.paired_tests import MeasureComparison, compare_measures
from agcli.measures.ranking import (
    MEASURES,
    PROTOCOLS,
    Protocol,
    QueryMeasures,
    Stage,
    below_first_stage,
    measure_estimates,
)
from agcli.ranking.saved_rankings import SavedRanking, aligned_ranking, open_ranking
from agcli.tasks.training_overlap import overlap_warning

FIRST_STAGE = "first stage"


@dataclass(frozen=True, eq=False)
class EvaluatedRanking:
    """One ranking.

    Attributes:
        name: unique among the evaluated rankings.
        saved: its queries in the order of the first ranking.
        stages: of each protocol that counts a query, measure -> mean and interval.
    """

    name: str
    saved: SavedRanking
    stages: dict[Stage, dict[Protocol, dict[str, Estimate]]]

    def n(self, protocol: Protocol) -> int:
        """Number of queries that a protocol counts."""
        return len(self.saved.reranked.of(protocol))


@dataclass(frozen=True)
class RankingComparison:
    """Two rankings of the same queries.

    Attributes:
        measures: second minus first: protocol -> measure -> difference and tests.
        left_out: why `conditional` is not compared, or nothing.
    """

    first: str
    second: str
    measures: dict[Protocol, dict[str, MeasureComparison]]
    left_out: str


def evaluate_rankings(
    paths: Sequence[Path],
    *,
    split: str | None = None,
    dataset: str | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Evaluation[EvaluatedRanking, RankingComparison]:
    """Evaluate saved rankings and compare each with the first, a single one with its own first stage.

    Args:
        paths: folders of rankings, or of runs that have some.
        split: "dev" or "test"; by default test where there is one, else dev.
        dataset: name of the data set; needed where a run has ranked several.
        seed: of the bootstrap and of the randomisation test.

    Raises:
        UsageError: the same ranking twice, several that fit, or rankings of different splits.
        DataError: none that fits, or rankings that differ in data, queries or relevance judgments.
        RunError: a run that is not finished.
    """
    opened, names = open_distinct(paths, lambda path: open_ranking(path, split, dataset), "ranking")
    first = opened[0]
    splits = [saved.split for saved in opened]
    if len(set(splits)) > 1:
        raise different_splits("rankings are of", names, splits)
    rankings = [
        EvaluatedRanking(
            name,
            saved,
            {
                "first_stage": _by_protocol(saved.first_stage, resamples, seed),
                "reranked": _by_protocol(saved.reranked, resamples, seed),
            },
        )
        for name, saved in zip(names, aligned_all(opened, names, aligned_ranking), strict=True)
    ]
    sides = [(ranking.name, ranking.saved.reranked) for ranking in rankings]
    if len(sides) == 1:
        sides.insert(0, (FIRST_STAGE, first.first_stage))
    return Evaluation(
        split=first.split,
        dataset=first.dataset,
        resamples=resamples,
        seed=seed,
        runs=tuple(rankings),
        comparisons=tuple(_compared(*sides[0], *other, resamples, seed) for other in sides[1:]),
        notes=(*_notes(rankings), *_losses(rankings, resamples, seed)),
    )


def one_first_stage(rankings: Sequence[EvaluatedRanking]) -> bool:
    """Whether all rankings re-rank what scored the same on every query."""
    first = rankings[0].saved.first_stage
    others = [ranking.saved.first_stage for ranking in rankings[1:]]
    return all(
        np.array_equal(first.values, other.values) and np.array_equal(first.retrieved, other.retrieved)
        for other in others
    )


def _by_protocol(measures: QueryMeasures, resamples: int, seed: int) -> dict[Protocol, dict[str, Estimate]]:
    counting = [protocol for protocol in PROTOCOLS if len(measures.of(protocol))]
    return {protocol: measure_estimates(measures.of(protocol), resamples, seed) for protocol in counting}


def _compared(
    one: str, before: QueryMeasures, other: str, after: QueryMeasures, resamples: int, seed: int
) -> RankingComparison:
    """Compare under each protocol under which both count the same queries."""
    left_out = _why_not_conditional(one, before, other, after)
    measures: dict[Protocol, dict[str, MeasureComparison]] = {}
    for protocol in PROTOCOLS:
        if protocol == "conditional" and left_out:
            continue
        tests = compare_measures(before.of(protocol), after.of(protocol), resamples=resamples, seed=seed)
        measures[protocol] = dict(zip(MEASURES, tests, strict=True))
    return RankingComparison(one, other, measures, left_out)


def _why_not_conditional(one: str, before: QueryMeasures, other: str, after: QueryMeasures) -> str:
    """Why the conditional means of two rankings must not be subtracted; empty where they may."""
    if not (before.retrieved.any() and after.retrieved.any()):
        return "no query's relevant document is among the candidates"
    if (before.retrieved == after.retrieved).all():
        return ""
    return (
        f"{one} counts {counted(int(before.retrieved.sum()), 'query', 'queries')} and {other} {after.retrieved.sum()}, "
        f"{(before.retrieved & after.retrieved).sum()} of them the same: means over different queries do not compare"
    )


def _notes(rankings: Sequence[EvaluatedRanking]) -> Iterator[str]:
    """Different depths or first stages, too few queries, queries that a run was trained on."""
    if len({ranking.saved.depth for ranking in rankings}) > 1:
        depths = ", ".join(f"{ranking.name} {ranking.saved.depth}" for ranking in rankings)
        yield f"The depths differ: {depths} candidates a query."
    if not one_first_stage(rankings):
        yield (
            "The first stages differ, so that a difference between two rankings is one of whole pipelines, not of "
            "their models alone."
        )
    if not any(ranking.n("conditional") for ranking in rankings):
        yield "conditional: no query's relevant document is among the candidates, so that it counts none."
    if any(ranking.n(protocol) == 1 for ranking in rankings for protocol in PROTOCOLS):
        yield "One query alone: an interval of no width says nothing of other queries."
    for ranking in rankings:
        overlap = ranking.saved.trained_on
        if overlap is not None and overlap.shared:
            yield f"{overlap_warning(overlap, ranking.name, 'queries')}."


def _losses(rankings: Sequence[EvaluatedRanking], resamples: int, seed: int) -> Iterator[str]:
    """The re-rankers that are worse than what they re-rank."""
    name = MEASURES[0]
    for ranking in rankings:
        differences = ranking.saved.reranked.values - ranking.saved.first_stage.values
        difference = measure_estimates(differences, resamples, seed)[name]
        before, after = (ranking.stages[stage]["all"][name].value for stage in ("first_stage", "reranked"))
        if sentence := below_first_stage(ranking.name, name, before, after, difference.high):
            yield sentence
