"""`ag evaluate`: judge finished runs, with intervals, and compare them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agcli.commands import display
from agcli.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from agcli.evaluation import Evaluation, RunEvaluation
    from agcli.statistics import Interval

RESAMPLE_RANGE = (100, 100_000)


@dataclass(frozen=True)
class _Table:
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    caption: str = ""


def evaluate(
    runs: Annotated[list[Path], typer.Argument(help="Run folders; the first is what the others are compared with.")],
    split: Annotated[
        str | None, typer.Option(help="dev or test.", show_default="test where there is one, else dev")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Judge on another prepared data set: a name or a folder.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the metrics to this CSV file.")] = None,
    predictions: Annotated[
        Path | None, typer.Option(help="Write each example's predictions (no text) to this CSV file.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables as Markdown.")] = False,
    resamples: Annotated[int, typer.Option(help="Bootstrap resamples, 100 to 100000.")] = 2000,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap and of the permutation test.")] = 0,
    batch_size: Annotated[int, typer.Option(help="Examples a batch, with --dataset.")] = 64,
    offline: Annotated[bool, typer.Option("--offline", help="Never ask the hub, with --dataset.")] = False,
) -> None:
    """Judge finished runs on one split, with 95 % intervals; compare two or more, paired by example."""
    _check_ranges(split, resamples, seed, batch_size)
    if json and markdown:
        raise UsageError("--json and --markdown both print to stdout", hint="choose one of them")
    for option, file in (("--csv", csv), ("--predictions", predictions)):
        _check_target(option, file, runs)
    if csv is not None and predictions is not None and csv.resolve() == predictions.resolve():
        raise UsageError("--csv and --predictions name the same file", hint="give them different names")
    from agcli import evaluation as judge

    found = judge.evaluate_runs(
        runs,
        split=split,
        dataset=dataset,
        resamples=resamples,
        seed=seed,
        batch_size=batch_size,
        offline=offline,
    )
    for file, write in ((csv, judge.write_metrics), (predictions, judge.write_predictions)):
        if file is not None:
            write(found, file)
            display.note(f"wrote {file}")
    if json:
        display.show_json(judge.as_json(found))
    elif markdown:
        print("\n\n".join(_as_markdown(table) for table in _tables(found)))
    else:
        for table in _tables(found):
            display.show_table(table.title, table.columns, table.rows, table.caption)


def _check_ranges(split: str | None, resamples: int, seed: int, batch_size: int) -> None:
    """Report all options out of range together."""
    low, high = RESAMPLE_RANGE
    problems = []
    if split not in (None, "dev", "test"):
        problems.append(f"--split is dev or test, not {split!r}.{did_you_mean(str(split), ('dev', 'test'))}")
    if not low <= resamples <= high:
        problems.append(f"--resamples is {low} to {high}, not {resamples}.")
    if seed < 0:
        problems.append(f"--seed is 0 or more, not {seed}.")
    if batch_size < 1:
        problems.append(f"--batch-size is 1 or more, not {batch_size}.")
    if problems:
        raise UsageError(" ".join(problems))


def _check_target(option: str, file: Path | None, runs: Sequence[Path]) -> None:
    """Refuse a file that cannot be written, or that would change a finished run, before any work is done."""
    if file is None:
        return
    if not file.parent.is_dir() or (file.exists() and not file.is_file()):
        raise UsageError(f"{option}: {file} is not a file in an existing folder", hint="create its folder first")
    if any(file.resolve().is_relative_to(run.resolve()) for run in runs):
        raise UsageError(f"{option}: {file} lies in a finished run", hint="write it outside the run folders")


def _tables(found: Evaluation) -> list[_Table]:
    """Metrics first; then, for one run, its classes and confusion, and for several the paired tests."""
    if len(found.runs) > 1:
        return [_metrics_table(found), _tests_table(found)]
    return [_metrics_table(found), _classes_table(found.runs[0]), _confusion_table(found.runs[0])]


def _metrics_table(found: Evaluation) -> _Table:
    """One row a metric and one column a run; beyond two runs, one row a metric and run, which fits a terminal."""
    from agcli.metrics import METRICS

    first = found.runs[0]
    place = f"{found.dataset}, {found.split}" if found.dataset else found.split
    title = f"Metrics on {place} ({first.metrics['n']} examples)"
    if len(found.runs) > 2:
        columns = ["metric", "run", "value", f"difference from {first.name}"]
        rows = [row for metric in METRICS for row in _long_rows(found, metric)]
        return _Table(title, columns, rows, _interval_caption(found))
    columns = ["metric", *(run.name for run in found.runs), *("difference" for _ in found.comparisons)]
    rows = [[metric, *_values(found, metric), *_differences(found, metric)] for metric in METRICS]
    baseline = _common_baseline(found)
    if baseline is not None:
        columns.append("majority class")
        rows = [[*row, baseline.get(metric)] for row, metric in zip(rows, METRICS, strict=True)]
    caption = f"difference: {found.runs[1].name} − {first.name}. " if found.comparisons else ""
    return _Table(title, columns, rows, caption + _interval_caption(found))


def _long_rows(found: Evaluation, metric: str) -> list[list[object]]:
    names = [run.name for run in found.runs]
    differences = [None, *_differences(found, metric)]
    rows: list[list[object]] = [
        [metric, name, value, difference]
        for name, value, difference in zip(names, _values(found, metric), differences, strict=True)
    ]
    baseline = _common_baseline(found)
    if baseline is not None and metric in baseline:
        rows.append([metric, "majority class", display.cell_text(baseline[metric]), None])
    return rows


def _values(found: Evaluation, metric: str) -> list[str]:
    return [_with_interval(run.metrics[metric], run.intervals.metrics[metric]) for run in found.runs]


def _differences(found: Evaluation, metric: str) -> list[str]:
    differences = (comparison.differences[metric] for comparison in found.comparisons)
    return [_with_interval(difference.value, difference.interval, "+") for difference in differences]


def _common_baseline(found: Evaluation) -> dict[str, Any] | None:
    """The majority class's metrics, where all runs recorded the same ones."""
    first = found.runs[0].baseline
    return first if all(run.baseline == first for run in found.runs) else None


