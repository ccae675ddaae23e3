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
    that a config file or a recipe decides where the user did not.
    """
    own = inspect.signature(command, eval_str=True).parameters
    parameters = [_parameter(name, declared) for name, declared in OPTIONS.items() if name not in without]
    parameters += [parameter for name, parameter in own.items() if name != "given"]

    def wrapper(**values: Any) -> None:
        given = {name: value for name, value in values.items() if name not in own and value is not None}
        command(given=given, **{name: value for name, value in values.items() if name in own})

    wrapper.__name__ = command.__name__
    wrapper.__doc__ = command.__doc__
    wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return wrapper


def _parameter(name: str, declared: Declared) -> inspect.Parameter:
    """One option as a Typer parameter whose default is None: not chosen.

    Its choices complete words in a shell; they are checked by `make_config`, together with all other values.
    """
    spec = declared.spec
    help_text = spec.help if spec.allowed() == "any" else f"{spec.help} ({spec.allowed()})"
    if declared.default not in (None, "") and declared.type is not bool:
        help_text += f"  [default: {spec.default_text or declared.default}]"
    words = [f"{flag(name)}/--no-{name.replace('_', '-')}"] if declared.type is bool else [flag(name)]

    def complete(incomplete: str) -> list[str]:
        return [choice for choice in spec.choices or () if choice.startswith(incomplete)]

    option = typer.Option(
        *words,
        help=help_text,
        show_default=False,
        rich_help_panel=_PANELS[declared.section],
        autocompletion=complete if spec.choices else None,
    )
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[declared.type | None, option]
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
