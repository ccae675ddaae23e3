"""The Typer application: joins the verbs, and is the one place that turns an error into an exit code."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from agcli import __version__
from agcli.commands import display, models
from agcli.commands.ablate import ablate
from agcli.commands.ablation_grids import NOT_HERE
from agcli.commands.evaluate import evaluate
from agcli.commands.finetune import finetune
from agcli.commands.prepare import prepare
from agcli.commands.rank import rank
from agcli.commands.run_options import with_run_options
from agcli.commands.timing import timing
from agcli.errors import AgError, RunError


class _Verbs(TyperGroup):
    """A command group that shows an `AgError` as a message and exits with its code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            result = super().invoke(ctx)
            if sys.stdout is not None:
                sys.stdout.flush()
            return result
        except AgError as error:
            display.show_error(error)
            raise typer.Exit(error.exit_code) from error
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            display.show_error(RunError(f"{error.strerror}: not all output could be written."))
            _drop_stdout()
            raise typer.Exit(RunError.exit_code) from error


def _drop_stdout() -> None:
    """What stdout still holds goes nowhere, lest the interpreter fail on it once more as it ends."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


app = typer.Typer(
    name="ag",
    cls=_Verbs,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_show_locals=False,
    help="Fine-tune encoders with attention guiding (MDG and PDG), and measure honestly whether it helps.",
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"agcli {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Fine-tune encoders with attention guiding (MDG and PDG), and measure honestly whether it helps."""


app.command()(evaluate)


app.command("models")(models.models)
app.command()(prepare)
app.command()(rank)
app.command()(with_run_options(finetune))
app.command()(timing)
app.command()(with_run_options(ablate, without=NOT_HERE))
