"""Pairs out of any table: tab- or comma-separated text, JSON lines, parquet. Columns are found by name."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from agcli.data.files import SourceFile, json_records
from agcli.data.pairs import UNLABELLED, Pair, SourceRecord, SourceSplit
from agcli.data.parquet import Unreadable, parquet_rows
from agcli.data.quoting import Quoting, csv_fields, detect_quoting, named_delimiter, plain_fields, table_lines
from agcli.errors import DataError, did_you_mean

DELIMITERS = {".tsv": "\t", ".txt": "\t", ".csv": ","}
JSON_LINES = (".jsonl", ".ndjson", ".json")
SUFFIXES = (*DELIMITERS, *JSON_LINES, ".parquet")
NAME_COLUMNS = "name the columns: --text-a COLUMN --text-b COLUMN --label COLUMN"
_ABSENT = object()


@dataclass(frozen=True)
class Columns:
    """Which columns hold what. Each role lists alternatives; the first that the table has is taken.

    Attributes:
        text_a: first text, required.
        text_b: second text, required.
        label: label, required.
        id: identifier, optional.
        document: document identifier, optional.
        split: split name, optional.
        named: roles whose column the user named; they are required.
        hint: how the user names other columns.
    """

    text_a: tuple[str, ...]
    text_b: tuple[str, ...]
    label: tuple[str, ...]
    id: tuple[str, ...] = ()
    document: tuple[str, ...] = ()
    split: tuple[str, ...] = ()
    named: frozenset[str] = frozenset()
    hint: str = NAME_COLUMNS


@dataclass(frozen=True)
class Table:
    """An opened table: its header, its rows with their numbers, and how quotation marks were read."""

    file: str
    header: tuple[str, ...]
    rows: Iterator[tuple[int, Sequence[Any]]]
    quoting: str | None = None


def open_table(source: SourceFile, quoting: Quoting = "auto", head: int | None = None) -> Table:
    """Open a table by its suffix; rows are read as they are asked for.

    Args:
        source: the file.
        quoting: how quotation marks are read.
        head: JSON records whose keys make the header; None takes those of all, in a reading of its own.

    Raises:
        DataError: unknown suffix, empty or broken file; while reading rows: a wrong number of columns.
    """
    if source.suffix in DELIMITERS:
        return _open_delimited(source, _delimiter(source), quoting)
    if source.suffix in JSON_LINES:
        return _open_json_lines(source, head)
    if source.suffix == ".parquet":
        header, rows = parquet_rows(source)
        return Table(source.name, header, rows)
    raise DataError("unknown kind of file", file=source.name, value=source.suffix, allowed=SUFFIXES)


def _delimiter(source: SourceFile) -> str:
    """The suffix's own; a `.csv` whose header has no comma is a spreadsheet's of another language: `;` or tab.

    A first line `sep=;`, as Excel reads and other programs write it, says it outright.

    Raises:
        DataError: shards whose headers differ.
    """
    usual = DELIMITERS[source.suffix]
    _, header = next(table_lines(source), (1, ""))
    for shard in source.shards:
        if next(table_lines(shard), (1, ""))[1] != header:
            raise DataError(f"its header is not that of {source.shards[0].name}", file=shard.name, row=1)
    named = named_delimiter(source)
    if named or source.suffix != ".csv" or usual in header:
        return named or usual
    return next((each for each in (";", "\t") if each in header), usual)


def _open_delimited(source: SourceFile, delimiter: str, quoting: Quoting) -> Table:
    decided = detect_quoting(source, delimiter) if quoting == "auto" else quoting
    rows = plain_fields(source, delimiter) if decided == "none" else csv_fields(source, delimiter, decided)
    header = next((fields for _, fields in rows), [])
    if not header:
        raise DataError("the file is empty", file=source.name)
    whole = _full_rows(rows, len(header), source.name, decided)
    if len(header) > 1 and all(name.startswith(" ") for name in header[1:]):  # written with ", " between the cells
        header = [name.lstrip(" ") for name in header]
        whole = ((row, [cell.lstrip(" ") for cell in cells]) for row, cells in whole)
    return Table(source.name, tuple(header), whole, decided)


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


def _open_json_lines(source: SourceFile, head: int | None) -> Table:
    keys: dict[str, None] = {}
    for _, record in islice(json_records(source), head):
        keys.update(dict.fromkeys(record))
    header = tuple(keys)
    if not header:
        raise DataError("the file is empty", file=source.name)
    rows = ((row, [record.get(key, _ABSENT) for key in header]) for row, record in json_records(source))
    return Table(source.name, header, rows)


def read_pairs(table: Table, columns: Columns, label_names: Sequence[str] | None = None) -> Iterator[Pair]:
    """The table's rows as pairs, in order.

    Args:
        table: an opened table.
        columns: where each role is found.
        label_names: names for labels that are stored as 0, 1, ...; -1 is then "no gold label".

    Raises:
        DataError: a missing column, a header with no rows, or a cell of the wrong type.
    """
    places = _places(table, columns)
    name = None if label_names is None else _label_namer(table, label_names)
    row = None
    for row, values in table.rows:
        cells = {role: values[place] for role, place in places.items()}
        text_a = _text(cells["text_a"], table, row, places["text_a"])
        text_b = _text(cells["text_b"], table, row, places["text_b"])
        label = name(cells["label"], row) if name else _word(cells["label"], table, row, places["label"])
        yield Pair(
            row,
            text_a,
            text_b,
            label,
            *(_optional(cells[role], table, row, places[role]) if role in cells else "" for role in _OPTIONAL),
        )
    if row is None:
        raise DataError("a header and no rows", file=table.file)


_REQUIRED = ("text_a", "text_b", "label")
_OPTIONAL = ("id", "document", "split")


def _places(table: Table, columns: Columns) -> dict[str, int]:
    """Role -> index of its column."""
    places: dict[str, int] = {}
    for role in (*_REQUIRED, *_OPTIONAL):
        wanted: tuple[str, ...] = getattr(columns, role)
        found = next((name for name in wanted if name in table.header), None)
        if found is not None:
            if table.header.count(found) > 1:
                raise DataError("two columns have this name", file=table.file, row=1, column=found)
            places[role] = table.header.index(found)
        elif role in _REQUIRED or role in columns.named:
            raise _missing_column(table, role, columns)
    if places["text_a"] == places["text_b"]:
        column = table.header[places["text_a"]]
        raise DataError("one column for both texts", file=table.file, column=column, hint=columns.hint)
    return places


def label_column(table: Table, columns: Columns) -> str:
    """The name of the column that holds the labels.

    Raises:
        DataError: there is none.
    """
    return table.header[_places(table, columns)["label"]]


def _missing_column(table: Table, role: str, columns: Columns) -> DataError:
    wanted: str = getattr(columns, role)[0]
    there = [name for name in dict.fromkeys(table.header) if name and name != "null"]
    hints = {"id": "--no-ids makes ids of split and row", "document": None, "split": None}
    return DataError(
        "no such column" + (f"; {UNLABELLED}" if role == "label" and role not in columns.named else ""),
        file=table.file,
        row=1,
        column=wanted,
        allowed=there,
        detail=did_you_mean(wanted, there),
        hint=hints.get(role, columns.hint),
    )


def _text(value: Any, table: Table, row: int, place: int) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    raise _wrong_cell(value, "text", table, row, place)


def _word(value: Any, table: Table, row: int, place: int) -> str:
    """A label or an identifier: text, or a whole number written as one."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    raise _wrong_cell(value, "text or a whole number", table, row, place)


