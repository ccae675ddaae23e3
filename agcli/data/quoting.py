r"""Whether a delimited file is CSV-quoted: decided per file, by evidence, so that no row is ever eaten.

MultiNLI and GLUE files are not quoted, and their fields may start with a lone quotation mark: read as CSV, such a
field swallows the rows up to the next mark. Other copies of the same formats were written by a CSV writer, and read
plainly they keep doubled quotation marks in the text; Spark, R and MySQL write `\"` where CSV has `""`.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from agcli.data.files import SourceFile, text_lines
from agcli.errors import DataError

Quoting = Literal["auto", "none", "minimal", "backslash"]
_WRAPPED = re.compile(r'"(?:[^"]|"")*+"')
_ESCAPED = re.compile(r'"(?:[^"\\]|\\.)*+"')
_BACKSLASH = re.compile(r'\\(["\\]?)')
_RETURN = "\ufdd0"  # `csv` takes a carriage return for the end of a row; Unicode keeps this code point free of text
_SEPARATOR_LINE = re.compile(r"sep=(.)", re.IGNORECASE)


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
        escapes: some field holds a mark behind a backslash.
        escaped: numbers of lines, once for each field that a writer wrapped and filled with backslashes.
        unescaped: numbers of lines, once for each field with marks that such a writer did not write.
    """

    lines: int
    even: bool
    marks: bool
    bare: bool
    doubled: bool
    header: bool
    escapes: bool
    escaped: Sequence[int]
    unescaped: Sequence[int]


def detect_quoting(source: SourceFile, delimiter: str) -> Quoting:
    r"""`minimal` (CSV rules), `backslash` (CSV with `\"` for a mark) or `none` (a mark is a character like any other).

    - No mark at all: `none`; all readings agree.
    - Plain reading gives every line its columns. Tab: quoted if every mark is one that a CSV writer writes and some
      are doubled, or the header is wrapped. Comma: quoted if CSV reading finds the same rows. Else, if some field is
      wrapped and holds marks behind backslashes, see `_backslash_or_none`.
    - Plain reading gives uneven lines: the first of CSV reading and `backslash` (if there are any) that is even; else
      the delimiter's custom decides, and the reader reports the first bad row.

    Raises:
        DataError: some fields are wrapped and hold marks behind backslashes, others contradict that.
    """
    plain = _plain_reading(source, delimiter)
    if not plain.marks:
        return "none"
    if plain.even:
        if delimiter == "\t":
            quoted = not plain.bare and (plain.doubled or plain.header)
        else:
            quoted = _csv_rows(source, delimiter, "minimal") == plain.lines
        return "minimal" if quoted else _backslash_or_none(plain, source, delimiter)
    candidates: tuple[Quoting, ...] = ("minimal", "backslash") if plain.escapes else ("minimal",)
    even = (each for each in candidates if _csv_rows(source, delimiter, each) is not None)
    return next(even, "none" if delimiter == "\t" else "minimal")


def _backslash_or_none(plain: _Evidence, source: SourceFile, delimiter: str) -> Quoting:
    r"""The reading of a file with fields like `"say \"hi\""`, perhaps beside others like `5" tube` or `"lone`.

    `backslash` if that reading finds the same rows; in a tab-separated file, which by custom is not quoted, such fields
    must be the majority of those that tell the readings apart. There a minority is text where only `none` reads all.

    Raises:
        DataError: neither reading is certain.
    """
    if not plain.escaped:
        return "none"
    fits = not plain.unescaped or _csv_rows(source, delimiter, "backslash") == plain.lines
    majority = len(plain.escaped) > len(plain.unescaped)
    if fits and (majority or delimiter != "\t"):
        return "backslash"
    if not fits and not majority and delimiter == "\t":
        return "none"
    wrapped = f'{len(plain.escaped)} field(s) are wrapped in quotation marks with \\" inside'
    raise DataError(
        f"{wrapped} (first: row {plain.escaped[0]}), {len(plain.unescaped)} hold marks that are not written so",
        file=source.name,
        row=plain.unescaped[0],
        hint='--quoting backslash if \\" stands for a mark, --quoting none if marks and backslashes are plain text',
    )


