"""A table before it is printed, how its cells read, and the steps that narrow it without breaking a word."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from string import ascii_uppercase

from rich.text import Text

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What could steer a terminal, should it stand in somebody's data."""
_NUMBER = re.compile(r"[<>≤≥]?[+\-−]?\.?\d(?:[^A-Za-z\[]|(?<= )to(?= )|\[[^\[\]]*\])*")
_BEFORE_SPREAD = re.compile(r" (?=[\[(±])")
"""Where a number may break: before its interval, or what else stands in brackets, or its standard deviation."""


@dataclass(frozen=True)
class Table:
    """One table, before it is decided how to show it.

    Attributes:
        title: shown above.
        columns: header cells.
        rows: one sequence of cells a row; None is a dash.
        caption: shown below.
        names: texts of header or cells that letters may stand for where the table is too wide, as names of runs.
        spare: columns that a narrow table may lack, the first to go first.
        two_lines: whether the intervals of all numbers stand on a line of their own, below their values.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    caption: str = ""
    names: Sequence[str] = ()
    spare: Sequence[str] = ()
    two_lines: bool = False

    def cells(self, index: int) -> list[str]:
        """One column as text."""
        return [cell_text(row[index]) for row in self.rows]

    def numeric(self, index: int) -> bool:
        """Whether a column holds numbers, which may carry an interval, and dashes."""
        written = [cell for cell in self.cells(index) if cell != "-"]
        return bool(written) and all(_NUMBER.fullmatch(cell) for cell in written)

    def texts(self, index: int) -> list[Text]:
        """One column for Rich, which breaks lines at every space but those of numbers."""
        return [_text(row[index], self.two_lines) for row in self.rows]


def narrowed(table: Table) -> Iterator[Table]:
    """The table, then one narrower form after another.

    Columns that hold one value in every row go to the caption; names become letters; the widest column of names goes
    to a legend; columns that are spare go; rows become columns. Each of these forms is tried with its intervals beside
    their values, then below them.
    """
    yield table
    for form in _with_fewer_columns(table):
        yield form
        yield replace(form, two_lines=True)


def _with_fewer_columns(table: Table) -> Iterator[Table]:
    for step in (_without_constants, _lettered, _with_legend):
        table = step(table)
        yield table
    for count in range(1, len(table.spare) + 1):
        yield _without(table, table.spare[:count])
    if table.rows:
        yield _turned(table)


def _keep(table: Table, wanted: Callable[[int], bool], note: str) -> Table:
    kept = [index for index in range(len(table.columns)) if wanted(index)]
    return replace(
        table,
        columns=[table.columns[index] for index in kept],
        rows=[[row[index] for index in kept] for row in table.rows],
        caption=_joined(table.caption, note),
    )


def _joined(*lines: str) -> str:
    return "\n".join(line for line in lines if line)


def _without_constants(table: Table) -> Table:
    constant = [i for i in range(1, len(table.columns)) if len(table.rows) > 1 and len(set(table.cells(i))) == 1]
    same = ", ".join(f"{table.columns[i]} {table.cells(i)[0]}" for i in constant)
    return _keep(table, lambda index: index not in constant, f"In every row: {same}." if same else "")


def _lettered(table: Table) -> Table:
    """Letters for names of more characters than one, in whole cells or as words of a header."""
    letters = dict(zip((name for name in dict.fromkeys(table.names) if len(name) > 1), ascii_uppercase, strict=False))
    if not letters:
        return table
    longest_first = "|".join(re.escape(name) for name in sorted(letters, key=len, reverse=True))
    pattern = re.compile(rf"(?<!\S)(?:{longest_first})(?!\S)")

    def short(text: str) -> str:
        return pattern.sub(lambda match: letters[match[0]], text)

    columns = [short(column) for column in table.columns]
    rows = [[short(cell) if isinstance(cell, str) else cell for cell in row] for row in table.rows]
    legend = [f"{letter} = {name}" for name, letter in letters.items()]
    return replace(table, columns=columns, rows=rows, caption=_joined(*legend, table.caption))


def _with_legend(table: Table) -> Table:
    """The widest column whose cells cannot wrap below the table, after the rows' names."""
    widths = {
        index: max(map(len, cells))
        for index in range(1, len(table.columns))
        if (cells := table.cells(index)) and not table.numeric(index) and not any(" " in cell for cell in cells)
    }
    if not widths or len(set(names := table.cells(0))) < len(names) or len(names) < 2:
        return table
    widest = max(widths, key=widths.__getitem__)
    pairs = zip(names, table.cells(widest), strict=True)
    legend = [f"{table.columns[widest]}:", *(f"{name}: {value}" for name, value in pairs)]
    return _keep(replace(table, caption=""), lambda index: index != widest, _joined(*legend, table.caption))


def _without(table: Table, names: Sequence[str]) -> Table:
    return _keep(table, lambda index: table.columns[index] not in names, f"Left out for width: {', '.join(names)}.")


def _turned(table: Table) -> Table:
    columns = [table.columns[0], *table.cells(0)]
    rows = [[name, *(row[index] for row in table.rows)] for index, name in enumerate(table.columns)]
    return replace(table, columns=columns, rows=rows[1:])


def cell_text(cell: object) -> str:
    """How one cell reads: four decimals for a float of common size, else four digits; a dash for nothing."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return "-"
    if not isinstance(cell, float):
        return clean(cell.plain if isinstance(cell, Text) else str(cell))
    return f"{cell:.4f}" if 1e-3 <= abs(cell) < 10 or cell == 0 else f"{cell:.4g}"


def _text(cell: object, two_lines: bool) -> Text:
    """One cell; a number is never wrapped, and breaks once, before its interval, where it shall have two lines."""
    text = cell if isinstance(cell, Text) else Text(cell_text(cell))
    if not _NUMBER.fullmatch(text.plain):
        return text
    gap = _BEFORE_SPREAD.search(text.plain) if two_lines else None
    text = Text("\n").join([text[: gap.start()], text[gap.end() :]]) if gap else text.copy()
    text.no_wrap = True
    return text


def clean(text: str) -> str:
    """`text` with a mark in place of what could steer a terminal."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
