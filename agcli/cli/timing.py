"""`ag timing`: what guiding costs in time and memory, beside plain fine-tuning and beside other recipes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agcli.cli import display
from agcli.cli.parameters import JsonOption, refuse, with_options
from agcli.config import RunConfig, make_config
from agcli.declare import declared_options, option
from agcli.errors import UsageError
from agcli.runs.paths import expanded
from agcli.timing.request import TIMING_OPTIONS, TimingOptions, TimingRequest, request_problems

if TYPE_CHECKING:
    from agcli.timing.measure import GroupTimes

RUN_OPTIONS = (
    *("dropout", "activation_checkpointing", "compile", "offline", "batch_size", "precision", "seed"),
    *("guide_layers", "guide_heads"),
)
"""Options of a run that a timing uses."""
_NOT_IN_PAPER = (
    "--paper: Table 4 has no such figure; it times bert, albert, roberta, biobert, clinicalbert, bluebert and scibert, "
    "without guides and with both, on multinli, mednli and cross-genre-ir."
)


@dataclass(frozen=True)
class ResultOptions(JsonOption):
    """What is shown and written."""

    paper: bool = option(False, "Show the paper's seconds an epoch (RTX 3090) beside.")
    output: Path | None = option(None, "Folder for CSV, JSON, environment and pictures; default: nothing is written.")


def _timing(*, given: dict[str, Any], run_options: dict[str, Any]) -> None:
    """Time training steps: each method in its own process, in turns, on the same batches.

    With neither --dataset nor --shape every row is exactly as long as --lengths says.
    """
    request = _request({name: value for name, value in given.items() if name in TIMING_OPTIONS}, run_options)
    _measure(request, ResultOptions(**{name: value for name, value in given.items() if name not in TIMING_OPTIONS}))


def _request(given: dict[str, Any], run_options: dict[str, Any]) -> TimingRequest:
    """The options as a request."""
    problems, config = [], RunConfig()
    try:
        config = make_config(run_options)
    except UsageError as error:
        problems.append(str(error))
    request = TimingRequest(**given, model=config.model, training=config.training, guides=config.guides)
    refuse([*problems, *request_problems(request)], "timing")
    return request


def _measure(request: TimingRequest, options: ResultOptions) -> None:
    """Measure; what is finished is shown and written, also where an error or a signal ends it early."""
    from agcli.cli.timing_display import TimingProgress
    from agcli.timing.measure import measure
    from agcli.timing.plan import plan_groups
    from agcli.timing.record import check_free

    output = None if options.output is None else expanded(options.output)
    if output is not None:
        check_free(output)
    groups = plan_groups(request)
    finished: list[GroupTimes] = []
    try:
        with TimingProgress() as progress:
            for times in measure(groups, progress):
                finished.append(times)
    finally:
        if finished:
            _present(request, finished, options, output)


def _present(request: TimingRequest, finished: list[GroupTimes], options: ResultOptions, output: Path | None) -> None:
    """Show and write what took minutes to measure; neither a closed pipe nor a full disk costs the other way."""
    from agcli.cli.timing_display import show_bars, show_rows
    from agcli.paper.published import epoch_seconds
    from agcli.timing.record import write_record
    from agcli.timing.rows import group_rows

    groups = [group_rows(times, epoch_seconds if options.paper else None) for times in finished]
    rows = [row for group in groups for row in group]
    try:
        if options.json:
            display.show_json([asdict(row) for row in rows])
        else:
            show_rows(groups)
            if options.paper and not any(row.paper_seconds for row in rows):
                display.warn(_NOT_IN_PAPER)
            show_bars(rows)
    finally:
        if output is not None:
            write_record(output, request, finished, rows)
            display.note(f"wrote {output}")
            _draw(output, [asdict(row) for row in rows])


def _draw(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Bars of step times; time and memory against length where there are two lengths."""
    from agcli.figures.scaling import scaling
    from agcli.figures.step_time import step_time_bars

    step_time_bars(rows, folder)
    if len({row["length"] for row in rows if row["step_seconds"] is not None}) > 1:
        scaling(rows, folder)


timing = with_options(
    _timing, declared_options({"Timing": TimingOptions, "Output": ResultOptions}), run_options=RUN_OPTIONS
)
