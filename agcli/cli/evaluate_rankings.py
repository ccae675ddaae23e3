"""`ag evaluate` of rankings: its tables, its JSON and its file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from agcli.cli import display
from agcli.cli.evaluate_tables import show, with_interval
from agcli.cli.tables import Table

if TYPE_CHECKING:
    from agcli.evaluate.rankings import Averages, RankingEvaluation
    from agcli.measures.per_query import PairedDifference
    from agcli.measures.ranking import Protocol

WIDEST = 3
"""Columns of values that fit a terminal side by side; beyond them a value has a row of its own."""

_Side = tuple[str, "dict[Protocol, Averages]"]


def evaluate_rankings(
    runs: Sequence[Path],
    *,
    split: str | None,
    dataset: str | None,
    csv: Path | None,
    json: bool,
    markdown: bool,
    resamples: int,
    seed: int,
) -> None:
    """Judge and compare rankings, and show what was found; the options are those of `ag evaluate`."""
    from agcli.evaluate import ranking_report as report
    from agcli.evaluate.rankings import evaluate_rankings as judge

    found = judge(runs, split=split, dataset=dataset, resamples=resamples, seed=seed)
    if csv is not None:
        report.write_measures(found, csv)
        display.note(f"wrote {csv}")
    if json:
        display.show_json(report.as_json(found))
    else:
        names = [ranking.name for ranking in found.rankings]
        show([replace(table, names=names) for table in _tables(found)], markdown=markdown)


def _tables(found: RankingEvaluation) -> Iterator[Table]:
    """Of each protocol that counts a query its measures, then its tests; never two protocols in one table."""
    from agcli.measures.ranking import PROTOCOLS

    for protocol in PROTOCOLS:
        if any(protocol in ranking.reranked for ranking in found.rankings):
            yield _measures_table(found, protocol)
            yield from _tests_table(found, protocol)


def _measures_table(found: RankingEvaluation, protocol: Protocol) -> Table:
    """One row a measure and one column a ranking, or one row a measure and ranking where that is too wide."""
    from agcli.measures.ranking import MEASURES

    sides = list(_sides(found))
    title = f"{_heading(found, protocol)}: measures"
    caption = _all_caption(found) if protocol == "all" else _conditional_caption(found)
    if len(sides) > WIDEST:
        long = [[name, side, _cell(averages, protocol, name)] for name in (*MEASURES, "n") for side, averages in sides]
        return Table(title, ["measure", "ranking", "value"], long, caption)
    wide = [[name, *(_cell(averages, protocol, name) for _, averages in sides)] for name in (*MEASURES, "n")]
    return Table(title, ["measure", *(side for side, _ in sides)], wide, caption)


def _sides(found: RankingEvaluation) -> Iterator[_Side]:
    """What stands side by side: the first stage, once where it is one, then each ranking."""
    if found.one_first_stage:
        yield "first stage", found.rankings[0].first_stage
    for ranking in found.rankings:
        if not found.one_first_stage:
            yield f"first stage of {ranking.name}", ranking.first_stage
        yield ranking.name, ranking.reranked


def _cell(averages: dict[Protocol, Averages], protocol: Protocol, measure: str) -> str | None:
    """A mean with its interval, or the number of queries; nothing where the protocol counts none."""
    of = averages.get(protocol)
    if of is None:
        return None
    return str(of.n) if measure == "n" else with_interval(of.values[measure], of.intervals[measure])


def _heading(found: RankingEvaluation, protocol: Protocol) -> str:
    place = f"{found.dataset}, {found.split}"
    if protocol == "all":
        return f"{place}, all {found.queries} judged queries"
    return f"{place}, conditional"


def _all_caption(found: RankingEvaluation) -> str:
    caption = (
        "all: a query whose relevant documents were not retrieved scores 0. [low, high]: 95 % bootstrap over queries "
        f"({found.resamples} resamples, seed {found.seed}), with the models fixed. It does not cover the spread over "
        "seeds: a claim about guiding needs several seeds."
    )
    return " ".join([caption, *found.notes])


def _conditional_caption(found: RankingEvaluation) -> str:
    caption = (
        "conditional: only queries with a relevant document among the candidates; not to be set beside figures that "
        "count all queries."
    )
    reasons = [
        f"Not compared under conditional: {comparison.left_out}."
        for comparison in found.comparisons
        if comparison.left_out
    ]
    return " ".join([caption, *reasons])


def _tests_table(found: RankingEvaluation, protocol: Protocol) -> Iterator[Table]:
    """The paired tests of one protocol; none where nothing may be compared under it."""
    from agcli.measures.resampling import permutations_text
    from agcli.measures.seeds import p_text

    comparisons = [comparison for comparison in found.comparisons if protocol in comparison.differences]
    if not comparisons:
        return
    several = len(found.comparisons) > 1
    rows = [
        [
            *([comparison.second] if several else []),
            measure,
            with_interval(test.value, test.interval, "+"),
            p_text(test.t_p),
            p_text(test.randomisation_p),
            test.better,
            test.equal,
            test.worse,
        ]
        for comparison in comparisons
        for measure, test in comparison.differences[protocol].items()
    ]
    first = comparisons[0].first
    difference = f"difference from {first}" if several else "difference"
    columns = [
        *(["run"] if several else []),
        "measure",
        difference,
        "t p",
        "randomisation p",
        "better",
        "equal",
        "worse",
    ]
    against = f"differences from {first}" if several else f"{comparisons[0].second} − {first}"
    tests = [test for comparison in comparisons for test in comparison.differences[protocol].values()]
    drawn = permutations_text([test.exact for test in tests], found.seed)
    yield Table(f"{_heading(found, protocol)}: {against}", columns, rows, _tests_caption(tests, drawn))


def _tests_caption(tests: Sequence[PairedDifference], drawn: str) -> str:
    caption = (
        f"t p: paired t-test, the paper's; randomisation p: sign flips of the queries' differences ({drawn}); better, "
        "equal, worse: queries. Two-sided, for these fixed models, one seed each: it says nothing on other seeds. "
        f"The p-values are not corrected for the {len(tests)} comparisons."
    )
    if any(test.t_p is None for test in tests):
        caption += " -: no t-test, as one query, or differences without variance, give it nothing to work with."
    return caption
