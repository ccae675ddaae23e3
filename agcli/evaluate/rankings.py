"""Saved rankings averaged under both protocols, and compared query by query."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agcli.errors import UsageError, counted
from agcli.evaluate.saved_rankings import SavedRanking, matched, open_ranking
from agcli.measures.per_query import PairedDifference, mean_intervals, paired_measures
from agcli.measures.ranking import MEASURES, PROTOCOLS, Protocol, QueryMeasures, below_first_stage
from agcli.measures.resampling import RESAMPLES, Interval
from agcli.runs.finished import open_all
from agcli.training.trained_on import overlap_warning

FIRST_STAGE = "first stage"


@dataclass(frozen=True)
class Averages:
    """Means over the queries that one protocol counts.

    Attributes:
        n: how many queries it counts.
        values: measure -> mean.
        intervals: measure -> its bootstrap interval over these queries.
    """

    n: int
    values: dict[str, float]
    intervals: dict[str, Interval]


@dataclass(frozen=True, eq=False)
class JudgedRanking:
    """One ranking. A protocol that counts no query of it is missing in `first_stage` and `reranked`.

    Attributes:
        name: its name in reports, unique among those judged.
        saved: what was read, its queries in the order of the first ranking.
        first_stage: averages of the candidates' first order, by protocol.
        reranked: averages of the model's order, by protocol.
    """

    name: str
    saved: SavedRanking
    first_stage: dict[Protocol, Averages]
    reranked: dict[Protocol, Averages]


@dataclass(frozen=True)
class RankingComparison:
    """Two rankings of the same queries.

    Attributes:
        first: name of the one.
        second: name of the other; differences are second minus first.
        differences: protocol -> measure -> difference and tests.
        left_out: why `conditional` is not compared, or nothing.
    """

    first: str
    second: str
    differences: dict[Protocol, dict[str, PairedDifference]]
    left_out: str


@dataclass(frozen=True, eq=False)
class RankingEvaluation:
    """Rankings of one split.

    Attributes:
        dataset: name of the data set.
        split: its split.
        queries: number of judged queries.
        resamples: bootstrap resamples.
        seed: seed of the bootstrap and of the randomisation test.
        rankings: in the order given.
        comparisons: each further ranking with the first; a single one with its own first stage.
        notes: what a reader of the numbers must know: different depths, different first stages, too few
            queries, claims that a run was trained on, a re-ranker below its first stage.
    """

    dataset: str
    split: str
    queries: int
    resamples: int
    seed: int
    rankings: tuple[JudgedRanking, ...]
    comparisons: tuple[RankingComparison, ...]
    notes: tuple[str, ...]

    @property
    def one_first_stage(self) -> bool:
        """Whether all rankings re-rank what scored the same on every query."""
        return _one_first_stage([ranking.saved for ranking in self.rankings])


def evaluate_rankings(
    paths: Sequence[Path],
    *,
    split: str | None = None,
    dataset: str | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> RankingEvaluation:
    """Judge saved rankings and compare each with the first.

    Args:
        paths: folders of rankings, or of runs that have some.
        split: "dev" or "test"; by default test where there is one, else dev.
        dataset: name of the data set; needed where a run has ranked several.
        resamples: bootstrap resamples.
        seed: seed of the bootstrap and of the randomisation test.

    Raises:
        UsageError: the same ranking twice, several that fit, or rankings of different splits.
        DataError: none that fits, or rankings that were not judged on the same data, queries and judgements.
        RunError: a run that is not finished.
    """
    opened = open_all(paths, lambda path: open_ranking(path, split, dataset))
    if len({saved.path.resolve() for saved in opened}) < len(opened):
        raise UsageError("the same ranking is given twice", hint="name each ranking once")
    names = _unique_names(opened)
    if len({saved.split for saved in opened}) > 1:
        listed = "; ".join(f"{name}: {saved.split}" for name, saved in zip(names, opened, strict=True))
        raise UsageError(f"the rankings are of different splits ({listed})", hint="choose one with --split dev")
    first, others = opened[0], list(zip(names[1:], opened[1:], strict=True))
    aligned = [first, *(matched(first, other, (names[0], name)) for name, other in others)]
    rankings = tuple(_judged(name, saved, resamples, seed) for name, saved in zip(names, aligned, strict=True))
    sides = [(name, saved.reranked) for name, saved in zip(names, aligned, strict=True)]
    if len(sides) == 1:
        sides.insert(0, (FIRST_STAGE, first.first_stage))
    return RankingEvaluation(
        dataset=first.dataset,
        split=first.split,
        queries=len(first.reranked.queries),
        resamples=resamples,
        seed=seed,
        rankings=rankings,
        comparisons=tuple(_compared(sides[0], other, resamples, seed) for other in sides[1:]),
        notes=(*_notes(rankings), *_losses(rankings, resamples, seed)),
    )


def _judged(name: str, saved: SavedRanking, resamples: int, seed: int) -> JudgedRanking:
    first_stage, reranked = (_averages(measures, resamples, seed) for measures in (saved.first_stage, saved.reranked))
    return JudgedRanking(name, saved, first_stage, reranked)


def _averages(measures: QueryMeasures, resamples: int, seed: int) -> dict[Protocol, Averages]:
    """Averages of each protocol that counts a query."""
    found: dict[Protocol, Averages] = {}
    for protocol in PROTOCOLS:
        rows = measures.of(protocol)
        if len(rows):
            means = measures.means(protocol)
            intervals = mean_intervals(rows, resamples=resamples, seed=seed)
            values = {measure: means[measure] for measure in MEASURES}
            found[protocol] = Averages(len(rows), values, dict(zip(MEASURES, intervals, strict=True)))
    return found


def _compared(
    first: tuple[str, QueryMeasures], second: tuple[str, QueryMeasures], resamples: int, seed: int
) -> RankingComparison:
    """Compare under each protocol under which both count the same queries."""
    (one, before), (other, after) = first, second
    left_out = _why_not_conditional(one, before, other, after)
    differences: dict[Protocol, dict[str, PairedDifference]] = {}
    for protocol in PROTOCOLS:
        if protocol == "conditional" and left_out:
            continue
        tests = paired_measures(before.of(protocol), after.of(protocol), resamples=resamples, seed=seed)
        differences[protocol] = dict(zip(MEASURES, tests, strict=True))
    return RankingComparison(one, other, differences, left_out)


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


def _unique_names(opened: Sequence[SavedRanking]) -> list[str]:
    """The rankings' names, or the paths that were given where two names are equal."""
    names = [saved.name for saved in opened]
    return names if len(set(names)) == len(names) else [str(saved.given) for saved in opened]


