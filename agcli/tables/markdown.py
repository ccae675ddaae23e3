"""A table as Markdown: a grid for each group of columns, below them caption, footnotes and notes."""

from __future__ import annotations

import re
from collections.abc import Iterable

from agcli.tables.table import Number, Table, cell_text

_SYNTAX = re.compile(r"[\\|*`]|(?<!\w)_|_(?!\w)|<(?=[A-Za-z/!?])|\](?=[\[(:])")
"""Emphasis, code, tags, links and the end of a cell. Underscores inside words, `<0.001` and `[1]` mean nothing."""


def markdown(table: Table) -> str:
    """The table under a heading; it ends with a line break."""
    parts = [f"### {escaped(table.title)}"]
    for group in table.by_groups(1) if table.groups else ():
        parts += [f"**{escaped(group.title)}**", grid(group)]
    if not table.groups:
        parts.append(grid(table))
    parts.append("  \n".join(map(escaped, table.caption.splitlines())))
    parts.append("  \n".join(f"\\[{key}] {escaped(text)}" for key, text in table.footnotes.items()))
    parts.append("\n".join(f"- {escaped(note)}" for note in table.notes))
    return "\n\n".join(part for part in parts if part) + "\n"


def escaped(text: str) -> str:
    """Text on one line in which Markdown reads no syntax."""
    return _SYNTAX.sub(r"\\\g<0>", " ".join(text.split()))


def grid(table: Table) -> str:
    """Header and rows alone, without title and caption."""
    ruler = ["---:" if table.numeric(index) else "---" for index in range(len(table.columns))]
    rows = [_line(map(_cell, row)) for row in table.rows]
    return "\n".join([_line(map(escaped, table.columns)), _line(ruler), *rows])


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: object) -> str:
    if isinstance(cell, Number) and cell.best:
        return f"**{escaped(cell.with_spread)}**{escaped(cell.stars)}{cell.references}"
    return escaped(cell_text(cell))