def _plain_reading(source: SourceFile, delimiter: str) -> _Evidence:
    columns = blank = lines = 0
    even = True
    marks = bare = doubled = header = escapes = False
    escaped: list[int] = []
    unescaped: list[int] = []
    for row, line in table_lines(source):
        if not line:
            blank += 1
            continue
        even, blank, lines = even and not blank, 0, lines + 1
        if lines == 1:
            columns = line.count(delimiter)
        even = even and line.count(delimiter) == columns
        if '"' not in line:
            continue
        marks = True
        fields = line.split(delimiter)
        header = header or (lines == 1 and all(map(_WRAPPED.fullmatch, fields)))
        marked = [field for field in fields if '"' in field]
        escapes = escapes or '\\"' in line
        for field in marked:
            if not _ESCAPED.fullmatch(field):
                unescaped.append(row)
            elif '\\"' in field:
                escaped.append(row)
        if not bare:
            bare = not all(map(_WRAPPED.fullmatch, marked))
            doubled = doubled or any('""' in field[1:-1] for field in marked)
    return _Evidence(lines, even, marks, bare, doubled, header, escapes, escaped, unescaped)


def _csv_rows(source: SourceFile, delimiter: str, quoting: Quoting) -> int | None:
    """Rows that strict CSV reading finds; None where it fails or a row differs from the header in columns."""
    rows = columns = 0
    try:
        for _, fields in csv_fields(source, delimiter, quoting):
            columns = columns or len(fields)
            if fields and len(fields) != columns:
                return None
            rows += bool(fields)
    except DataError:
        return None
    return rows


def csv_fields(source: SourceFile, delimiter: str, quoting: Quoting = "minimal") -> Iterator[tuple[int, list[str]]]:
    """Fields by CSV rules, each row with the number of its first line.

    A carriage return inside a field is text, and where the header's names stand behind ", " so do all cells.

    Raises:
        DataError: a quoted field that never ends, or text after its end.
    """
    csv.field_size_limit(sys.maxsize)  # the default of 131,072 characters is below some full texts
    lines = table_lines(source)
    first, line = next(lines, (1, ""))
    rest = (line for _, line in lines)
    escapes = quoting == "backslash"
    spaced = len(names := line.split(delimiter)) > 1 and all(name.startswith(" ") for name in names[1:])
    text = (line.replace("\r", _RETURN) + "\n" for line in chain([line], rest))
    reader = csv.reader(
        map(_protected, text) if escapes else text,
        delimiter=delimiter,
        strict=True,
        escapechar="\\" if escapes else None,
        skipinitialspace=spaced,
    )
    while True:
        row = reader.line_num + first
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            hint = 'if a quotation mark is plain text here: --quoting none; if \\" stands for one: --quoting backslash'
            raise DataError(f"broken quoting ({error})", file=source.name, row=row, hint=hint) from None
        yield row, [field.replace(_RETURN, "\r") for field in fields]


def _protected(line: str) -> str:
    r"""A line of which `csv`, with a backslash as `escapechar`, takes only `\"` and `\\` apart, and not `\n`."""
    return _BACKSLASH.sub(lambda found: found[0] if found[1] else r"\\", line)


def plain_fields(source: SourceFile, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Fields with no quoting rules at all."""
    for row, line in table_lines(source):
        yield row, line.split(delimiter) if line else []


def named_delimiter(source: SourceFile) -> str | None:
    """The delimiter that the first line names: `sep=;`."""
    found = _SEPARATOR_LINE.fullmatch(next(text_lines(source), (1, ""))[1])
    return found[1] if found else None


def table_lines(source: SourceFile) -> Iterator[tuple[int, str]]:
    """The numbered lines of a table, without a first line that names the delimiter."""
    for row, line in text_lines(source):
        if row > 1 or not _SEPARATOR_LINE.fullmatch(line):
            yield row, line
