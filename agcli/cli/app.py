"""The Typer application: joins the verbs, and is the one place that turns an error into an exit code."""

from __future__ import annotations

import errno
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from agcli import __version__
from agcli.cli import display
from agcli.cli.ablate import ablate
from agcli.cli.declared import PlainHelp
from agcli.cli.evaluate import evaluate
from agcli.cli.finetune import finetune
from agcli.cli.models import models
from agcli.cli.output import lost_output
from agcli.cli.prepare import prepare
from agcli.cli.rank import rank
from agcli.cli.timing import timing
from agcli.errors import AgError, RunError

_LEAVES_RESULTS = ("prepare", "finetune", "rank", "ablate")
"""Verbs whose results stand in a folder, whatever becomes of stdout."""

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_NO_RIGHT = (errno.EACCES, errno.EPERM, errno.EROFS)


class _Verbs(TyperGroup):
    """A command group that shows an `AgError` as a message and exits with its code."""

    kept = False
    """Whether a verb has ended whose results stand in a folder."""

    def main(self, *args: Any, **extra: Any) -> Any:
        try:
            return super().main(*args, **extra)
        except SystemExit as end:
            if not end.code and (failure := lost_output()) is not None:
                problem = f"stdout: {failure.strerror}: not all output could be written."
                if not self.kept:
                    display.show_error(RunError(problem))
                    raise SystemExit(RunError.exit_code) from failure
                display.warn(problem)
            raise

    def invoke(self, ctx: Any) -> Any:
        self.kept = False
        try:
            result = super().invoke(ctx)
        except AgError as error:
            display.show_error(error)
            raise typer.Exit(error.exit_code) from error
        except OSError as error:
            where = error.filename or "a file, of which the system gives no name"
            if error.errno in _NO_RIGHT:
                hint = "ask its owner for the right to it, or use another place"
                refused = RunError(f"{where}: {error.strerror}.", hint=hint)
            elif error.errno in _NO_SPACE:
                refused = RunError(f"cannot write {where}: {error.strerror}.", hint="free some space")
            else:
                raise
            display.show_error(refused)
            raise typer.Exit(RunError.exit_code) from error
        self.kept = ctx.invoked_subcommand in _LEAVES_RESULTS
        return result


app = typer.Typer(
    name="ag",
    cls=_Verbs,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_show_locals=False,
)


def _version(requested: bool) -> None:
    if requested:
        typer.echo(f"agcli {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Fine-tune encoders with attention guiding (MDG and PDG), and measure honestly whether it helps."""


for _verb in (evaluate, models, prepare, rank, finetune, timing, ablate):
    app.command(cls=PlainHelp)(_verb)
