"""Tables of `ag evaluate`, on the terminal or as Markdown, and how a value reads with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agcli.cli import display
from agcli.cli.tables import Table, cell_text

if TYPE_CHECKING:
    from agcli.measures.resampling import Interval


def show(tables: Sequence[Table], *, markdown: bool) -> None:
    """Print tables to stdout."""
    if markdown:
        print("\n\n".join(_as_markdown(table) for table in tables))
        return
    for table in tables:
        display.show_table(table.title, table.columns, table.rows, table.caption, names=table.names)


def with_interval(value: float, interval: Interval, sign: str = "") -> str:
    """`0.8123 [0.7900, 0.8340]`; with `sign` "+" positive numbers carry theirs."""
    return f"{value:{sign}.4f} [{interval.low:{sign}.4f}, {interval.high:{sign}.4f}]"


def _as_markdown(table: Table) -> str:
    lines = [_markdown_row(table.columns), _markdown_row(["---"] * len(table.columns))]
    lines += [_markdown_row([cell_text(cell) for cell in row]) for row in table.rows]
    body = "\n".join(lines)
    return f"### {table.title}\n\n{body}" + (f"\n\n{table.caption}" if table.caption else "")


def _markdown_row(cells: Sequence[str]) -> str:
    """One row of a Markdown table; a bar or a line break inside a cell must not end it."""
    escaped = (" ".join(cell.replace("\\", "\\\\").replace("|", "\\|").split()) for cell in cells)
    return f"| {' | '.join(escaped)} |"
