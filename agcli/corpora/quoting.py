"""Whether a delimited file is CSV-quoted: decided per file, by evidence, so that no row is ever eaten.

MultiNLI and GLUE files are not quoted, and their fields may start with a lone quotation mark: read as CSV, such a
field swallows the rows up to the next mark. Other copies of the same formats were written by a CSV writer, and read
plainly they keep doubled quotation marks in the text.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from agcli.corpora.files import SourceFile, text_lines
from agcli.errors import DataError

Quoting = Literal["auto", "none", "minimal"]
_WRAPPED = re.compile(r'"(?:[^"]|"")*+"')


@dataclass(frozen=True)
class _Evidence:
    """What plain reading shows.

    Attributes:
        lines: number of lines.
        even: every line has as many fields as the header.
        marks: some field holds a quotation mark.
        bare: some field holds a mark that CSV quoting would have wrapped or doubled.
        doubled: some wrapped field holds a doubled mark.
        header: every field of the header is wrapped.
    """

    lines: int
    even: bool
    marks: bool
    bare: bool
    doubled: bool
    header: bool


def detect_quoting(source: SourceFile, delimiter: str) -> Quoting:
    """`minimal` (CSV rules) or `none` (a quotation mark is a character like any other).

    - No mark at all: `none`; both readings agree.
    - Plain reading gives every line its columns. Tab: quoted if every mark is one that a CSV writer writes and some
      are doubled, or the header is wrapped. Comma: quoted if CSV reading finds the same rows.
    - Plain reading gives uneven lines: quoted if CSV reading is even; else the delimiter's custom decides, and the
      reader reports the first bad row.
    """
    plain = _plain_reading(source, delimiter)
    if not plain.marks:
        return "none"
    if not plain.even:
        return "minimal" if delimiter != "\t" or _csv_rows(source, delimiter) is not None else "none"
    if delimiter != "\t":
        return "minimal" if _csv_rows(source, delimiter) == plain.lines else "none"
    return "minimal" if not plain.bare and (plain.doubled or plain.header) else "none"


def _plain_reading(source: SourceFile, delimiter: str) -> _Evidence:
    columns = blank = lines = 0
    even = True
    marks = bare = doubled = header = False
    for row, line in text_lines(source):
        if not line:
            blank += 1
            continue
        even, blank, lines = even and not blank, 0, lines + 1
        if row == 1:
            columns = line.count(delimiter)
        even = even and line.count(delimiter) == columns
        if '"' not in line:
            continue
        marks = True
        fields = line.split(delimiter)
        header = header or (row == 1 and all(map(_WRAPPED.fullmatch, fields)))
        if not bare:
            marked = [field for field in fields if '"' in field]
            bare = not all(map(_WRAPPED.fullmatch, marked))
            doubled = doubled or any('""' in field[1:-1] for field in marked)
    return _Evidence(lines, even, marks, bare, doubled, header)


def _csv_rows(source: SourceFile, delimiter: str) -> int | None:
    """Rows that strict CSV reading finds; None where it fails or a row differs from the header in columns."""
    rows = columns = 0
    try:
        for _, fields in csv_fields(source, delimiter):
            columns = columns or len(fields)
            if fields and len(fields) != columns:
                return None
            rows += bool(fields)
    except DataError:
        return None
    return rows


def csv_fields(source: SourceFile, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Fields by CSV rules, each row with the number of its first line.

    Raises:
        DataError: a quoted field that never ends, or text after its end.
    """
    csv.field_size_limit(sys.maxsize)  # the default of 131,072 characters is below some full texts
    reader = csv.reader((line + "\n" for _, line in text_lines(source)), delimiter=delimiter, strict=True)
    while True:
        row = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            hint = "if a quotation mark is plain text in this file: --quoting none"
            raise DataError(f"broken quoting ({error})", file=source.name, row=row, hint=hint) from None
        yield row, fields


def plain_fields(source: SourceFile, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Fields with no quoting rules at all."""
    for row, line in text_lines(source):
        yield row, line.split(delimiter) if line else []
