"""Any table, opened by its suffix: comma- or tab-separated text, JSON lines or arrays, parquet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from agcli.data.files.delimited import DELIMITERS, Quoting, delimited_rows
from agcli.data.files.json_values import json_records
from agcli.data.files.opening import SourceFile
from agcli.data.files.parquet import parquet_rows
from agcli.errors import DataError

JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
SUFFIXES = (*DELIMITERS, *JSON_SUFFIXES, ".parquet")
ABSENT = object()
"""The cell of a JSON record that lacks the key."""


@dataclass(frozen=True)
class Table:
    """An opened table: its header, its rows with their numbers, and how quotation marks were read."""

    file: str
    header: tuple[str, ...]
    rows: Iterator[tuple[int, Sequence[Any]]]
    quoting: str | None = None


def open_table(source: SourceFile, quoting: Quoting = "auto", head: int | None = None) -> Table:
    """Open a table by its suffix; rows are read one by one.

    Args:
        quoting: how quotation marks are read.
        head: JSON records whose keys make the header; None takes those of all, in a reading of its own.

    Raises:
        DataError: unknown suffix, empty or broken file; while reading rows: a wrong number of columns.
    """
    if source.suffix in DELIMITERS:
        names, rows, decided = delimited_rows(source, quoting)
        return Table(source.name, tuple(names), rows, decided)
    if source.suffix in JSON_SUFFIXES:
        return _open_json(source, head)
    if source.suffix == ".parquet":
        return Table(source.name, *parquet_rows(source))
    raise DataError("unknown kind of file", file=source.name, value=source.suffix, allowed=SUFFIXES)


def _open_json(source: SourceFile, head: int | None) -> Table:
    keys: dict[str, None] = {}
    for _, record in islice(json_records(source), head):
        keys.update(dict.fromkeys(record))
    if not keys:
        raise DataError("the file is empty", file=source.name)
    rows = ((row, [record.get(key, ABSENT) for key in keys]) for row, record in json_records(source))
    return Table(source.name, tuple(keys), rows)
