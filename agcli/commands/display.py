"""Everything Rich: the two consoles, tables, progress bars and how an error looks.

Results go to stdout, progress and logs to stderr. Text that comes from users is printed as `Text`, which Rich does
not parse for markup or emoji.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from agcli.launcher import process_rank

if TYPE_CHECKING:
    from agcli.errors import AgError


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What could steer a terminal, should it stand in somebody's data."""
_UNBOUNDED = 1_000_000
"""A width that no table reaches: Rich cuts what it measures to the width it is given."""
PLAIN_WIDTH = 120
"""Columns where stdout is no terminal: wide enough that our tables do not fold in files and pipes."""


def stdout() -> Console:
    """The console for results. Built per call, so that a redirected stdout is respected.

    Of the processes that a launcher starts, the first one speaks.
    """
    console = Console(highlight=False, emoji=False, quiet=process_rank() > 0)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PLAIN_WIDTH
    return console


def stderr() -> Console:
    """The console for progress, logs and errors."""
    return Console(stderr=True, highlight=False, emoji=False, quiet=process_rank() > 0)


def show_error(error: AgError) -> None:
    """One error: what happened, then what to do next. Any process is heard: it may have befallen one alone."""
    console, rank = Console(stderr=True, highlight=False, emoji=False), process_rank()
    _print_labelled(console, f"error{f' in process {rank}' if rank else ''}:", "bold red", str(error))
    if error.hint:
        _print_labelled(console, "next:", "bold", error.hint)


def note(message: str, console: Console | None = None) -> None:
    """A line of log on stderr, or on the console of a bar that is being shown."""
    (console or stderr()).print(Text(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", message)), soft_wrap=True)


def warn(message: str, console: Console | None = None) -> None:
    """A warning, likewise."""
    _print_labelled(console or stderr(), "warning:", "yellow", message)


def _print_labelled(console: Console, label: str, style: str, message: str) -> None:
    console.print(Text.assemble((label, style), " ", message), soft_wrap=True)


def show_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], caption: str = "") -> None:
    """A table on stdout; cells that are numbers are right-aligned, None is a dash.

    A table wider than the console is narrowed without breaking a word: columns that hold one value in every row go to
    the caption, then rows become columns; what is still too wide is printed as one `column: value` line a cell.

    Args:
        title: shown above the table.
        columns: header cells.
        rows: one sequence of cells a row.
        caption: shown below the table.
    """
    console, body = stdout(), [list(row) for row in rows]
    if not _fits(plain := _table(title, columns, body, caption), console):
        columns, body, caption = _without_constants(columns, body, caption)
        plain = _table(title, columns, body, caption)
    if not _fits(plain, console) and body:
        turned = [[name, *(row[index] for row in body)] for index, name in enumerate(columns)]
        plain = _table(title, [str(cell_text(cell)) for cell in turned[0]], turned[1:], caption)
    if _fits(plain, console):
        console.print(plain)
        return
    console.print(Text(title, style="table.title"), soft_wrap=True)
    for row in body:
        console.print()
        for name, cell in zip(columns, row, strict=True):
            console.print(Text(f"{name}: {cell_text(cell)}"), soft_wrap=True)
    console.print(Text(caption, style="table.caption"), soft_wrap=True)


def _table(title: str, columns: Sequence[str], body: Sequence[Sequence[object]], caption: str) -> Table:
    table = Table(title=Text(title), caption=Text(caption) if caption else None)
    table.title_justify = table.caption_justify = "left"
    for index, column in enumerate(columns):
        numeric = any(isinstance(row[index], int | float) for row in body)
        table.add_column(Text(column), justify="right" if numeric else "left", overflow="fold")
    for row in body:
        table.add_row(*(Text(cell_text(cell)) for cell in row))
    return table


def _fits(table: Table, console: Console) -> bool:
    """Whether no word of a cell need be broken: texts may wrap between words."""
    unbounded = console.options.update(width=_UNBOUNDED)
    return console.measure(table, options=unbounded).minimum <= console.width


def _without_constants(
    columns: Sequence[str], body: list[list[object]], caption: str
) -> tuple[list[str], list[list[object]], str]:
    """The table without the columns, but for the first, whose cells are all alike; the caption names them."""
    constant = [i for i in range(1, len(columns)) if len(body) > 1 and len({cell_text(row[i]) for row in body}) == 1]
    kept = [i for i in range(len(columns)) if i not in constant]
    same = ", ".join(f"{columns[i]} {cell_text(body[0][i])}" for i in constant)
    caption = "\n".join(part for part in (caption, f"In every row: {same}." if same else "") if part)
    return [columns[i] for i in kept], [[row[i] for i in kept] for row in body], caption


def cell_text(cell: object) -> str:
    """How one cell reads: four decimals for a float of common size, else four digits; a dash for nothing."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return "-"
    if not isinstance(cell, float):
        return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(cell))
    return f"{cell:.4f}" if 1e-3 <= abs(cell) < 10 or cell == 0 else f"{cell:.4g}"


def shown(value: object) -> str:
    """A value of a plan or config in one cell."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {item}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "-"
    return "-" if value is None or value == "" else str(value)


def show_path(what: str, path: object) -> None:
    """A path on a line of its own, unwrapped, so that it can be copied."""
    stdout().print(Text(f"{what}: {path}"), soft_wrap=True)


def show_json(value: Any) -> None:
    """`value` as JSON on stdout, with no markup, wrapping or colour."""
    if process_rank() == 0:
        print(json.dumps(value, indent=2, ensure_ascii=False))


def progress_bar() -> Progress:
    """A progress bar on stderr, silent where stderr is no terminal."""
    console = stderr()
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[status]}", markup=False),
        console=console,
        disable=not console.is_terminal,
        transient=False,
    )
