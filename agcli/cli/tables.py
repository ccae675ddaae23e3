"""A table on the terminal, and the steps that narrow it without breaking a word."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from string import ascii_uppercase

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, JustifyMethod
from rich.measure import Measurement
from rich.table import Table as Grid
from rich.text import Text

from agcli.tables.table import Number, Table, cell_text, clean, is_number

PROSE_WIDTH = 80
"""Columns that titles and captions take where their table takes fewer."""
_UNBOUNDED = 1_000_000
"""A width that no table reaches: Rich cuts what it measures to the width it is given."""
_BEFORE_SPREAD = re.compile(r" (?=[\[(±])")
"""Where a number may break: before its interval, or what else stands in brackets, or its standard deviation."""


def print_table(console: Console, table: Table) -> None:
    """Print a table; one with groups of columns as a table for each.

    A table wider than the console is narrowed step by step, see `narrowed`; what is too wide even then is printed as
    one `column: value` line a cell.
    """
    if table.groups:
        print_paragraphs(console, f"\n{table.title}", console.width, "none")
        for group in table.by_groups(1):
            footnotes = [f"[{key}] {text}" for key, text in group.footnotes.items()]
            print_table(console, replace(group, groups=(), caption="\n".join(footnotes)))
        return
    for form, two_lines in narrowed(table):
        grid, width = _grid(form, two_lines, console, compact=form is not table)
        if width <= console.width:
            _print_framed(console, form, width, grid)
            return
    _print_framed(console, table, console.width, None)


def _print_framed(console: Console, table: Table, width: int, grid: Grid | None) -> None:
    """Title, grid (or without one a line for every cell), and caption."""
    width = min(console.width, max(PROSE_WIDTH, width))
    print_paragraphs(console, table.title, width, "table.title")
    if grid is not None:
        console.print(grid)
    else:
        for row in table.rows:
            for name, cell in zip(table.columns, row, strict=True):
                print_paragraphs(console, f"{name}: {cell_text(cell)}", console.width, "")
            console.print()
    print_paragraphs(console, table.caption, width, "table.caption")


def print_paragraphs(console: Console, text: str, width: int, style: str) -> None:
    """Print text wrapped between words; a word longer than a line, such as a path, stays whole."""
    for line in clean(text).splitlines():
        wrapped = textwrap.fill(line, max(width, 1), break_long_words=False, break_on_hyphens=False)
        console.print(Text(wrapped, style=style), soft_wrap=True)


def narrowed(table: Table) -> Iterator[tuple[Table, bool]]:
    """The table, then one narrower form after another, and whether intervals stand on a line below their values.

    Columns that hold one value in every row go to the caption; names become letters; the widest column of names goes
    to a legend; columns that are spare go; rows become columns. Each of these forms is tried with its intervals beside
    their values, then below them.
    """
    yield table, False
    for form in _with_fewer_columns(table):
        yield form, False
        yield form, True


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


def _grid(table: Table, two_lines: bool, console: Console, compact: bool) -> tuple[Grid, int]:
    """A table for Rich, and the columns that it takes to break no word and no number of a cell.

    Texts wrap between words where there is less room than they would take. Rich by itself would narrow a column below
    its longest word while another one has room to give.
    """
    gap = 0 if two_lines else 1  # beside the space that stands for a rule
    grid = Grid(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, gap, 0, 0)) if compact else Grid()
    unbounded = console.options.update(width=_UNBOUNDED)
    body = [[_text(row[index], two_lines) for row in table.rows] for index in range(len(table.columns))]
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


def _text(cell: object, two_lines: bool) -> Text:
    """One cell; a number is never wrapped, and breaks once, before its interval, where it shall have two lines."""
    text = Text(cell_text(cell))
    if isinstance(cell, Number) and cell.best:
        text.stylize("bold", 0, len(cell.with_spread) + len(cell.stars))
    if not is_number(text.plain):
        return text
    gap = _BEFORE_SPREAD.search(text.plain) if two_lines else None
    text = Text("\n").join([text[: gap.start()], text[gap.end() :]]) if gap else text.copy()
    text.no_wrap = True
    return text
