"""Which options a user gave on the command line, whatever their values."""

from __future__ import annotations

from collections.abc import Collection

import typer


def given_among(ctx: typer.Context, names: Collection[str]) -> list[str]:
    """Those of the named parameters that were given, as their first flag, in the order of the command."""
    return [
        parameter.opts[0]
        for parameter in ctx.command.params
        if parameter.name in names
        and (origin := ctx.get_parameter_source(str(parameter.name))) is not None
        and origin.name == "COMMANDLINE"
    ]
