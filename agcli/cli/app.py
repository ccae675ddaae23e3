"""The Typer application: joins the verbs, and is the one place that turns an error into an exit code."""

from __future__ import annotations

import errno
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from agcli import __version__
from agcli.cli.output import lost_output
from agcli.errors import AgError, RunError

VERBS = {
    "evaluate": "Evaluate finished runs on one split, with 95 % intervals; compare two or more, paired by example.",
    "models": "List the known encoders and what is on this machine: bundled, cached or no. Asks no network.",
    "prepare": "Read pairs, or queries and documents, check them, and write them in the form that other commands read.",
    "rank": "Re-rank first-stage candidates: write TREC files and measures, beside those of the first stage.",
    "finetune": "Fine-tune an encoder with attention guiding: loss = task + Σ weight·guide.",
    "timing": "Time training steps: each method in its own process, in turns, on the same batches.",
    "ablate": "Run a grid of cells, each once, and report it with honest statistics.",
}
"""Verb -> summary, the first paragraph of its help page. A verb is imported, from the file of its name, on its use."""

_LEAVES_RESULTS = ("prepare", "finetune", "rank", "ablate")
"""Verbs whose results stand in a folder, whatever becomes of stdout."""

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_NO_RIGHT = (errno.EACCES, errno.EPERM, errno.EROFS)


def _show_error(error: AgError) -> None:
    from agcli.cli import display

    display.show_error(error)


class _Verbs(TyperGroup):
    """A command group that imports a verb on its use, shows an `AgError` as a message and exits with its code."""

    kept = False
    """Whether a verb has ended whose results stand in a folder."""

    def __init__(self, *args: Any, **extra: Any) -> None:
        super().__init__(*args, **extra)
        self.commands: Any = dict.fromkeys(VERBS)  # their names, for suggestions

    def list_commands(self, ctx: Any) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in VERBS:
            return None
        from agcli.cli.parameters import PlainHelp

        verb = typer.Typer(add_completion=False, rich_markup_mode=None)
        verb.command(cls=PlainHelp)(getattr(import_module(f"agcli.cli.{cmd_name}"), cmd_name))
        return typer.main.get_command(verb)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))

    def main(self, *args: Any, **extra: Any) -> Any:
        try:
            return super().main(*args, **extra)
        except SystemExit as end:
            if not end.code and (failure := lost_output()) is not None:
                problem = f"stdout: {failure.strerror}: not all output could be written."
                if not self.kept:
                    _show_error(RunError(problem))
                    raise SystemExit(RunError.exit_code) from failure
                from agcli.cli import display

                display.warn(problem)
            raise

    def invoke(self, ctx: Any) -> Any:
        self.kept = False
        try:
            result = super().invoke(ctx)
        except AgError as error:
            _show_error(error)
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
            _show_error(refused)
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
    """Fine-tune encoders with attention guiding, and measure honestly whether it helps."""
