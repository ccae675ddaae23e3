"""`ag evaluate`: judge finished runs or rankings, with intervals, and compare them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from agcli.cli import display
from agcli.cli.evaluate_tables import ranking_tables, run_tables, show
from agcli.errors import UsageError, counted, did_you_mean

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
        _evaluate_rankings(runs, split, dataset, resamples, seed, csv=csv, json=json, markdown=markdown)
        return
    if strict_splits and dataset is None:
        raise UsageError("--strict-splits belongs to --dataset: `ag prepare` checks the splits that a run began with")
    from agcli.evaluate import report
    from agcli.evaluate.runs import evaluate_runs

    evaluation = evaluate_runs(
        runs,
        split=split,
        dataset=dataset,
        resamples=resamples,
        seed=seed,
        batch_size=BATCH_SIZE if batch_size is None else batch_size,
        offline=offline,
        strict_splits=strict_splits,
    )
    for warning in evaluation.notes:
        display.warn(warning)
    count = evaluation.runs[0].n
    if count < FEW_EXAMPLES:
        display.warn(f"{counted(count, 'example')}: intervals and p-values from so few say little")
    for file, write in ((csv, report.write_runs_csv), (predictions, report.write_predictions)):
        if file is not None:
            write(evaluation, file)
            display.note(f"wrote {file}")
    if json:
        display.show_json(report.runs_json(evaluation))
    else:
        show(run_tables(evaluation), markdown=markdown)


def _evaluate_rankings(
    runs: Sequence[Path],
    split: str | None,
    dataset: str | None,
    resamples: int,
    seed: int,
    *,
    csv: Path | None,
    json: bool,
    markdown: bool,
) -> None:
    from agcli.evaluate import report
    from agcli.evaluate.rankings import evaluate_rankings

    evaluation = evaluate_rankings(runs, split=split, dataset=dataset, resamples=resamples, seed=seed)
    if csv is not None:
        report.write_rankings_csv(evaluation, csv)
        display.note(f"wrote {csv}")
    if json:
        display.show_json(report.rankings_json(evaluation))
    else:
        show(ranking_tables(evaluation), markdown=markdown)


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
    from agcli.evaluate.inputs import open_all
    from agcli.evaluate.saved_rankings import is_ranking
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