def _one_first_stage(opened: Sequence[SavedRanking]) -> bool:
    first = opened[0].first_stage
    return all(
        np.array_equal(first.values, saved.first_stage.values)
        and np.array_equal(first.retrieved, saved.first_stage.retrieved)
        for saved in opened[1:]
    )


def _losses(rankings: Sequence[JudgedRanking], resamples: int, seed: int) -> Iterator[str]:
    """The re-rankers that are worse than what they re-rank."""
    name = MEASURES[0]
    for ranking in rankings:
        first, second = (measures.of("all") for measures in (ranking.saved.first_stage, ranking.saved.reranked))
        interval = mean_intervals(second - first, resamples=resamples, seed=seed)[0]
        means = (ranking.first_stage["all"].values[name], ranking.reranked["all"].values[name])
        if sentence := below_first_stage(ranking.name, name, *means, interval.high):
            yield sentence


def _notes(rankings: Sequence[JudgedRanking]) -> list[str]:
    opened, notes = [ranking.saved for ranking in rankings], []
    if len({saved.depth for saved in opened}) > 1:
        depths = ", ".join(f"{ranking.name} {ranking.saved.depth}" for ranking in rankings)
        notes.append(f"The depths differ: {depths} candidates a query.")
    if not _one_first_stage(opened):
        notes.append(
            "The first stages differ, so that a difference between two rankings is one of whole pipelines, not of "
            "their models alone."
        )
    if not any(ranking.reranked.get("conditional") for ranking in rankings):
        notes.append("conditional: no query's relevant document is among the candidates, so that it counts none.")
    if any(averages.n == 1 for ranking in rankings for averages in ranking.reranked.values()):
        notes.append("One query alone: an interval of no width says nothing of other queries.")
    return notes + [
        f"{overlap_warning(ranking.saved.trained_on, ranking.name, 'claims')}."
        for ranking in rankings
        if ranking.saved.trained_on is not None and ranking.saved.trained_on.shared
    ]
