"""The Typer application: joins the verbs, and is the one place that turns an error into an exit code."""

from __future__ import annotations

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
from agcli.errors import AgError


class _Verbs(TyperGroup):
    """A command group that shows an `AgError` as a message and exits with its code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except AgError as error:
            display.show_error(error)
            raise typer.Exit(error.exit_code) from error


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
