"""`ag timing`: what guiding costs in time and memory, beside plain fine-tuning and beside other recipes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agcli.cli import display
from agcli.config import RunConfig, make_config
from agcli.errors import UsageError
from agcli.guides.registry import variants as all_variants
from agcli.options import OPTIONS
from agcli.runs.home import expanded

if TYPE_CHECKING:
    from agcli.timing.measure import GroupTimes
    from agcli.timing.plan import TimingRequest
    from agcli.timing.rows import TimingRow

RUN_OPTIONS = ("batch_size", "precision", "dropout", "activation_checkpointing", "compile", "seed", "offline")
"""Options of a run that a timing heeds."""


def timing(
    *,
    given: dict[str, Any],
    models: Annotated[str, typer.Option(help="Encoders, comma-separated: names, hub ids or folders.")] = "minilm",
    variants: Annotated[str, typer.Option(help=f"Of our engine: {', '.join(all_variants())}.")] = "none,both",
    attention: Annotated[
        str, typer.Option(help=f"For the guided variants, comma-separated: {OPTIONS['attention'].spec.allowed()}.")
    ] = "auto",
    against: Annotated[
        str,
        typer.Option(
            help="Also time others: authors, hf-trainer, hf-guided (maps kept); our engine on HF's eager, sdpa."
        ),
    ] = "",
    dataset: Annotated[
        str | None, typer.Option(help="Prepared data: a folder, a name under ./data, `sample` or `sample-hard`.")
    ] = None,
    shape: Annotated[str | None, typer.Option(help="Lengths as in mednli or multinli, without the data.")] = None,
    lengths: Annotated[str, typer.Option(help="Longest input in tokens, comma-separated.")] = "256",
    padding: Annotated[str, typer.Option(help="dynamic: to the longest of a batch; max: to --lengths.")] = "dynamic",
    steps: Annotated[int, typer.Option(help="Measured steps of each method.")] = 40,
    rounds: Annotated[int, typer.Option(help="Turns in which they are done; an interval takes 3.")] = 5,
    warmup: Annotated[int, typer.Option(help="Steps before, not counted.")] = 3,
    epochs: Annotated[int | None, typer.Option(help="Measure whole epochs, in place of --steps.")] = None,
    random_weights: Annotated[
        bool, typer.Option("--random-weights", help="Random weights of the zoo's dimensions; no checkpoint is read.")
    ] = False,
    paper: Annotated[
        bool, typer.Option("--paper", help="Show the paper's seconds an epoch (RTX 3090) beside.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option(help="Folder for CSV, JSON, environment and pictures; default: nothing is written.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the rows as JSON.")] = False,
) -> None:
    """Time training steps: each method in its own process, in turns, on the same batches.

    With neither --dataset nor --shape every row is exactly as long as --lengths says.
    """
    own = {
        "models": _words(models),
        "variants": _words(variants),
        "attention": _words(attention),
        "against": _words(against),
        "dataset": dataset,
        "shape": shape,
        "padding": padding,
        "steps": steps,
        "rounds": rounds,
        "warmup": warmup,
        "epochs": epochs,
        "random_weights": random_weights,
    }
    _measure(_request(given, own, lengths), paper=paper, output=output, json=json)


_NOT_IN_PAPER = (
    "--paper: Table 4 has no such figure; it times bert, albert, roberta, biobert, clinicalbert, bluebert and scibert, "
    "without guides and with both, on multinli, mednli and cross-genre-ir."
)


def _words(text: str) -> tuple[str, ...]:
    """`a, b,a` -> (a, b)."""
    return tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def _request(given: Mapping[str, Any], own: Mapping[str, Any], lengths: str) -> TimingRequest:
    """The options as a request.

    Raises:
        UsageError: all problems at once.
    """
    from agcli.timing.plan import DEFAULT_LENGTH, TimingRequest, request_problems

    problems: list[str] = []
    config = RunConfig()
    try:
        config = make_config(given)
    except UsageError as error:
        problems.append(str(error))
    words = _words(lengths)
    numbers = tuple(int(word) for word in words if word.isdecimal())
    if len(numbers) < len(words):
        problems.append(f"--lengths: {lengths!r} is no list of whole numbers, such as 64,128,256.")
        numbers = (DEFAULT_LENGTH,)
    request = TimingRequest(**own, lengths=numbers, model=config.model, training=config.training)
    problems += request_problems(request)
    if problems:
        raise UsageError("\n".join(problems), hint="`ag timing --help` lists every option")
    return request


def _measure(request: TimingRequest, *, paper: bool, output: Path | None, json: bool) -> None:
    """Measure; what is finished is shown and written, also where an error or a signal ends it early."""
    from agcli.cli.timing_display import TimingProgress
    from agcli.timing.measure import measure
    from agcli.timing.plan import plan_groups
    from agcli.timing.record import check_free

    if output is not None:
        output = expanded(output)
        check_free(output)
    groups = plan_groups(request)
    finished: list[GroupTimes] = []
    try:
        with TimingProgress() as progress:
            for times in measure(groups, progress):
                finished.append(times)
    finally:
        if finished:
            _present(request, finished, paper=paper, output=output, json=json)


def _present(
    request: TimingRequest, finished: list[GroupTimes], *, paper: bool, output: Path | None, json: bool
) -> None:
    """Show and write what took minutes to measure; neither a closed pipe nor a full disk costs the other way."""
    from agcli.paper.published import epoch_seconds
    from agcli.timing.record import write_record
    from agcli.timing.rows import group_rows

    groups = [group_rows(times, epoch_seconds if paper else None) for times in finished]
    rows = [row for group in groups for row in group]
    try:
        if json:
            display.show_json([asdict(row) for row in rows])
        else:
            _show(groups, paper=paper)
    finally:
        if output is not None:
            write_record(output, request, finished, rows)
            display.note(f"wrote {output}")
            _draw(output, [asdict(row) for row in rows])


def _show(groups: list[list[TimingRow]], *, paper: bool) -> None:
    from agcli.cli.timing_display import show_bars, show_rows

    rows = [row for group in groups for row in group]
    show_rows(groups)
    if paper and not any(row.paper_seconds for row in rows):
        display.warn(_NOT_IN_PAPER)
    show_bars(rows)


def _draw(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Bars of step times; time and memory against length where there are two lengths."""
    from agcli.figures.scaling import scaling
    from agcli.figures.step_time import step_time_bars

    step_time_bars(rows, folder)
    if len({row["length"] for row in rows if row["step_seconds"] is not None}) > 1:
        scaling(rows, folder)


WITHHELD = tuple(name for name in OPTIONS if name not in RUN_OPTIONS)
