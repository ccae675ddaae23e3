"""`ag prepare`: read a source once into the prepared form."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agcli.cli.parameters import JsonOption, refuse, with_options
from agcli.data.knowledge.kinds import KINDS
from agcli.data.request import PREPARE_OPTIONS, KnowledgeOptions, PrepareRequest
from agcli.declare import declared_options, flag, option, out_of_range
from agcli.errors import UsageError

if TYPE_CHECKING:
    from agcli.data.preparation import TokenCounter

_TYPED = {"labels": str, "label_map": list[str]}
"""Options whose type on the command line differs from the request's."""
_SOURCE = ("source", "train", "dev", "test", "hub_config")
_KNOWLEDGE = tuple(item.name for item in fields(KnowledgeOptions))
_TASK_DEPENDS_ON = ("name", "source", "format", "task", "output")


@dataclass(frozen=True)
class ShowOptions(JsonOption):
    """What is printed."""

    show: int = option(0, "Print the first N pairs or queries of each split.", minimum=0)


SHOW_OPTIONS = declared_options({"Output": ShowOptions})


def _prepare(*, given: dict[str, Any]) -> None:
    """Read pairs, or queries and documents, check them, and write them in the form that other commands read."""
    from agcli.cli.display import Bars
    from agcli.cli.prepare_display import report, report_knowledge
    from agcli.data.catalogue import task_of
    from agcli.data.labels import parse_label_map
    from agcli.data.preparation import add_knowledge
    from agcli.data.preparation import prepare as prepare_dataset

    problems = out_of_range(given, {**PREPARE_OPTIONS, **SHOW_OPTIONS})
    if given.get("knowledge") == ():
        problems.append(f"--knowledge names nothing; allowed: {', '.join(KINDS)}.")
    refuse(problems, "prepare")
    shown = ShowOptions(**{name: given.pop(name) for name in SHOW_OPTIONS if name in given})
    values = {name: value for name, value in given.items() if name not in _TYPED}
    if "labels" in given:
        values["labels"] = tuple(name.strip() for name in given["labels"].split(","))
    if "label_map" in given:
        values["label_map"] = parse_label_map(given["label_map"])
    folder = _prepared_already(values)
    if folder is not None:
        options = KnowledgeOptions(**{name: values[name] for name in _KNOWLEDGE if name in values})
        with Bars() as bars:
            report_knowledge(add_knowledge(folder, options, bars.track), shown.json)
        return
    task = task_of(PrepareRequest(**{name: values[name] for name in _TASK_DEPENDS_ON if name in values}))
    _refuse_useless(given, task)
    request = PrepareRequest(**{**values, "task": task})
    with Bars() as bars:
        prepared = prepare_dataset(request, _token_counter(request.tokenizer), bars.track)
    report(prepared, shown.show, shown.json)


def _prepared_already(values: dict[str, Any]) -> Path | None:
    """The folder of data that only get knowledge: they are there, and no source is given; None: data are prepared.

    Raises:
        UsageError: options of a source that is not read.
    """
    from agcli.data.catalogue import prepared_here

    if not values.get("knowledge") or values.get("overwrite") or any(name in values for name in _SOURCE):
        return None
    folder = prepared_here(str(values.get("output", values["name"])), Path.cwd())
    useless = [flag(name) for name in values if name not in (*_KNOWLEDGE, "name", "output")]
    if folder is not None and useless:
        raise UsageError(
            f"{', '.join(useless)}: of no use, as {folder} is prepared already and gets knowledge only.",
            hint="leave out what describes the source, or prepare it again: --from PATH --overwrite",
        )
    return folder


def _refuse_useless(given: dict[str, Any], task: str) -> None:
    """Refuse options of the other task."""
    useless = {name: PREPARE_OPTIONS[name].spec.task for name in given}
    useless = {name: other for name, other in useless.items() if other not in (None, task)}
    if useless:
        raise UsageError(
            f"{', '.join(map(flag, useless))}: of no use for --task {task}, as which this is prepared.",
            hint=f"leave out what does not fit, or say --task {next(iter(useless.values()))}",
        )


def _token_counter(name: str) -> TokenCounter:
    """Counts the tokens of pairs; loads the tokenizer when first called, and never over the network."""

    @cache
    def tokenizer() -> Any:
        from agcli.models import load_tokenizer

        return load_tokenizer(name, offline=True)

    def count(text_a: list[str], text_b: list[str]) -> list[int]:
        encoded = tokenizer()(text_a, text_b, truncation=False, verbose=False)
        return [len(ids) for ids in encoded["input_ids"]]

    return count


prepare = with_options(
    _prepare,
    {name: replace(declared, type=_TYPED.get(name, declared.type)) for name, declared in PREPARE_OPTIONS.items()}
    | SHOW_OPTIONS,
)
