"""Tables of `ag evaluate`: metrics side by side, and paired tests, of runs and of rankings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from agcli.errors import counted
from agcli.evaluate.rankings import FIRST_STAGE, one_first_stage
from agcli.evaluate.report import Rankings, Runs
from agcli.evaluate.runs import EvaluatedRun
from agcli.measures.bootstrap import Estimate
from agcli.measures.paired_tests import MeasureComparison, permutations_text
from agcli.measures.ranking import MEASURES, PROTOCOLS, Protocol
from agcli.measures.seeds import p_text
from agcli.tables.table import Table, cell_text

_ECE = (
    "ece: 15 equal-width bins of confidence; too high where examples are few; its interval, less the bootstrap's bias "
    "and cut at 0, is the spread of this estimate and no interval of the true error."
)
_ALL = "all: a query whose relevant documents were not retrieved scores 0."
_CONDITIONAL = (
    "conditional: only queries with a relevant document among the candidates; not to be set beside figures that count "
    "all queries."
)
_Side = tuple[str, Mapping[str, object]]
"""A column's heading, and its cells by metric."""
WIDEST = 3
"""Rankings that fit a terminal side by side; beyond them a value has a row of its own."""


def with_interval(estimate: Estimate, sign: str = "") -> str:
    """`0.8123 [0.7900, 0.8340]`; with `sign` "+" positive numbers carry theirs."""
    return f"{estimate.value:{sign}.4f} [{estimate.low:{sign}.4f}, {estimate.high:{sign}.4f}]"


def interval_caption(unit: str, resamples: int, seed: int) -> str:
    """What `[low, high]` means, and what it does not cover."""
    return (
        f"[low, high]: 95 % bootstrap over {unit} ({resamples} resamples, seed {seed}), with the models fixed. It does "
        "not cover the spread over seeds: a claim about guiding needs several seeds."
    )


def run_tables(evaluation: Runs) -> list[Table]:
    """Metrics first; then, for one run, its classes and confusion, and for several the paired tests."""
    if len(evaluation.runs) > 1:
        names = [run.name for run in evaluation.runs]
        return [replace(table, names=names) for table in (_metrics_table(evaluation), _run_tests_table(evaluation))]
    [run] = evaluation.runs
    return [_metrics_table(evaluation), _labels_table(run), _confusion_table(run)]


def ranking_tables(evaluation: Rankings) -> Iterator[Table]:
    """Of each protocol that counts a query its measures, then its tests; never two protocols in one table."""
    names = [ranking.name for ranking in evaluation.runs]
    for protocol in PROTOCOLS:
        if any(ranking.n(protocol) for ranking in evaluation.runs):
            yield replace(_measures_table(evaluation, protocol), names=names)
            if any(protocol in comparison.measures for comparison in evaluation.comparisons):
                yield replace(_ranking_tests_table(evaluation, protocol), names=names)


def _metrics_table(evaluation: Runs) -> Table:
    """One row a metric and one column a run; beyond two runs, one row a metric and run, which fits a terminal."""
    first = evaluation.runs[0]
    place = f"{evaluation.dataset}, {evaluation.split}" if evaluation.dataset else evaluation.split
    title = f"Metrics on {place} ({counted(first.n, 'example')})"
    values: list[_Side] = [(run.name, _cells(run.metrics)) for run in evaluation.runs]
    differences = [_cells(comparison.differences, "+") for comparison in evaluation.comparisons]
    majority = _common_baseline(evaluation)
    caption = f"{interval_caption('examples', evaluation.resamples, evaluation.seed)} {_ECE}"
    if len(values) > 2:
        rows: list[list[object]] = []
        sides = list(zip(values, [{}, *differences], strict=True)) + [(side, {}) for side in majority]
        for metric in first.metrics:
            for (name, cells), difference in sides:
                if metric in cells:
                    rows.append([metric, name, cell_text(cells[metric]), difference.get(metric)])
        columns = ["metric", "run", "value", f"difference from {first.name}"]
        return Table(title, columns, rows, caption)
    wide = [*values, *(("difference", cells) for cells in differences), *majority]
    caption = (f"difference: {values[1][0]} − {first.name}. " if differences else "") + caption
    return Table(title, *_wide("metric", list(first.metrics), wide), caption)


def _wide(header: str, metrics: Sequence[str], sides: Sequence[_Side]) -> tuple[list[str], list[list[object]]]:
    """Columns and rows of a table with a row a metric and a column a side."""
    columns = [header, *(name for name, _ in sides)]
    return columns, [[metric, *(cells.get(metric) for _, cells in sides)] for metric in metrics]


def _cells(estimates: Mapping[str, Estimate], sign: str = "") -> dict[str, str]:
    return {name: with_interval(estimate, sign) for name, estimate in estimates.items()}


def _common_baseline(evaluation: Runs) -> list[_Side]:
    """The majority class's metrics, where all runs recorded the same ones."""
    first = evaluation.runs[0].baseline
    alike = all(run.baseline == first for run in evaluation.runs)
    return [("majority class", first)] if first is not None and alike else []


