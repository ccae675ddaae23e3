"""`ag evaluate`: judge finished runs or rankings, with intervals, and compare them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agcli.cli import display
from agcli.cli.evaluate_rankings import evaluate_rankings
from agcli.cli.evaluate_tables import show, with_interval
from agcli.cli.tables import Table, cell_text
from agcli.errors import UsageError, counted, did_you_mean

if TYPE_CHECKING:
    from agcli.evaluate.runs import Evaluation, RunEvaluation

RESAMPLE_RANGE = (100, 100_000)
BATCH_SIZE = 64
FEW_EXAMPLES = 30
"""Fewer judged examples than these get a warning."""


def evaluate(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Run folders, or folders of rankings; the first is what the others are compared with."),
    ],
    split: Annotated[
        str | None, typer.Option(help="dev or test.", show_default="test where there is one, else dev")
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="Judge on another prepared data set: a name or a folder. Of rankings: the name of the data set that "
            "was ranked, where a run has ranked several."
        ),
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the metrics to this CSV file.")] = None,
    predictions: Annotated[
        Path | None, typer.Option(help="Write each example's predictions (no text) to this CSV file.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables as Markdown.")] = False,
    resamples: Annotated[int, typer.Option(help="Bootstrap resamples, 100 to 100000.")] = 2000,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap and of the permutation tests.")] = 0,
    batch_size: Annotated[
        int | None, typer.Option(help="Examples a batch, with --dataset.", show_default=str(BATCH_SIZE))
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Never ask the hub, with --dataset.")] = False,
    strict_splits: Annotated[
        bool, typer.Option("--strict-splits", help="Rows of --dataset that a run was trained on: an error.")
    ] = False,
) -> None:
    """Judge finished runs on one split, with 95 % intervals; compare two or more, paired by example.

    Rankings of `ag rank` are judged by their measures, and compared query by query.
    """
    _check_ranges(split, resamples, seed, batch_size)
    if json and markdown:
        raise UsageError("--json and --markdown both print to stdout", hint="choose one of them")
    for option, file in (("--csv", csv), ("--predictions", predictions)):
        _check_target(option, file, runs)
    if csv is not None and predictions is not None and csv.resolve() == predictions.resolve():
        raise UsageError("--csv and --predictions name the same file", hint="give them different names")
    if _are_rankings(runs):
        _refuse_for_rankings(predictions, batch_size, offline, strict_splits)
        evaluate_rankings(
            runs,
            split=split,
            dataset=dataset,
            csv=csv,
            json=json,
            markdown=markdown,
            resamples=resamples,
            seed=seed,
        )
        return
    if strict_splits and dataset is None:
        raise UsageError("--strict-splits belongs to --dataset: `ag prepare` checks the splits that a run began with")
    from agcli.evaluate import runs as judge

    found = judge.evaluate_runs(
        runs,
        split=split,
        dataset=dataset,
        resamples=resamples,
        seed=seed,
        batch_size=BATCH_SIZE if batch_size is None else batch_size,
        offline=offline,
        strict_splits=strict_splits,
    )
    for warning in (*found.warnings, *_of_few_examples(found)):
        display.warn(warning)
    for file, write in ((csv, judge.write_metrics), (predictions, judge.write_predictions)):
        if file is not None:
            write(found, file)
            display.note(f"wrote {file}")
    if json:
        display.show_json(judge.as_json(found))
    else:
        show(_tables(found), markdown=markdown)


def _of_few_examples(found: Evaluation) -> list[str]:
    """What to say beside numbers from so few examples that the bootstrap's spread is no guide to theirs."""
    count = int(found.runs[0].metrics["n"])
    say = "intervals and p-values from so few say little"
    return [f"{counted(count, 'example')}: {say}"] if count < FEW_EXAMPLES else []


def _check_ranges(split: str | None, resamples: int, seed: int, batch_size: int | None) -> None:
    """Report all options out of range together."""
    low, high = RESAMPLE_RANGE
    problems = []
    if split not in (None, "dev", "test"):
        problems.append(f"--split is dev or test, not {split!r}.{did_you_mean(str(split), ('dev', 'test'))}")
    if not low <= resamples <= high:
        problems.append(f"--resamples is {low} to {high}, not {resamples}.")
    if seed < 0:
        problems.append(f"--seed is 0 or more, not {seed}.")
    if batch_size is not None and batch_size < 1:
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


def _are_rankings(runs: Sequence[Path]) -> bool:
    """Whether all folders are rankings, or runs whose task is to rank; one kind at a time can be compared."""
    from agcli.evaluate.saved_rankings import is_ranking
    from agcli.runs.finished import open_all
    from agcli.runs.folder import open_run

    kinds = [is_ranking(run) for run in runs]
    if any(kinds) and not all(kinds):
        others = [run for run, ranks in zip(runs, kinds, strict=True) if not ranks]
        open_all(others, open_run)  # what is nothing at all has an error of its own
        raise UsageError(
            f"rankings cannot be compared with runs that classify ({', '.join(map(str, others))})",
            hint="evaluate the two kinds one after the other",
        )
    return all(kinds)


def _refuse_for_rankings(predictions: Path | None, batch_size: int | None, offline: bool, strict_splits: bool) -> None:
    """Say together which of the given options mean nothing for rankings, which are read and never made here."""
    reasons = {
        "--predictions": (predictions is not None, "run.trec and per_query.csv in the folder of a ranking hold them"),
        "--batch-size": (batch_size is not None, "nothing is predicted here; `ag rank` makes rankings"),
        "--offline": (offline, "the hub is never asked for rankings"),
        "--strict-splits": (strict_splits, "`ag rank --strict-splits` looks at the claims before it ranks them"),
    }
    refused = [f"{option} is not for rankings: {reason}." for option, (given, reason) in reasons.items() if given]
    if refused:
        raise UsageError(" ".join(refused))


