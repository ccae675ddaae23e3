"""A laid-out table as plain rows, as records and as Markdown. LaTeX has a file of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agcli.paper.layout import Cell, Entry, LaidOutTable
from agcli.paper.printed import PERCENT

OURS, PAPER = "ours", "paper"


@dataclass(frozen=True)
class Block:
    """One group of columns as a table of text.

    Attributes:
        title: the data set, and the model where a group has one.
        columns: header cells.
        rows: cells of text.
        caption: footnotes that these rows refer to.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str


@dataclass(frozen=True)
class Line:
    """A row of one group as it is written: our numbers or the paper's.

    Attributes:
        text: the row's name; empty on a paper's line below ours.
        source: `ours` or `paper`.
        cells: the numbers.
        n: seeds, as `10` or `8-10`; empty where that means nothing.
        marks: footnotes.
    """

    text: str
    source: str
    cells: tuple[Cell, ...]
    n: str
    marks: tuple[int, ...]


def blocks(table: LaidOutTable, write: Callable[[Cell, str, str], str] | None = None) -> list[Block]:
    """A table of text for each group of columns that has a number, for a terminal.

    Args:
        table: the table.
        write: how a number reads, of a cell, its source and the unit; as in `cell_text` where nothing is given.
    """
    found = (_block(table, place, write or cell_text) for place in range(len(table.groups)))
    return [block for block in found if block.rows]


def markdown(table: LaidOutTable) -> str:
    """The table as Markdown: one table for each group of columns, then footnotes and notes."""
    parts = [f"### {_escaped(table.title)}"]
    for block in (_block(table, place, _markdown_cell) for place in range(len(table.groups))):
        heads = [_escaped(column) for column in block.columns]
        body = [[_escaped(row[0]), *row[1:]] for row in block.rows]
        ruled = [heads, ["---", "---", *["---:"] * (len(heads) - 2)], *body]
        parts += [f"**{_escaped(block.title)}**", "\n".join(f"| {' | '.join(row)} |" for row in ruled)] if body else []
    parts.append("  \n".join(f"\\[{place}] {_escaped(line)}" for place, line in enumerate(table.footnotes, 1)))
    parts.append("\n".join(f"- {_escaped(line)}" for line in table.notes))
    return "\n\n".join(part for part in parts if part) + "\n"


def records(table: LaidOutTable) -> list[dict[str, Any]]:
    """One record a number, for CSV and JSON: what it was measured on, ours, the paper's, and what is to be said."""
    return [
        {
            "table": table.name,
            "row": row.text,
            "group": group.text,
            "column": column.text,
            **{name: cell.where.get(name, "") for name in _settings(table)},
            "unit": table.unit,
            **{"ours": _rounded(cell.mean), "ours_sd": _rounded(cell.sd), "n": cell.n},
            **{"stars": cell.stars, "best": int(cell.best), "paper": cell.paper},
            "notes": " ".join(table.footnotes[mark - 1] for mark in (*entry.ours, *entry.paper)),
        }
        for row in table.rows
        for group, entry in zip(table.groups, row.entries, strict=True)
        for column, cell in zip(group.columns, entry.cells, strict=True)
        if cell.mean is not None or cell.paper is not None or entry.ours
    ]


def as_json(table: LaidOutTable) -> dict[str, Any]:
    """The whole table as one object."""
    return {
        **{"table": table.name, "title": table.title, "unit": table.unit},
        **{"numbers": records(table), "footnotes": list(table.footnotes), "notes": list(table.notes)},
    }


def entry_lines(table: LaidOutTable, text: str, entry: Entry) -> Iterator[Line]:
    """The written rows of an entry: ours, and below it the paper's; what neither has is left out."""
    ours = any(cell.mean is not None for cell in entry.cells) or bool(entry.ours)
    if ours:
        yield Line(text, OURS, entry.cells, seeds_text(entry.cells) if table.unit == PERCENT else "", entry.ours)
    if any(cell.paper is not None for cell in entry.cells):
        yield Line("" if ours else text, PAPER, entry.cells, "", entry.paper)


def seeds_text(cells: Sequence[Cell]) -> str:
    """`10`, or `8-10` where the numbers of a row rest on different seeds."""
    counts = [cell.n for cell in cells if cell.n]
    return "-".join(str(count) for count in dict.fromkeys((min(counts), max(counts)))) if counts else "0"


def number_text(value: float, unit: str) -> str:
    """Percent with two decimals as in the paper; seconds with three digits, from 100 on whole."""
    return f"{value:.2f}" if unit == PERCENT else f"{value:.3g}" if value < 100 else f"{value:.0f}"


def cell_text(cell: Cell, source: str, unit: str) -> str:
    """`83.89 ± 0.31*`, the paper's `83.89`, or a dash."""
    value = cell.mean if source == OURS else cell.paper
    if value is None:
        return "-"
    if source == PAPER:
        return number_text(value, unit)
    spread = f" ± {number_text(cell.sd, unit)}" if cell.sd is not None else ""
    return f"{number_text(value, unit)}{spread}{cell.stars}"


def _markdown_cell(cell: Cell, source: str, unit: str) -> str:
    if source == OURS and cell.best:
        return f"**{cell_text(replace(cell, stars=''), source, unit)}**{_escaped(cell.stars)}"
    return _escaped(cell_text(cell, source, unit))


def _block(table: LaidOutTable, place: int, write: Callable[[Cell, str, str], str]) -> Block:
    group, counted = table.groups[place], table.unit == PERCENT
    written = [line for row in table.rows for line in entry_lines(table, row.text, row.entries[place])]
    rows = []
    for line in written:
        cells = [write(cell, line.source, table.unit) for cell in line.cells]
        cells[0] += "".join(f" [{mark}]" for mark in line.marks)
        rows.append((line.text, line.source, *cells, *([line.n] if counted else [])))
    used = sorted({mark for line in written for mark in line.marks})
    return Block(
        title=group.text,
        columns=("Methods", "from", *(column.text for column in group.columns), *(["n"] if counted else [])),
        rows=tuple(rows),
        caption="\n".join(f"[{mark}] {table.footnotes[mark - 1]}" for mark in used),
    )


def _settings(table: LaidOutTable) -> list[str]:
    """All that cells were measured on and with, in the order of appearance."""
    cells = (cell for row in table.rows for entry in row.entries for cell in entry.cells)
    return list(dict.fromkeys(name for cell in cells for name in cell.where))


def _rounded(value: float | None) -> float | None:
    """Without the digits that 100 * 0.8389 adds."""
    return None if value is None else round(value, 6)


def _escaped(text: str) -> str:
    """Text in which Markdown reads nothing: no emphasis, no end of a cell, no link."""
    return " ".join("".join(f"\\{letter}" if letter in "\\|*_[]<>`" else letter for letter in text).split())