def _interval_caption(found: Evaluation) -> str:
    return (
        f"[low, high]: 95 % bootstrap over examples ({found.resamples} resamples, seed {found.seed}), with the "
        "models fixed. It does not cover the spread over seeds: a claim about guiding needs several seeds. "
        "ece: 15 equal-width bins of confidence."
    )


def _tests_table(found: Evaluation) -> _Table:
    first = found.runs[0].name
    columns = ["run", "only first right", "only it right", "McNemar p", "accuracy p", "f1_macro p"]
    rows = [
        [
            run.name,
            comparison.only_first_right,
            comparison.only_second_right,
            comparison.mcnemar_p,
            comparison.permutation_p["accuracy"],
            comparison.permutation_p["f1_macro"],
        ]
        for run, comparison in zip(found.runs[1:], found.comparisons, strict=True)
    ]
    caption = (
        "Exact McNemar test, and paired permutation tests of accuracy and f1_macro; two-sided, for these fixed "
        "models: one pair of runs says nothing on other seeds."
    )
    if len(rows) > 1:
        caption += f" The p-values are not corrected for the {len(rows)} comparisons."
    return _Table(f"Paired tests against {first}", columns, rows, caption)


def _classes_table(run: RunEvaluation) -> _Table:
    from agcli.metrics import per_class

    rows = [
        [
            row.label,
            *(_with_interval(getattr(row, name), interval) for name, interval in intervals.items()),
            row.support,
        ]
        for row, intervals in zip(per_class(run.predictions), run.intervals.classes, strict=True)
    ]
    return _Table("Per class", ["label", "precision", "recall", "f1", "support"], rows)


def _confusion_table(run: RunEvaluation) -> _Table:
    from agcli.metrics import confusion
    from agcli.statistics import confusion_interval

    counts = confusion(run.predictions)
    low, high = confusion_interval(counts)
    labels = run.predictions.labels
    rows = [
        [label, *(f"{counts[i, j]} [{low[i, j]}, {high[i, j]}]" for j in range(len(labels)))]
        for i, label in enumerate(labels)
    ]
    columns = ["gold \\ predicted", *labels]
    return _Table("Confusion matrix", columns, rows, "Rows are gold labels, columns predicted ones.")


def _with_interval(value: float, interval: Interval, sign: str = "") -> str:
    return f"{value:{sign}.4f} [{interval.low:{sign}.4f}, {interval.high:{sign}.4f}]"


def _as_markdown(table: _Table) -> str:
    lines = [_markdown_row(table.columns), _markdown_row(["---"] * len(table.columns))]
    lines += [_markdown_row([display.cell_text(cell) for cell in row]) for row in table.rows]
    body = "\n".join(lines)
    return f"### {table.title}\n\n{body}" + (f"\n\n{table.caption}" if table.caption else "")


def _markdown_row(cells: Sequence[str]) -> str:
    """One row of a Markdown table; a bar or a line break inside a cell must not end it."""
    escaped = (" ".join(cell.replace("\\", "\\\\").replace("|", "\\|").split()) for cell in cells)
    return f"| {' | '.join(escaped)} |"
