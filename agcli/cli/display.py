"""Everything Rich: the two consoles, tables, progress bars and how an error looks.

Results go to stdout, progress and logs to stderr. Text that comes from users is printed as `Text`, which Rich does
not parse for markup or emoji.
"""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, JustifyMethod
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table as Grid
from rich.text import Text

from agcli.cli.tables import Table, cell_text, clean, narrowed
from agcli.runs.launcher import process_rank

if TYPE_CHECKING:
    from agcli.errors import AgError


_UNBOUNDED = 1_000_000
"""A width that no table reaches: Rich cuts what it measures to the width it is given."""
PLAIN_WIDTH = 120
"""Columns where stdout is no terminal: wide enough that our tables do not fold in files and pipes."""
PROSE_WIDTH = 80
"""Columns that titles and captions take where their table takes fewer."""


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
    (console or stderr()).print(Text(clean(message)), soft_wrap=True)


def warn(message: str, console: Console | None = None) -> None:
    """A warning, likewise."""
    _print_labelled(console or stderr(), "warning:", "yellow", message)


def _print_labelled(console: Console, label: str, style: str, message: str) -> None:
    console.print(Text.assemble((label, style), " ", clean(message)), soft_wrap=True)


def show_table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    caption: str = "",
    *,
    names: Sequence[str] = (),
    spare: Sequence[str] = (),
) -> None:
    """A table on stdout; columns of numbers are right-aligned, None is a dash.

    A table wider than the console is narrowed step by step, see `tables.narrowed`; what is too wide even then is
    printed as one `column: value` line a cell. The arguments are those of `tables.Table`.
    """
    console, whole = stdout(), Table(title, columns, list(rows), caption, names, spare)
    for form in narrowed(whole):
        grid, width = _grid(form, console, compact=form is not whole)
        if width <= console.width:
            break
    else:
        form, grid, width = whole, None, console.width
    width = min(console.width, max(PROSE_WIDTH, width))
    _paragraphs(console, title, width, "table.title")
    if grid is not None:
        console.print(grid)
    for row in [] if grid is not None else whole.rows:
        for name, cell in zip(columns, row, strict=True):
            _paragraphs(console, f"{name}: {cell_text(cell)}", console.width, "")
        console.print()
    _paragraphs(console, form.caption, width, "table.caption")


def show_text(text: str) -> None:
    """Lines on stdout, wrapped between words."""
    console = stdout()
    _paragraphs(console, text, console.width, "none")


def _grid(table: Table, console: Console, compact: bool) -> tuple[Grid, int]:
    """A table for Rich, and the columns that it takes to break no word and no number of a cell.

    Texts wrap between words where there is less room than they would take. Rich by itself would narrow a column below
    its longest word while another one has room to give.
    """
    gap = 0 if table.two_lines else 1  # beside the space that stands for a rule
    grid = Grid(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, gap, 0, 0)) if compact else Grid()
    unbounded = console.options.update(width=_UNBOUNDED)
    body = [table.texts(index) for index in range(len(table.columns))]
    wants = [_want(console, unbounded, [Text(name), *cells]) for name, cells in zip(table.columns, body, strict=True)]
    for index, (name, want) in enumerate(zip(table.columns, wants, strict=True)):
        justify: JustifyMethod = "right" if table.numeric(index) else "left"
        grid.add_column(Text(name), justify=justify, overflow="fold", min_width=want.minimum)
    for row in zip(*body, strict=True):
        grid.add_row(*row)
    least = console.measure(grid, options=unbounded).minimum
    share = min(1.0, max(0, console.width - least) / (sum(want.span for want in wants) or 1))
    for column, want in zip(grid.columns, wants, strict=True):
        column.width = want.minimum + int(share * want.span)
    return grid, least


def _want(console: Console, options: ConsoleOptions, texts: Sequence[Text]) -> Measurement:
    """The least and the most characters that a column takes."""
    sizes = [Measurement.get(console, options, text) for text in texts]
    least = max(size.maximum if text.no_wrap else size.minimum for text, size in zip(texts, sizes, strict=True))
    return Measurement(least, max(size.maximum for size in sizes))


def _paragraphs(console: Console, text: str, width: int, style: str) -> None:
    """Text wrapped between words; a word longer than a line, such as a path, stays whole."""
    for line in clean(text).splitlines():
        wrapped = textwrap.fill(line, max(width, 1), break_long_words=False, break_on_hyphens=False)
        console.print(Text(wrapped, style=style), soft_wrap=True)


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
