"""`ag prepare`: read a source once into the prepared form."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agcli.cli.declared import with_options
from agcli.data.request import PREPARE_OPTIONS, RANKING, PrepareRequest
from agcli.errors import UsageError
from agcli.options import flag

if TYPE_CHECKING:
    from agcli.data.pair_preparation import TokenCounter

_TYPED = {"labels": str, "label_map": list[str]}
"""Options that are written otherwise than the request holds them."""
_TASK_DEPENDS_ON = ("name", "source", "format", "task", "output")


def _prepare(
    given: dict[str, Any],
    *,
    show: Annotated[
        int, typer.Option(min=0, help="Print the first N pairs or claims of each split.", rich_help_panel="Output")
    ] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the manifest as JSON.", rich_help_panel="Output")
    ] = False,
) -> None:
    """Read pairs, or claims and documents, check them, and write them once in the form every other command reads."""
    from agcli.cli.prepare_display import report, working
    from agcli.data.catalogue import task_of
    from agcli.data.labels import parse_label_map
    from agcli.data.preparation import prepare as prepare_dataset

    values = {name: value for name, value in given.items() if name not in _TYPED}
    if "labels" in given:
        values["labels"] = tuple(name.strip() for name in given["labels"].split(","))
    if "label_map" in given:
        values["label_map"] = parse_label_map(given["label_map"])
    task = task_of(PrepareRequest(**{name: value for name, value in values.items() if name in _TASK_DEPENDS_ON}))
    _refuse_useless(given, task)
    request = PrepareRequest(**{**values, "task": task})
    with working() if task == RANKING else nullcontext() as progress:
        prepared = prepare_dataset(request, _token_counter(request.tokenizer), progress)
    report(prepared, show, as_json)


def _refuse_useless(given: dict[str, Any], task: str) -> None:
    """Refuse options of the other task.

    Raises:
        UsageError: some were given; all are named.
    """
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


_prepare.__name__ = "prepare"
prepare = with_options(
    _prepare,
    {name: replace(option, type=_TYPED.get(name, option.type)) for name, option in PREPARE_OPTIONS.items()},
)