def _run_tests_table(evaluation: Runs) -> Table:
    first, *others = evaluation.runs
    columns = ["run", "only first right", "only it right", "McNemar p", "accuracy p", "f1_macro p"]
    rows = []
    for run, comparison in zip(others, evaluation.comparisons, strict=True):
        right = [comparison.only_first_right, comparison.only_second_right]
        p_values = [comparison.mcnemar_p, *(comparison.permutation_p[name] for name in ("accuracy", "f1_macro"))]
        rows.append([run.name, *right, *map(p_text, p_values)])
    drawn = permutations_text([comparison.exact for comparison in evaluation.comparisons], evaluation.seed)
    caption = (
        f"Exact McNemar test, and paired permutation tests of accuracy and f1_macro ({drawn}); two-sided, for these "
        "fixed models: one pair of runs says nothing on other seeds."
    )
    if len(rows) > 1:
        caption += f" The p-values are not corrected for the {len(rows)} comparisons."
    return Table(f"Paired tests against {first.name}", columns, rows, caption)


def _labels_table(run: EvaluatedRun) -> Table:
    rows = []
    for line in run.labels:
        estimates = (line.precision, line.recall, line.f1)
        rows.append([line.label, *map(with_interval, estimates), line.support])
    return Table("Per class", ["label", "precision", "recall", "f1", "support"], rows)


def _confusion_table(run: EvaluatedRun) -> Table:
    labels, confusion = run.predictions.labels, run.confusion
    rows = []
    for gold, label in enumerate(labels):
        cells = zip(confusion["counts"][gold], confusion["low"][gold], confusion["high"][gold], strict=True)
        rows.append([label, *(f"{count} [{low}, {high}]" for count, low, high in cells)])
    columns = ["gold \\ predicted", *labels]
    return Table("Confusion matrix", columns, rows, "Rows are gold labels, columns predicted ones.")


def _measures_table(evaluation: Rankings, protocol: Protocol) -> Table:
    """One row a measure and one column a ranking, or one row a measure and ranking where that is too wide."""
    title = f"{_heading(evaluation, protocol)}: measures"
    if protocol == "all":
        lines = [_ALL, interval_caption("queries", evaluation.resamples, evaluation.seed), *evaluation.notes]
    else:
        reasons = [comparison.left_out for comparison in evaluation.comparisons if comparison.left_out]
        lines = [_CONDITIONAL, *(f"Not compared under conditional: {reason}." for reason in reasons)]
    caption = " ".join(lines)
    sides = list(_stages(evaluation, protocol))
    if len(sides) <= WIDEST:
        return Table(title, *_wide("measure", (*MEASURES, "n"), sides), caption)
    rows = [[measure, name, cells.get(measure)] for measure in (*MEASURES, "n") for name, cells in sides]
    return Table(title, ["measure", "ranking", "value"], rows, caption)


def _stages(evaluation: Rankings, protocol: Protocol) -> Iterator[_Side]:
    """The first stage, once where it is one, then each ranking; no cell where the protocol counts no query."""
    common = one_first_stage(evaluation.runs)
    for index, ranking in enumerate(evaluation.runs):
        before, after = (ranking.stages[stage].get(protocol, {}) for stage in ("first_stage", "reranked"))
        n = {"n": str(ranking.n(protocol))} if after else {}
        if not common or index == 0:
            yield FIRST_STAGE if common else f"{FIRST_STAGE} of {ranking.name}", _cells(before) | n
        yield ranking.name, _cells(after) | n


def _heading(evaluation: Rankings, protocol: Protocol) -> str:
    which = f"all {evaluation.runs[0].n('all')} judged queries" if protocol == "all" else "conditional"
    return f"{evaluation.dataset}, {evaluation.split}, {which}"


def _ranking_tests_table(evaluation: Rankings, protocol: Protocol) -> Table:
    """The paired tests of one protocol."""
    comparisons = [comparison for comparison in evaluation.comparisons if protocol in comparison.measures]
    several = len(evaluation.comparisons) > 1
    rows, tests = [], []
    for comparison in comparisons:
        for measure, test in comparison.measures[protocol].items():
            p_values = [p_text(test.t_p), p_text(test.randomisation_p)]
            cells = [measure, with_interval(test.difference, "+"), *p_values, test.better, test.equal, test.worse]
            rows.append([comparison.second, *cells] if several else cells)
            tests.append(test)
    first, second = comparisons[0].first, comparisons[0].second
    columns = ["measure", "difference", "t p", "randomisation p", "better", "equal", "worse"]
    title = f"{second} − {first}"
    if several:
        title = f"differences from {first}"
        columns = ["run", "measure", f"difference from {first}", *columns[2:]]
    caption = _tests_caption(tests, permutations_text([test.exact for test in tests], evaluation.seed))
    return Table(f"{_heading(evaluation, protocol)}: {title}", columns, rows, caption)


def _tests_caption(tests: Sequence[MeasureComparison], drawn: str) -> str:
    caption = (
        f"t p: paired t-test, the paper's; randomisation p: sign flips of the queries' differences ({drawn}); better, "
        "equal, worse: queries. Two-sided, for these fixed models, one seed each: it says nothing on other seeds. "
        f"The p-values are not corrected for the {len(tests)} comparisons."
    )
    if any(test.t_p is None for test in tests):
        caption += " -: no t-test, as one query, or differences without variance, give it nothing to work with."
    return caption