def _optional(value: Any, table: Table, row: int, place: int) -> str:
    return "" if value is _ABSENT else _word(value, table, row, place)


def _wrong_cell(value: Any, wanted: str, table: Table, row: int, place: int) -> DataError:
    column = table.header[place]
    if value is _ABSENT:
        return DataError("this record lacks the column", file=table.file, row=row, column=column)
    problem = f"a cell of type {type(value).__name__}"
    if isinstance(value, Unreadable):
        problem = "a column of which some cells have no value in Python"
    return DataError(problem, file=table.file, row=row, column=column, allowed=[wanted])


def _label_namer(table: Table, names: Sequence[str]) -> Callable[[Any, int], str | None]:
    known: Mapping[Any, str | None] = {None: None, -1: None, **dict(enumerate(names)), **{name: name for name in names}}

    def name(value: Any, row: int) -> str | None:
        if not isinstance(value, Hashable) or value not in known:
            allowed = [-1, *range(len(names))]
            raise DataError("this label has no name", file=table.file, row=row, value=value, allowed=allowed)
        return known[value]

    return name


def read_split(
    source: SourceFile,
    split: str,
    columns: Columns,
    quoting: Quoting = "auto",
    label_names: Sequence[str] | None = None,
) -> tuple[SourceSplit, tuple[SourceRecord, ...]]:
    """One whole file, or all its shards, as one split, and the records for the manifest.

    Raises:
        DataError: see `open_table` and `read_pairs`.
    """
    records = source_records(split, source)
    table = open_table(source, quoting)
    pairs = list(read_pairs(table, columns, label_names))
    sources = tuple(replace(each, quoting=table.quoting) for each in records)
    return SourceSplit(source.name, label_column(table, columns), pairs), sources


def source_records(split: str, source: SourceFile) -> tuple[SourceRecord, ...]:
    """Hash and size of each file of a source; an archive's damaged member shows here, before any row is read."""
    return tuple(SourceRecord(split, file.name, *file.sha256_and_bytes()) for file in source.files)
