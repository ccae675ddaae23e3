"""Options on the command line, made from their one declaration (see `agcli.options.option`)."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer

from agcli.options import Declared, flag


def with_options(
    command: Callable[..., None], options: Mapping[str, Declared], *, negated: bool = False
) -> Callable[..., None]:
    """Give a command declared options beside its own parameters; the section of each is its panel of the help page.

    The command is called with `given`: the values that the user chose, by option name. Every option's own default is
    None, "not chosen", so that a config file or a recipe can speak where the user did not.

    Args:
        command: a function with a parameter `given`.
        options: by name.
        negated: whether a switch can also be turned off, by `--no-`.
    """
    signature = inspect.signature(command, eval_str=True)
    own = [parameter for parameter in signature.parameters.values() if parameter.name != "given"]

    def wrapper(**values: Any) -> None:
        given = {name: values.pop(name) for name in options}
        command(given={name: value for name, value in given.items() if value is not None}, **values)

    wrapper.__name__ = command.__name__
    wrapper.__doc__ = command.__doc__
    parameters = [*(_parameter(name, declared, negated) for name, declared in options.items()), *own]
    wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return wrapper


def _parameter(name: str, declared: Declared, negated: bool) -> inspect.Parameter:
    """One option as a Typer parameter; without a default it must be given.

    Its choices complete words in a shell; they are checked where the options become a request, with all other values.
    """
    spec = declared.spec
    words = [spec.flag or flag(name)]
    if declared.type is bool and negated:
        words = [f"{words[0]}/--no-{name.replace('_', '-')}"]

    def complete(incomplete: str) -> list[str]:
        return [choice for choice in spec.choices or () if choice.startswith(incomplete)]

    option = typer.Option(
        *words,
        help=_help(declared),
        show_default=False,
        rich_help_panel=declared.section,
        autocompletion=complete if spec.choices else None,
        readable=False,  # a file that may not be read is the reader's to report
    )
    kind = inspect.Parameter.KEYWORD_ONLY
    if declared.default is dataclasses.MISSING:
        return inspect.Parameter(name, kind, annotation=Annotated[declared.type, option])
    return inspect.Parameter(name, kind, default=None, annotation=Annotated[declared.type | None, option])


def _help(declared: Declared) -> str:
    """What the option does, its range and its default."""
    spec = declared.spec
    text = spec.help if spec.allowed() == "any" else f"{spec.help} ({spec.allowed()})"
    default = spec.default_text
    if default is None and declared.type is not bool and declared.default not in (None, "", dataclasses.MISSING):
        default = str(declared.default)
    return f"{text}  [default: {default}]" if default else text
