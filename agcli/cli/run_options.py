"""The options of a run on the command line, made from their one declaration in `agcli.options`."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from agcli.cli.declared import with_options
from agcli.config import RunConfig, make_config, read_config_file, recipe_values
from agcli.options import OPTIONS


def with_run_options(command: Callable[..., None], without: Collection[str] = ()) -> Callable[..., None]:
    """Give a command the options of a run, all but those named `without`; see `with_options`."""
    chosen = {
        name: replace(declared, section=f"{declared.section.capitalize()} options")
        for name, declared in OPTIONS.items()
        if name not in without
    }
    return with_options(command, chosen, negated=True)


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
