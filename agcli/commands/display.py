"""Everything Rich: the two consoles, tables, progress bars and how an error looks.

Results go to stdout, progress and logs to stderr. Text that comes from users is escaped: `[` is markup in Rich.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from agcli.launcher import process_rank

if TYPE_CHECKING:
    from agcli.errors import AgError


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What could steer a terminal, should it stand in somebody's data."""
PLAIN_WIDTH = 120
"""Columns where stdout is no terminal: wide enough that our tables do not fold in files and pipes."""


def stdout() -> Console:
    """The console for results. Built per call, so that a redirected stdout is respected.

    Of the processes that a launcher starts, the first one speaks.
    """
    console = Console(highlight=False, quiet=process_rank() > 0)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PLAIN_WIDTH
    return console


def stderr() -> Console:
    """The console for progress, logs and errors."""
    return Console(stderr=True, highlight=False, quiet=process_rank() > 0)


def show_error(error: AgError) -> None:
    """One error: what happened, then what to do next. Any process is heard: it may have befallen one alone."""
    console, rank = Console(stderr=True, highlight=False), process_rank()
    console.print(f"[bold red]error{f' in process {rank}' if rank else ''}:[/] {escape(str(error))}", soft_wrap=True)
    if error.hint:
        console.print(f"[bold]next:[/] {escape(error.hint)}", soft_wrap=True)


def note(message: str, console: Console | None = None) -> None:
    """A line of log on stderr, or on the console of a bar that is being shown."""
    (console or stderr()).print(escape(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", message)), soft_wrap=True)


def warn(message: str, console: Console | None = None) -> None:
    """A warning, likewise."""
    (console or stderr()).print(f"[yellow]warning:[/] {escape(message)}", soft_wrap=True)


def show_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], caption: str = "") -> None:
    """A table on stdout; cells that are numbers are right-aligned, None is a dash.

    Args:
        title: shown above the table.
        columns: header cells.
        rows: one sequence of cells a row.
        caption: shown below the table.
    """
    body = [list(row) for row in rows]
    table = Table(title=escape(title), caption=escape(caption) or None, title_justify="left", caption_justify="left")
    for index, column in enumerate(columns):
        numeric = any(isinstance(row[index], int | float) for row in body)
        table.add_column(escape(column), justify="right" if numeric else "left", overflow="fold")
    for row in body:
        table.add_row(*(escape(cell_text(cell)) for cell in row))
    stdout().print(table)


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
    stdout().print(f"{escape(what)}: {escape(str(path))}", soft_wrap=True)


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
