"""One type for every table that is shown or written, and how its cells read as text."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Characters in data that a terminal could take for commands."""
_NUMBER = re.compile(r"[<>≤≥]?[+\-−]?\.?\d(?:[^A-Za-z\[]|(?<= )to(?= )|\[[^\[\]]*\])*")


@dataclass(frozen=True)
class Number:
    """A formatted number with its standard deviation, stars of significance, and keys of `Table.footnotes`.

    `text` may be empty: a missing number may need a footnote. The `best` number is emphasised.
    """

    text: str
    spread: str = ""
    stars: str = ""
    best: bool = False
    footnotes: tuple[int, ...] = ()

    @property
    def with_spread(self) -> str:
        """`83.89 ± 0.31`, or a dash."""
        return f"{self.text or '-'}{' ± ' if self.spread else ''}{self.spread}"

    @property
    def references(self) -> str:
        """` [1] [2]`."""
        return "".join(f" [{key}]" for key in self.footnotes)


@dataclass(frozen=True)
class Table:
    """A table in no particular format.

    Attributes:
        rows: one sequence of cells a row: text, a number, a `Number`, or None.
        caption: shown below; lines stay lines.
        groups: heading and width of each group of columns; the columns before the first group name the rows, and rows
            of one name follow each other.
        notes: lines on the whole table.
        names: texts of header or cells that letters may stand for where a terminal is too narrow, as names of runs.
        spare: columns that a narrow terminal may lack, the first to go first.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    caption: str = ""
    groups: Sequence[tuple[str, int]] = ()
    footnotes: Mapping[int, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    names: Sequence[str] = ()
    spare: Sequence[str] = ()

    def cells(self, index: int) -> list[str]:
        """One column as text."""
        return [cell_text(row[index]) for row in self.rows]

    def numeric(self, index: int) -> bool:
        """Whether a column holds numbers, which may carry an interval, and dashes; it is then right-aligned."""
        written = [cell for cell in self.cells(index) if cell not in ("", "-")]
        return bool(written) and all(is_number(cell) for cell in written)

    def by_groups(self, count: int) -> Iterator[Table]:
        """Tables of at most `count` groups of columns, each with the rows and footnotes that it has a cell for."""
        first = self.first_grouped
        spans: list[tuple[str, range]] = []
        for heading, width in self.groups:
            places = range(first, first + width)
            first += width
            if any(_filled(row, places) for row in self.rows):
                spans.append((heading, places))
        for start in range(0, len(spans), count):
            yield self._part(spans[start : start + count])

    @property
    def first_grouped(self) -> int:
        """Index of the first column that belongs to a group."""
        return len(self.columns) - sum(width for _, width in self.groups)

    def _part(self, spans: Sequence[tuple[str, range]]) -> Table:
        lead = range(self.first_grouped)
        places = [place for _, span in spans for place in span]
        kept = [row for row in self.rows if _filled(row, places)]
        numbers = [row[place] for row in kept for place in places]
        used = {key for cell in numbers if isinstance(cell, Number) for key in cell.footnotes}
        rows: list[list[object]] = []
        for before, row in zip([None, *kept], kept, strict=False):
            name = "" if before and before[0] == row[0] else row[0]
            rows.append([name, *(row[place] for place in (*lead[1:], *places))])
        return replace(
            self,
            title=", ".join(heading for heading, _ in spans),
            columns=[self.columns[place] for place in (*lead, *places)],
            rows=rows,
            groups=[(heading, len(span)) for heading, span in spans],
            footnotes={key: text for key, text in self.footnotes.items() if key in used},
        )


def cell_text(cell: object) -> str:
    """One cell as text: four decimals for a float of common size, else four digits; a dash for nothing."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return "-"
    if isinstance(cell, Number):
        return f"{cell.with_spread}{cell.stars}{cell.references}"
    if not isinstance(cell, float):
        return clean(str(cell))
    return f"{cell:.4f}" if 1e-3 <= abs(cell) < 10 or cell == 0 else f"{cell:.4g}"


def is_number(text: str) -> bool:
    """Whether a cell reads as a number, alone or with its interval or standard deviation."""
    return _NUMBER.fullmatch(text) is not None


def clean(text: str) -> str:
    """`text` with a replacement character for each that could steer a terminal."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def _filled(row: Sequence[object], places: Sequence[int]) -> bool:
    return any(row[place] not in (None, "") for place in places)
