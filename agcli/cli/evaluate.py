"""`ag evaluate`: metrics of finished runs or rankings, with intervals, and comparisons."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import typer

from agcli.cli import display
from agcli.cli.parameters import BootstrapOptions, JsonOption, refuse, with_options
from agcli.declare import declared_options, flag, option, out_of_range
from agcli.errors import UsageError, counted
from agcli.options import OPTIONS as RUN_OPTIONS
from agcli.tables.markdown import markdown
from agcli.tables.table import Table

T = TypeVar("T")
FEW_EXAMPLES = 30
"""Fewer examples than these get a warning."""


@dataclass(frozen=True)
class EvaluateOptions(BootstrapOptions, JsonOption):
    """One call of `ag evaluate`."""

    split: Literal["dev", "test"] | None = option(
        None, "Which split is evaluated.", default_text="test where there is one, else dev"
    )
    dataset: str | None = option(
        None,
        "Predict another prepared data set first: a name or a folder. Of rankings: the name of the data set that was "
        "ranked, where a run has ranked several.",
    )
    csv: Path | None = option(None, "Write the metrics to this CSV file.")
    predictions: Path | None = option(None, "Write each example's predictions (no text) to this CSV file.")
    markdown: bool = option(False, "Print the tables as Markdown.")
    batch_size: int = option(64, "Examples in a batch, with --dataset.", minimum=1)
    offline: bool = option(False, RUN_OPTIONS["offline"].spec.help)
    strict_splits: bool = option(False, "Rows of --dataset that a run was trained on: an error.")


OPTIONS = declared_options({"Options": EvaluateOptions})
_NOT_FOR_RANKINGS = {
    "predictions": "run.trec and per_query.csv in the folder of a ranking hold them",
    "batch_size": "nothing is predicted here; `ag rank` makes rankings",
    "offline": "rankings are read from the disk",
    "strict_splits": "`ag rank --strict-splits` checks the queries before it ranks them",
}


def _evaluate(
    given: dict[str, Any],
    *,
    runs: Annotated[
        list[Path],
        typer.Argument(help="Run folders, or folders of rankings; the first is what the others are compared with."),
    ],
) -> None:
    """Evaluate finished runs on one split, with 95 % intervals; compare two or more, paired by example.

    Rankings of `ag rank` are evaluated by their measures, and compared query by query.
    """
    _check(given, runs)
    options = EvaluateOptions(**given)
    if _are_rankings(runs):
        _refuse_for_rankings(given)
        _evaluate_rankings(runs, options)
    elif options.strict_splits and options.dataset is None:
        raise UsageError("--strict-splits belongs to --dataset: `ag prepare` checks the splits that a run began with")
    else:
        _evaluate_runs(runs, options)


def _evaluate_runs(runs: Sequence[Path], options: EvaluateOptions) -> None:
    from agcli.cli.evaluate_tables import run_tables
    from agcli.evaluate import report
    from agcli.evaluate.runs import evaluate_runs

    evaluation = evaluate_runs(
        runs,
        split=options.split,
        dataset=options.dataset,
        resamples=options.resamples,
        seed=options.seed,
        batch_size=options.batch_size,
        offline=options.offline,
        strict_splits=options.strict_splits,
    )
    for warning in evaluation.notes:
        display.warn(warning)
    count = evaluation.runs[0].n
    if count < FEW_EXAMPLES:
        display.warn(f"{counted(count, 'example')}: intervals and p-values from so few say little")
    _write(options.csv, evaluation, report.write_runs_csv)
    _write(options.predictions, evaluation, report.write_predictions)
    _show(options, report.runs_json(evaluation), run_tables(evaluation))


def _evaluate_rankings(runs: Sequence[Path], options: EvaluateOptions) -> None:
    from agcli.cli.evaluate_tables import ranking_tables
    from agcli.evaluate import report
    from agcli.evaluate.rankings import evaluate_rankings

    evaluation = evaluate_rankings(
        runs, split=options.split, dataset=options.dataset, resamples=options.resamples, seed=options.seed
    )
    _write(options.csv, evaluation, report.write_rankings_csv)
    _show(options, report.rankings_json(evaluation), ranking_tables(evaluation))


def _write(file: Path | None, evaluation: T, write: Callable[[T, Path], None]) -> None:
    if file is not None:
        write(evaluation, file)
        display.note(f"wrote {file}")


def _show(options: EvaluateOptions, values: dict[str, Any], tables: Iterable[Table]) -> None:
    if options.json:
        display.show_json(values)
    elif options.markdown:
        print("\n".join(map(markdown, tables)), end="")
    else:
        for table in tables:
            display.show(table)


def _check(given: dict[str, Any], runs: Sequence[Path]) -> None:
    """Refuse values out of range together, then options that exclude each other and files that cannot be written."""
    refuse(out_of_range(given, OPTIONS), "evaluate")
    if "json" in given and "markdown" in given:
        raise UsageError("--json and --markdown both print to stdout", hint="choose one of them")
    files = {name: given[name] for name in ("csv", "predictions") if name in given}
    for name, file in files.items():
        _check_target(flag(name), file, runs)
    if len({file.resolve() for file in files.values()}) < len(files):
        raise UsageError("--csv and --predictions name the same file", hint="give them different names")


def _check_target(option: str, file: Path, runs: Sequence[Path]) -> None:
    """Refuse a file that cannot be written, or that would change a finished run, before any work is done."""
    if not file.parent.is_dir() or (file.exists() and not file.is_file()):
        raise UsageError(f"{option}: {file} is not a file in an existing folder", hint="create its folder first")
    if any(file.resolve().is_relative_to(run.resolve()) for run in runs):
        raise UsageError(f"{option}: {file} lies in a finished run", hint="write it outside the run folders")


def _are_rankings(runs: Sequence[Path]) -> bool:
    """Whether all folders are rankings, or runs whose task is to rank; one kind at a time can be compared."""
    from agcli.evaluate.inputs import open_all
    from agcli.ranking.saved_rankings import is_ranking
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


def _refuse_for_rankings(given: dict[str, Any]) -> None:
    """Refuse together the given options that mean nothing for rankings, which are read and never made here."""
    refused = [
        f"{flag(name)} is not for rankings: {reason}." for name, reason in _NOT_FOR_RANKINGS.items() if name in given
    ]
    refuse(refused, "evaluate")


evaluate = with_options(_evaluate, OPTIONS)
