"""The two consoles, progress bars and how an error looks; `agcli.cli.tables` prints the tables.

Results go to stdout, progress and logs to stderr. Text that comes from users is printed as `Text`, which Rich does
not parse for markup or emoji.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from agcli.cli.tables import print_paragraphs, print_table
from agcli.runs.launcher import process_rank
from agcli.tables.csv_json import json_text
from agcli.tables.table import Table, clean

if TYPE_CHECKING:
    from rich.live import Live

    from agcli.errors import AgError

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
    (console or stderr()).print(Text(clean(message)), soft_wrap=True)


def warn(message: str, console: Console | None = None) -> None:
    """A warning, likewise."""
    _print_labelled(console or stderr(), "warning:", "yellow", message)


def _print_labelled(console: Console, label: str, style: str, message: str) -> None:
    console.print(Text.assemble((label, style), " ", clean(message)), soft_wrap=True)


def show(table: Table) -> None:
    """A table on stdout; columns of numbers are right-aligned, None is a dash."""
    print_table(stdout(), table)


def show_text(text: str) -> None:
    """Lines on stdout, wrapped between words."""
    console = stdout()
    print_paragraphs(console, text, console.width, "none")


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
        print(json_text(value), end="")


class Followed:
    """Something that goes on, shown on stderr where that is a terminal; a context manager that ends it in any case."""

    def __init__(self, live: Live | Progress) -> None:
        self.live, self.console = live, live.console

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.live.stop()

    def message(self, text: str) -> None:
        """A line of log, above what is shown."""
        note(text, self.console)

    def warning(self, text: str) -> None:
        """A warning, above what is shown."""
        warn(text, self.console)


class Bars(Followed):
    """Progress bars by their label."""

    def __init__(self) -> None:
        console = stderr()
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[status]}", markup=False),
            console=console,
            disable=not console.is_terminal,
        )
        super().__init__(self.progress)
        self.tasks: dict[str, TaskID] = {}

    def start(self, key: str, total: int, done: int = 0, label: str = "") -> None:
        """Show a bar, in the place of an earlier one of this key."""
        if key in self.tasks:
            self.progress.remove_task(self.tasks[key])
        self.tasks[key] = self.progress.add_task(label or key, total=total, completed=done, status="")

    def move(self, key: str, **change: Any) -> None:
        """Move a bar, if it has been started; `change` as in `rich.progress.Progress.update`."""
        if key in self.tasks:
            self.progress.update(self.tasks[key], **change)

    def track(self, key: str, done: int, total: int) -> None:
        """Start and move a bar in one."""
        if key not in self.tasks:
            self.start(key, total)
        self.move(key, completed=done)
