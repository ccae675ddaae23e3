"""One large JSON object, read member by member: 222,000 abstracts in one object would take 1.3 GB at once."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from agcli.corpora.files import SourceFile, text_lines
from agcli.errors import DataError

_DECODER = json.JSONDecoder()
_END = re.compile(r",?\s*}\s*")
_SPACE = re.compile(r"[ \t\r\n]*")


def members(source: SourceFile) -> Iterator[tuple[int, str, Any]]:
    """Row (line at which it ends), key and value of each member, in order; a key that occurs twice is given twice.

    A JSON string holds no line end, so text that is cut off by one is broken, and text that ends before its comma or
    bracket goes on in the next line.

    Raises:
        DataError: not one JSON object; the line is named.
    """
    rest, row = "", 0
    for row, line in text_lines(source):
        rest = f"{rest} {line}".strip() if rest else _opened(line.strip(), source.name, row)
        place = 0
        while found := _member(rest, place, source.name, row):
            key, value, place = found
            yield row, key, value
        rest = rest[place:]
    if not _END.fullmatch(rest):
        raise DataError("the JSON object is not closed: is the file whole?", file=source.name, row=row)


def _opened(line: str, name: str, row: int) -> str:
    """The first line with the object's bracket made a comma: what follows is then a comma and a member, always."""
    if line and line[0] != "{":
        raise DataError("this file holds one JSON object", file=name, row=row, allowed=["{ at the start"])
    return line and "," + line[1:]


def _member(text: str, place: int, name: str, row: int) -> tuple[str, Any, int] | None:
    """Key, value and end of the member after the comma at `place`; None at the object's end, or the text's.

    Raises:
        DataError: not valid JSON.
    """
    if _END.fullmatch(text, place):
        return None
    try:
        key, end = _DECODER.raw_decode(text, _after(text, place, ","))
        value, end = _DECODER.raw_decode(text, _after(text, end, ":"))
        end = _SPACE.match(text, end).end()  # type: ignore[union-attr]  # it matches nothing, too
    except json.JSONDecodeError as error:
        if error.pos >= len(text):
            return None
        raise DataError(f"not valid JSON ({error.msg})", file=name, row=row) from None
    except RecursionError:
        raise DataError("not valid JSON", file=name, row=row) from None
    if not isinstance(key, str):
        raise DataError("not valid JSON (a key is text)", file=name, row=row)
    return (key, value, end) if end < len(text) else None  # without what follows, a number may go on


def _after(text: str, place: int, mark: str) -> int:
    """The place of what follows the mark, white space around it passed over."""
    place = _SPACE.match(text, place).end()  # type: ignore[union-attr]
    if not text.startswith(mark, place):
        raise json.JSONDecodeError(f"Expecting {mark!r}", text, place)
    return _SPACE.match(text, place + len(mark)).end()  # type: ignore[union-attr]
