"""The options of a run on the command line, made from their one declaration in `agcli.options`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated, Any

import typer

from agcli.config import RunConfig, make_config, read_config_file, recipe_values
from agcli.options import OPTIONS, SECTIONS, Declared, flag

_PANELS = {section: f"{section.capitalize()} options" for section in SECTIONS}


def with_run_options(command: Callable[..., None], without: Collection[str] = ()) -> Callable[..., None]:
    """Give a command the options of a run, all but those named `without`, beside its own parameters.

    The command is called with `given`: the values that the user chose, by option name. None means "not chosen", so
    that a config file or a recipe can speak where the user did not.
    """
    own = [
        parameter
        for parameter in inspect.signature(command, eval_str=True).parameters.values()
        if parameter.name != "given"
    ]

    chosen = {name: declared for name, declared in OPTIONS.items() if name not in without}

    def wrapper(**values: Any) -> None:
        given = {name: values.pop(name) for name in chosen}
        command(given={name: value for name, value in given.items() if value is not None}, **values)

    wrapper.__name__ = command.__name__
    wrapper.__doc__ = command.__doc__
    parameters = [*(_parameter(name, declared) for name, declared in chosen.items()), *own]
    wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return wrapper


def _parameter(name: str, declared: Declared) -> inspect.Parameter:
    """One option as a Typer parameter whose default is None: not chosen."""
    help_text = declared.spec.help
    limits = declared.spec.allowed()
    if limits != "any":
        help_text += f" ({limits})"
    if declared.default not in (None, "") and declared.type is not bool:
        help_text += f"  [default: {declared.spec.default_text or declared.default}]"
    words = [f"{flag(name)}/--no-{name.replace('_', '-')}"] if declared.type is bool else [flag(name)]
    option = typer.Option(*words, help=help_text, show_default=False, rich_help_panel=_PANELS[declared.section])
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[declared.type | None, option],
    )


def resolve(given: dict[str, Any], config_file: Path | None) -> RunConfig:
    """Defaults < the file's recipe < config file < the command line's recipe < command line.

    Raises:
        UsageError: all problems at once.
    """
    if config_file is None:
        return make_config(given)
    filed = read_config_file(config_file)
    for one, rival in (("train_limit", "train_fraction"), ("train_fraction", "train_limit")):
        if one in given and rival not in given:
            filed.pop(rival, None)
    values = {**filed, **given}
    # A run's own config.json names every option: a recipe asked for now must still be heard.
    chosen = {**filed, **recipe_values(given, values), **given}
    return make_config(chosen, origin=str(config_file), from_command_line=given)