def _tables(found: Evaluation) -> list[Table]:
    """Metrics first; then, for one run, its classes and confusion, and for several the paired tests."""
    if len(found.runs) > 1:
        names = [run.name for run in found.runs]
        return [replace(table, names=names) for table in (_metrics_table(found), _tests_table(found))]
    return [_metrics_table(found), _classes_table(found.runs[0]), _confusion_table(found.runs[0])]


def _metrics_table(found: Evaluation) -> Table:
    """One row a metric and one column a run; beyond two runs, one row a metric and run, which fits a terminal."""
    from agcli.measures.classification import METRICS

    first = found.runs[0]
    place = f"{found.dataset}, {found.split}" if found.dataset else found.split
    title = f"Metrics on {place} ({counted(int(first.metrics['n']), 'example')})"
    if len(found.runs) > 2:
        columns = ["metric", "run", "value", f"difference from {first.name}"]
        rows = [row for metric in METRICS for row in _long_rows(found, metric)]
        return Table(title, columns, rows, _interval_caption(found))
    columns = ["metric", *(run.name for run in found.runs), *("difference" for _ in found.comparisons)]
    rows = [[metric, *_values(found, metric), *_differences(found, metric)] for metric in METRICS]
    baseline = _common_baseline(found)
    if baseline is not None:
        columns.append("majority class")
        rows = [[*row, baseline.get(metric)] for row, metric in zip(rows, METRICS, strict=True)]
    caption = f"difference: {found.runs[1].name} − {first.name}. " if found.comparisons else ""
    return Table(title, columns, rows, caption + _interval_caption(found))


def _long_rows(found: Evaluation, metric: str) -> list[list[object]]:
    names = [run.name for run in found.runs]
    differences = [None, *_differences(found, metric)]
    rows: list[list[object]] = [
        [metric, name, value, difference]
        for name, value, difference in zip(names, _values(found, metric), differences, strict=True)
    ]
    baseline = _common_baseline(found)
    if baseline is not None and metric in baseline:
        rows.append([metric, "majority class", cell_text(baseline[metric]), None])
    return rows


def _values(found: Evaluation, metric: str) -> list[str]:
    return [with_interval(run.metrics[metric], run.intervals.metrics[metric]) for run in found.runs]


def _differences(found: Evaluation, metric: str) -> list[str]:
    differences = (comparison.differences[metric] for comparison in found.comparisons)
    return [with_interval(difference.value, difference.interval, "+") for difference in differences]


def _common_baseline(found: Evaluation) -> dict[str, Any] | None:
    """The majority class's metrics, where all runs recorded the same ones."""
    first = found.runs[0].baseline
    return first if all(run.baseline == first for run in found.runs) else None


def _interval_caption(found: Evaluation) -> str:
    return (
        f"[low, high]: 95 % bootstrap over examples ({found.resamples} resamples, seed {found.seed}), with the "
        "models fixed. It does not cover the spread over seeds: a claim about guiding needs several seeds. "
        "ece: 15 equal-width bins of confidence; too high where examples are few; its interval, less the bootstrap's "
        "bias and cut at 0, is the spread of this estimate and no interval of the true error."
    )


def _tests_table(found: Evaluation) -> Table:
    from agcli.measures.resampling import permutations_text
    from agcli.measures.seeds import p_text

    first = found.runs[0].name
    columns = ["run", "only first right", "only it right", "McNemar p", "accuracy p", "f1_macro p"]
    rows = [
        [
            run.name,
            comparison.only_first_right,
            comparison.only_second_right,
            p_text(comparison.mcnemar_p),
            p_text(comparison.permutation_p["accuracy"]),
            p_text(comparison.permutation_p["f1_macro"]),
        ]
        for run, comparison in zip(found.runs[1:], found.comparisons, strict=True)
    ]
    drawn = permutations_text([comparison.exact for comparison in found.comparisons], found.seed)
    caption = (
        f"Exact McNemar test, and paired permutation tests of accuracy and f1_macro ({drawn}); two-sided, for these "
        "fixed models: one pair of runs says nothing on other seeds."
    )
    if len(rows) > 1:
        caption += f" The p-values are not corrected for the {len(rows)} comparisons."
    return Table(f"Paired tests against {first}", columns, rows, caption)


def _classes_table(run: RunEvaluation) -> Table:
    from agcli.measures.classification import per_class

    rows = [
        [
            row.label,
            *(with_interval(getattr(row, name), interval) for name, interval in intervals.items()),
            row.support,
        ]
        for row, intervals in zip(per_class(run.predictions), run.intervals.classes, strict=True)
    ]
    return Table("Per class", ["label", "precision", "recall", "f1", "support"], rows)


def _confusion_table(run: RunEvaluation) -> Table:
    from agcli.measures.bootstrap import confusion_interval
    from agcli.measures.classification import confusion

    counts = confusion(run.predictions)
    low, high = confusion_interval(counts)
    labels = run.predictions.labels
    rows = [
        [label, *(f"{counts[i, j]} [{low[i, j]}, {high[i, j]}]" for j in range(len(labels)))]
        for i, label in enumerate(labels)
    ]
    columns = ["gold \\ predicted", *labels]
    return Table("Confusion matrix", columns, rows, "Rows are gold labels, columns predicted ones.")
