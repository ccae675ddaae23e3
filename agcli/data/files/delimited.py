r"""Comma- and tab-separated text. Whether it is CSV-quoted is decided per file, by evidence, so that no row is lost.

MultiNLI and GLUE files are not quoted, and their fields may start with a lone quotation mark: read as CSV, such a
field swallows the rows up to the next mark. Other copies of the same formats were written by a CSV writer, and read
plainly they keep doubled quotation marks in the text; Spark, R and MySQL write `\"` where CSV has `""`.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal

from agcli.data.files.opening import SourceFile
from agcli.data.files.text import text_lines
from agcli.errors import DataError

DELIMITERS = {".tsv": "\t", ".txt": "\t", ".csv": ","}
Quoting = Literal["auto", "none", "minimal", "backslash"]
_WRAPPED = re.compile(r'"(?:[^"]|"")*+"')
_ESCAPED = re.compile(r'"(?:[^"\\]|\\.)*+"')
_BACKSLASH = re.compile(r'\\(["\\]?)')
_RETURN = "\ufdd0"  # `csv` takes a carriage return for the end of a row; Unicode keeps this code point free of text
_SEPARATOR_LINE = re.compile(r"sep=(.)", re.IGNORECASE)


def delimited_rows(
    source: SourceFile, quoting: Quoting
) -> tuple[list[str], Iterator[tuple[int, Sequence[str]]], Quoting]:
    """Header, numbered rows, and how quotation marks are read; rows of delimiters alone at the end are left out.

    Raises:
        DataError: empty or broken file; while reading rows: a wrong number of columns.
    """
    delimiter = _delimiter(source)
    decided = detect_quoting(source, delimiter) if quoting == "auto" else quoting
    rows = _plain_fields(source, delimiter) if decided == "none" else _csv_fields(source, delimiter, decided)
    header = next((fields for _, fields in rows), [])
    if not header:
        raise DataError("the file is empty", file=source.name)
    whole = _full_rows(rows, len(header), source.name, decided)
    if _spaced(header):
        header = [name.lstrip(" ") for name in header]
        whole = ((row, [cell.lstrip(" ") for cell in cells]) for row, cells in whole)
    return header, whole, decided


def _spaced(header: Sequence[str]) -> bool:
    """Whether a table was written with ", " between its cells."""
    return len(header) > 1 and all(name.startswith(" ") for name in header[1:])


def _full_rows(
    rows: Iterator[tuple[int, list[str]]], columns: int, name: str, quoting: str
) -> Iterator[tuple[int, Sequence[str]]]:
    blank = None
    bare: list[tuple[int, Sequence[str]]] = []  # spreadsheets leave rows of delimiters alone below their last
    for row, fields in rows:
        if not fields:
            blank = blank or row
            continue
        if blank:
            raise DataError("a blank row between rows", file=name, row=blank)
        if len(fields) != columns:
            raise DataError(
                f"{len(fields)} columns where the header has {columns} (quoting: {quoting})",
                file=name,
                row=row,
                allowed=[f"{columns} columns"],
                hint="if quotation marks were misread: --quoting none, minimal or backslash",
            )
        bare.append((row, fields))
        if any(fields):
            yield from bare
            bare.clear()


def _delimiter(source: SourceFile) -> str:
    """The suffix's own; a `.csv` whose header has no comma is a spreadsheet's of another language: `;` or tab.

    A first line `sep=;`, as Excel reads and other programs write it, says it outright.

    Raises:
        DataError: shards whose headers differ.
    """
    usual = DELIMITERS[source.suffix]
    header = _header(source)
    for shard in source.shards:
        if _header(shard) != header:
            raise DataError(f"its header is not that of {source.shards[0].name}", file=shard.name, row=1)
    named = _SEPARATOR_LINE.fullmatch(next(text_lines(source), (1, ""))[1])
    if named:
        return named[1]
    if source.suffix != ".csv" or usual in header:
        return usual
    return next((delimiter for delimiter in (";", "\t") if delimiter in header), usual)


def _header(source: SourceFile) -> str:
    return next(_table_lines(source), (1, ""))[1]


@dataclass
class _Evidence:
    """What plain reading shows of a file.

    Attributes:
        even: every line has as many fields as the header.
        marks: some field holds a quotation mark.
        bare: some field holds a mark that CSV quoting would have wrapped or doubled.
        doubled: some wrapped field holds a doubled mark.
        header: every field of the header is wrapped.
        escapes: some field holds a mark behind a backslash.
        escaped: numbers of lines, once for each field that a writer wrapped and filled with backslashes.
        unescaped: numbers of lines, once for each field with marks that such a writer did not write.
    """

    lines: int = 0
    even: bool = True
    marks: bool = False
    bare: bool = False
    doubled: bool = False
    header: bool = False
    escapes: bool = False
    escaped: list[int] = field(default_factory=list)
    unescaped: list[int] = field(default_factory=list)


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
    even = (quoting for quoting in candidates if _csv_rows(source, delimiter, quoting) is not None)
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
    shown = _Evidence()
    columns = blank = 0
    for row, line in _table_lines(source):
        if not line:
            blank += 1
            continue
        shown.lines += 1
        if shown.lines == 1:
            columns = line.count(delimiter)
        shown.even = shown.even and not blank and line.count(delimiter) == columns
        if '"' in line:
            _look_at_marks(shown, row, line, line.split(delimiter))
    return shown


def _look_at_marks(shown: _Evidence, row: int, line: str, fields: list[str]) -> None:
    marked = [cell for cell in fields if '"' in cell]
    shown.marks = True
    shown.header = shown.header or (shown.lines == 1 and all(map(_WRAPPED.fullmatch, fields)))
    shown.escapes = shown.escapes or '\\"' in line
    for cell in marked:
        if not _ESCAPED.fullmatch(cell):
            shown.unescaped.append(row)
        elif '\\"' in cell:
            shown.escaped.append(row)
    if not shown.bare:
        shown.bare = not all(map(_WRAPPED.fullmatch, marked))
        shown.doubled = shown.doubled or any('""' in cell[1:-1] for cell in marked)


def _csv_rows(source: SourceFile, delimiter: str, quoting: Quoting) -> int | None:
    """Rows that strict CSV reading finds; None where it fails or a row differs from the header in columns."""
    rows = columns = 0
    try:
        for _, fields in _csv_fields(source, delimiter, quoting):
            columns = columns or len(fields)
            if fields and len(fields) != columns:
                return None
            rows += bool(fields)
    except DataError:
        return None
    return rows


def _csv_fields(source: SourceFile, delimiter: str, quoting: Quoting = "minimal") -> Iterator[tuple[int, list[str]]]:
    """Fields by CSV rules, each row with the number of its first line.

    A carriage return inside a field is text, and where the header's names stand behind ", " so do all cells.

    Raises:
        DataError: a quoted field that never ends, or text after its end.
    """
    csv.field_size_limit(sys.maxsize)  # the default of 131,072 characters is below some full texts
    lines = _table_lines(source)
    first, line = next(lines, (1, ""))
    rest = (line for _, line in lines)
    escapes = quoting == "backslash"
    text = (line.replace("\r", _RETURN) + "\n" for line in chain([line], rest))
    reader = csv.reader(
        map(_protected, text) if escapes else text,
        delimiter=delimiter,
        strict=True,
        escapechar="\\" if escapes else None,
        skipinitialspace=_spaced(line.split(delimiter)),
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
        yield row, [cell.replace(_RETURN, "\r") for cell in fields]


def _protected(line: str) -> str:
    r"""A line of which `csv`, with a backslash as `escapechar`, takes only `\"` and `\\` apart, and not `\n`."""
    return _BACKSLASH.sub(lambda match: match[0] if match[1] else r"\\", line)


def _plain_fields(source: SourceFile, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Fields with no quoting rules at all."""
    for row, line in _table_lines(source):
        yield row, line.split(delimiter) if line else []


def _table_lines(source: SourceFile) -> Iterator[tuple[int, str]]:
    """The numbered lines of a table, without a first line that names the delimiter."""
    for row, line in text_lines(source):
        if row > 1 or not _SEPARATOR_LINE.fullmatch(line):
            yield row, line
