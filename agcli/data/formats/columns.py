"""Pairs out of tables: columns column by name, cells checked by type."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agcli.data.files.delimited import Quoting
from agcli.data.files.opening import SourceFile
from agcli.data.files.parquet import Unreadable
from agcli.data.files.tables import ABSENT, Table, open_table
from agcli.data.pairs import UNLABELLED, Pair, SourceRecord, SourceSplit, source_records
from agcli.errors import DataError, did_you_mean

NAME_COLUMNS = "name the columns: --text-a COLUMN --text-b COLUMN --label COLUMN"
_REQUIRED = ("text_a", "text_b", "label")
_OPTIONAL = ("id", "document", "split")


@dataclass(frozen=True)
class Columns:
    """Which columns hold what. Each role lists alternatives; the first that the table has is taken.

    Attributes:
        named: roles whose column the user named; they are required, as both texts and the label are.
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


def read_pairs(table: Table, columns: Columns, label_names: Sequence[str] | None = None) -> Iterator[Pair]:
    """The table's rows as pairs, in order.

    Args:
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


def _places(table: Table, columns: Columns) -> dict[str, int]:
    """Role -> index of its column."""
    places: dict[str, int] = {}
    for role in (*_REQUIRED, *_OPTIONAL):
        wanted: tuple[str, ...] = getattr(columns, role)
        column = next((name for name in wanted if name in table.header), None)
        if column is not None:
            if table.header.count(column) > 1:
                raise DataError("two columns have this name", file=table.file, row=1, column=column)
            places[role] = table.header.index(column)
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
    return "" if value is ABSENT else _word(value, table, row, place)


def _wrong_cell(value: Any, wanted: str, table: Table, row: int, place: int) -> DataError:
    column = table.header[place]
    if value is ABSENT:
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


def read_tables(
    files: Mapping[str, SourceFile], columns: Columns, quoting: Quoting, label_names: Sequence[str] | None = None
) -> tuple[dict[str, SourceSplit], tuple[SourceRecord, ...]]:
    """One table (whole, or all its shards) for each split, and the records for the manifest.

    Args:
        label_names: names for labels that parquet files store as 0, 1, ...

    Raises:
        DataError: see `open_table` and `read_pairs`.
    """
    splits: dict[str, SourceSplit] = {}
    sources: list[SourceRecord] = []
    for split, file in files.items():
        records = source_records(split, file)
        table = open_table(file, quoting)
        pairs = read_pairs(table, columns, label_names if file.suffix == ".parquet" else None)
        splits[split] = SourceSplit(file.name, label_column(table, columns), list(pairs))
        sources += [replace(record, quoting=table.quoting) for record in records]
    return splits, tuple(sources)
