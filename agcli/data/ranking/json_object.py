"""One large JSON object, read member by member: 222,000 abstracts in one object would take 1.3 GB at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from agcli.data.files import SourceFile, text_lines
from agcli.data.json_items import after, items, read_value
from agcli.errors import DataError


def members(source: SourceFile) -> Iterator[tuple[int, str, Any]]:
    """Row (line at which it ends), key and value of each member, in order; a key that occurs twice is given twice.

    Raises:
        DataError: not one JSON object; the line is named.
    """
    for row, (key, value) in items(text_lines(source), source.name, "{}", _member):
        if not isinstance(key, str):
            raise DataError("not valid JSON (a key is text)", file=source.name, row=row)
        yield row, key, value


def _member(text: str, place: int) -> tuple[tuple[Any, Any], int]:
    key, end = read_value(text, place)
    value, end = read_value(text, after(text, end, ":"))
    return (key, value), end
