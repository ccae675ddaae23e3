"""Options on the command line, made from their one declaration (see `agcli.declare.option`), and their help page."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from agcli.config import read_config_file
from agcli.declare import Declared, flag, option
from agcli.errors import UsageError
from agcli.guides.spec import guide_values, parse_guides
from agcli.options import OPTIONS


@dataclasses.dataclass(frozen=True)
class JsonOption:
    """Of commands that print results."""

    json: bool = option(False, "Print the results as JSON.")


@dataclasses.dataclass(frozen=True)
class PlanOptions:
    """Of commands that train."""

    config: Path | None = option(None, "Options from a JSON or TOML file, such as a run's config.json.")
    dry_run: bool = option(False, "Print the plan, and stop.")


@dataclasses.dataclass(frozen=True)
class OverwriteOption:
    """Of commands that fill one folder."""

    overwrite: bool = option(False, "Replace earlier results in that folder.")


@dataclasses.dataclass(frozen=True)
class BootstrapOptions:
    """How intervals are drawn."""

    resamples: int = option(2000, "Bootstrap resamples.", minimum=100, maximum=100_000)
    seed: int = option(0, "Seed of the bootstrap and of the permutation tests.", minimum=0)


def with_options(
    command: Callable[..., None], options: Mapping[str, Declared], run_options: Collection[str] = ()
) -> Callable[..., None]:
    """Give a command declared options beside its arguments; the section of each is its panel of the help page.

    The command is called with `given`: the values that the user chose, by option name; and where it has options of a
    run, with `run_options`: likewise. Every option's own default is None, "not chosen", so that a config file or a
    recipe can speak where the user did not. A tuple is written with commas, or as the option again and again.

    Args:
        run_options: names of options of a run; one that the command declares itself is not meant. Their switches can
            be turned off by `--no-`, as a config file may have turned them on.
    """
    signature = inspect.signature(command, eval_str=True)
    arguments = [item for item in signature.parameters.values() if item.name not in ("given", "run_options")]
    of_run = {
        name: dataclasses.replace(OPTIONS[name], section=f"{OPTIONS[name].section.capitalize()} options")
        for name in run_options
        if name not in options
    }

    def wrapper(**values: Any) -> None:
        chosen = {name: value for name, value in values.items() if value is not None}
        groups = {"given": _parsed_all(chosen, options)}
        if of_run:
            groups["run_options"] = _parsed_all(chosen, of_run)
        command(**groups, **{argument.name: values[argument.name] for argument in arguments})

    wrapper.__name__ = command.__name__.lstrip("_")
    wrapper.__doc__ = command.__doc__
    parameters = [
        *(_parameter(name, declared, negated=True) for name, declared in of_run.items()),
        *(_parameter(name, declared, negated=False) for name, declared in options.items()),
        *arguments,
    ]
    wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return wrapper


def options_of_file(file: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a config file, without one that an option on the command line excludes.

    `--guide` takes the place of all guides in the file's list and of the weights by flags that it names, and the flag
    of a weight the place of that guide in the list.

    Raises:
        UsageError: it cannot be read.
    """
    filed = read_config_file(file)
    for one, other in (("train_limit", "train_fraction"), ("train_fraction", "train_limit")):
        if one in given:
            filed.pop(other, None)
    for name in guide_values(parse_guides(given["guide"])[0]) if "guide" in given else ():
        filed.pop(name, None)
    specs, problems = parse_guides(filed.get("guide") or ())
    if not problems and any(spec.name in given for spec in specs):
        filed["guide"] = [str(spec) for spec in specs if spec.name not in given]
    return filed


def refuse(problems: Sequence[str], verb: str) -> None:
    """Raise a UsageError of all problems, if there are any."""
    if problems:
        raise UsageError("\n".join(problems), hint=f"`ag {verb} --help` lists every option")


def _parsed_all(chosen: Mapping[str, Any], options: Mapping[str, Declared]) -> dict[str, Any]:
    return {name: _parsed(name, chosen[name], options[name]) for name in options if name in chosen}


def _parsed(name: str, value: Any, declared: Declared) -> Any:
    """The words of a tuple, each once; other values as they are."""
    if declared.spec.repeated:
        return tuple(value)
    if not _is_tuple(declared):
        return value
    words = tuple(dict.fromkeys(word.strip() for word in value.split(",") if word.strip()))
    if typing.get_args(declared.type)[0] is str:
        return words
    if not all(word.isdecimal() for word in words):
        raise UsageError(f"{flag(name)}: {value!r} is no list of whole numbers, such as 64,128,256.")
    return tuple(map(int, words))


def _is_tuple(declared: Declared) -> bool:
    return typing.get_origin(declared.type) is tuple and not declared.spec.repeated


def _parameter(name: str, declared: Declared, *, negated: bool) -> inspect.Parameter:
    """One option as a Typer parameter; without a default it must be given.

    Its choices complete words in a shell; they are checked where the options become a request, with all other values.
    """
    spec = declared.spec
    words = [spec.flag or flag(name)]
    if declared.type is bool and negated:
        words = [f"{words[0]}/--no-{name.replace('_', '-')}"]

    def complete(incomplete: str) -> list[str]:
        return [choice for choice in spec.choices or () if choice.startswith(incomplete)]

    typer_option = typer.Option(
        *words,
        help=_help(declared),
        show_default=False,
        rich_help_panel=declared.section,
        autocompletion=complete if spec.choices else None,
        metavar="<str>" if spec.repeated else None,
        readable=False,  # a file that may not be read is the reader's to report
    )
    kind = inspect.Parameter.KEYWORD_ONLY
    type_: Any = list[str] if declared.spec.repeated else str if _is_tuple(declared) else declared.type
    if declared.default is dataclasses.MISSING:
        return inspect.Parameter(name, kind, annotation=Annotated[type_, typer_option])
    return inspect.Parameter(name, kind, default=None, annotation=Annotated[type_ | None, typer_option])


def _help(declared: Declared) -> str:
    """What the option does, its range and its default."""
    spec = declared.spec
    limits = ["comma-separated"] if _is_tuple(declared) else []
    limits += [] if spec.allowed() == "any" else [spec.allowed()]
    text = f"{spec.help} ({'; '.join(limits)})" if limits else spec.help
    default = spec.default_text
    if default is None and declared.type is not bool and declared.default not in (None, "", (), dataclasses.MISSING):
        default = ",".join(map(str, declared.default)) if _is_tuple(declared) else str(declared.default)
    return f"{text}  [default: {default}]" if default else text


class PlainHelp(TyperCommand):
    """A command whose help is plain text: its options by their `rich_help_panel`, the arguments first, no name cut."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write a section for each panel, in the order in which they are declared."""
        panels: dict[str, list[tuple[str, str]]] = {"Arguments": []}
        for parameter in self.get_params(ctx):
            if (record := parameter.get_help_record(ctx)) is not None:
                usual = "Arguments" if parameter.param_type_name == "argument" else "Options"
                panels.setdefault(getattr(parameter, "rich_help_panel", None) or usual, []).append(record)
        for panel, records in panels.items():
            if records:
                with formatter.section(panel):
                    formatter.write_dl(records)

    def get_short_help_str(self, limit: int = 45) -> str:
        """The first paragraph, whole: the list of commands wraps it."""
        return " ".join((self.help or "").partition("\n\n")[0].split())
