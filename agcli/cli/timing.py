"""`ag timing`: what guiding costs in time and memory, beside plain fine-tuning and beside others' recipes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agcli.cli import display
from agcli.config import RunConfig, make_config
from agcli.errors import UsageError
from agcli.options import OPTIONS, flag
from agcli.runs.home import expanded

if TYPE_CHECKING:
    from agcli.timing import TimingRequest, TimingRow
    from agcli.timing.measuring import GroupTimes

_TRAINING = "Training options"


def _shared(name: str) -> Any:
    """An option of a run, as `agcli.options` declares it; None where it was not chosen."""
    declared = OPTIONS[name]
    limits = declared.spec.allowed()
    text = declared.spec.help + ("" if limits == "any" else f" ({limits})")
    if declared.default is not None and declared.type is not bool:
        text += f" [default: {declared.default}]"
    return typer.Option(flag(name), help=text, show_default=False, rich_help_panel=_TRAINING)


def timing(
    models: Annotated[str, typer.Option(help="Encoders, comma-separated: names, hub ids or folders.")] = "minilm",
    variants: Annotated[str, typer.Option(help="Of our engine: none, mdg, pdg, both.")] = "none,both",
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
    steps: Annotated[int, typer.Option(help="Measured steps of each arm.")] = 40,
    rounds: Annotated[int, typer.Option(help="Turns in which they are done; an interval takes 3.")] = 5,
    warmup: Annotated[int, typer.Option(help="Steps before, not counted.")] = 3,
    epochs: Annotated[int | None, typer.Option(help="Measure whole epochs, in place of --steps.")] = None,
    random_weights: Annotated[
        bool, typer.Option("--random-weights", help="Random weights of the zoo's dimensions; no checkpoint is read.")
    ] = False,
    batch_size: Annotated[int | None, _shared("batch_size")] = None,
    precision: Annotated[str | None, _shared("precision")] = None,
    dropout: Annotated[float | None, _shared("dropout")] = None,
    activation_checkpointing: Annotated[bool | None, _shared("activation_checkpointing")] = None,
    compile: Annotated[bool | None, _shared("compile")] = None,
    seed: Annotated[int | None, _shared("seed")] = None,
    offline: Annotated[bool | None, _shared("offline")] = None,
    paper: Annotated[
        bool, typer.Option("--paper", help="Show the paper's seconds an epoch (RTX 3090) beside.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option(help="Folder for CSV, JSON, environment and pictures; default: nothing is written.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the rows as JSON.")] = False,
) -> None:
    """Time training steps: each arm in its own process, in turns, on the same batches.

    With neither --dataset nor --shape every row is exactly as long as --lengths says.
    """
    given = {
        "batch_size": batch_size,
        "precision": precision,
        "dropout": dropout,
        "activation_checkpointing": activation_checkpointing,
        "compile": compile,
        "seed": seed,
        "offline": offline,
    }
    asked = {
        "models": _words(models),
        "variants": _words(variants),
        "attention": _words(attention),
        "against": _words(against),
        "lengths": lengths,
        "dataset": dataset,
        "shape": shape,
        "padding": padding,
        "steps": steps,
        "rounds": rounds,
        "warmup": warmup,
        "epochs": epochs,
        "random_weights": random_weights,
    }
    request = _request({name: value for name, value in given.items() if value is not None}, asked)
    _measure(request, paper=paper, output=output, json=json)


_NOT_IN_PAPER = (
    "--paper: Table 4 has no such figure; it times bert, albert, roberta, biobert, clinicalbert, bluebert and scibert, "
    "without guides and with both, on multinli, mednli and cross-genre-ir."
)


def _words(text: str) -> tuple[str, ...]:
    """`a, b,a` -> (a, b)."""
    return tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def _request(given: dict[str, Any], asked: dict[str, Any]) -> TimingRequest:
    """The options as a request.

    Raises:
        UsageError: all problems at once.
    """
    from agcli.timing.plan import TimingRequest, request_problems

    problems: list[str] = []
    config = RunConfig()
    try:
        config = make_config(given)
    except UsageError as error:
        problems.append(str(error))
    words = _words(asked["lengths"])
    if not all(word.isdecimal() for word in words):
        problems.append(f"--lengths: {asked['lengths']!r} is no list of whole numbers, such as 64,128,256.")
        words = ("256",)
    asked = asked | {"lengths": tuple(int(word) for word in words)}
    request = TimingRequest(**asked, model=config.model, training=config.training)
    problems += request_problems(request)
    if problems:
        raise UsageError("\n".join(problems), hint="`ag timing --help` lists every option")
    return request


def _measure(request: TimingRequest, *, paper: bool, output: Path | None, json: bool) -> None:
    """Measure; what is finished is shown and written, also where an error or a signal ends it early."""
    from agcli.cli.timing_display import TimingProgress
    from agcli.timing import measure, plan_groups
    from agcli.timing.record import check_free

    if output is not None:
        output = expanded(output)
        check_free(output)
    groups = plan_groups(request)
    finished: list[GroupTimes] = []
    try:
        with TimingProgress() as watch:
            for times in measure(groups, watch):
                finished.append(times)
    finally:
        if finished:
            _present(request, finished, paper=paper, output=output, json=json)


def _present(
    request: TimingRequest, finished: list[GroupTimes], *, paper: bool, output: Path | None, json: bool
) -> None:
    """Show and write what took minutes to measure; neither a closed pipe nor a full disk costs the other way."""
    from agcli.timing import group_rows
    from agcli.timing.record import as_json, write_record

    groups = [group_rows(times, paper=paper) for times in finished]
    rows = [row for each in groups for row in each]
    try:
        _show(groups, paper=paper, json=json)
    finally:
        if output is not None:
            write_record(output, request, finished, rows)
            display.note(f"wrote {output}")
            _draw(output, as_json(rows))


def _show(groups: list[list[TimingRow]], *, paper: bool, json: bool) -> None:
    from agcli.cli.timing_display import show_bars, show_rows
    from agcli.timing.record import as_json

    rows = [row for each in groups for row in each]
    if json:
        display.show_json(as_json(rows))
        return
    show_rows(groups)
    if paper and not any(row.paper_seconds for row in rows):
        display.warn(_NOT_IN_PAPER)
    show_bars(rows)


def _draw(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Bars of step times; time and memory against length where there are two lengths."""
    from agcli import figures

    figures.step_time_bars(rows, folder)
    if len({row["length"] for row in rows if row["step_seconds"] is not None}) > 1:
        figures.scaling(rows, folder)
