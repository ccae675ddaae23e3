"""JSON out of lines of text, value by value: JSON lines, and one large array or object that is never held whole."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from agcli.errors import DataError

Lines = Iterable[tuple[int, str]]
ReadItem = Callable[[str, int], tuple[Any, int]]
"""(text, place) -> an item that begins at the place or after white space there, and its end."""
_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")


def json_values(lines: Lines, name: str, path: Path | None) -> Iterator[tuple[int, Any]]:
    """The value of each line that is not blank, or the items, numbered, of the one array that begins in the first.

    Args:
        lines: numbered lines.
        name: of the file, for messages.
        path: of the file, for the hint; None where it is packed, or in an archive.

    Raises:
        DataError: not valid JSON.
    """
    written = ((row, line) for row, line in lines if line.strip())
    first = next(written, None)
    if first is None:
        return
    whole = chain([first], written)
    if first[1].lstrip().startswith("["):
        values = items(whole, name, "[]", read_value)
        yield from ((number, value) for number, (_, value) in enumerate(values, 1))
        return
    for row, line in whole:
        try:
            yield row, json.loads(line)
        except json.JSONDecodeError as error:
            problem = f"not valid JSON ({error.msg} at character {error.colno})"
            hint = one_a_line(path) if row == first[0] else None
            raise DataError(problem, file=name, row=row, hint=hint) from None
        except (ValueError, RecursionError):
            raise DataError("not valid JSON", file=name, row=row) from None


def one_a_line(path: Path | None) -> str:
    """The command for a file whose objects run over several lines; None: a file that is to be unpacked first."""
    first, old, new = _names(path)
    written = f"{first}jq -c . {shlex.quote(old)} > {shlex.quote(new)}"
    return f"one object a line is read, or one array of objects; jq writes the former: {written}"


def table_to_lines(table: dict[str, Any], path: Path | None) -> str:
    """The command that makes JSON lines of one object that holds a list of rows, or a value for each column."""
    first, *names = _names(path)
    old, new = (json.dumps(name, ensure_ascii=False) for name in names)
    if len(table) == 1 and isinstance(next(iter(table.values())), list):
        rows = f"next(iter(json.load(open({old})).values()))"
        code = f'import json; open({new}, "w").writelines(json.dumps(row) + "\\n" for row in {rows})'
    else:
        code = f'import pandas; pandas.read_json({old}, dtype=False).to_json({new}, orient="records", lines=True)'
    return f"{first}python -c {shlex.quote(code)}"


def _names(path: Path | None) -> tuple[str, str, str]:
    """What a command begins with, and the files that it reads and writes, which are never the same."""
    if path is None:
        return "unpack it first, then ", "OLD.json", "NEW.jsonl"
    suffix = ".lines.jsonl" if path.suffix.lower() == ".jsonl" else ".jsonl"
    return "", str(path), str(path.with_suffix(suffix))


def items(lines: Lines, name: str, brackets: str, read: ReadItem) -> Iterator[tuple[int, Any]]:
    """Row (line at which it ends) and value of each item between two brackets, in order.

    A JSON string holds no line end, so text that is cut off by one is broken, and text that ends before its comma or
    bracket goes on in the next line.

    Args:
        lines: numbered lines.
        name: of the file, for messages.
        brackets: `[]` or `{}`.
        read: reads one item.

    Raises:
        DataError: not valid JSON; the line is named.
    """
    end = re.compile(rf",?\s*\{brackets[1]}\s*")
    rest, row, waiting = "", 0, False
    for row, line in lines:
        rest = f"{rest} {line}".strip() if rest else _opened(line.strip(), name, row, brackets)
        place = 0
        # An item that was not whole is read anew only where it may end: reading it at each of its lines takes for ever.
        if waiting and line.rstrip(", \t\r")[-1:] not in ("}", "]"):
            continue
        while item := _item(rest, place, end, read, name, row):
            value, place = item
            yield row, value
        rest = rest[place:]
        waiting = rest not in ("", ",")
    if not end.fullmatch(rest):
        kind = "array" if brackets == "[]" else "object"
        raise DataError(f"the JSON {kind} is not closed: is the file whole?", file=name, row=row)


def _opened(line: str, name: str, row: int, brackets: str) -> str:
    """The first line with its bracket made a comma: what follows is then a comma and an item, always."""
    if line and line[0] != brackets[0]:
        raise DataError("this file holds one JSON object", file=name, row=row, allowed=[f"{brackets[0]} at the start"])
    return line and "," + line[1:]


def _item(text: str, place: int, end: re.Pattern[str], read: ReadItem, name: str, row: int) -> tuple[Any, int] | None:
    """The item after the comma at `place`, and its end; None at the last bracket, or at the text's end.

    Raises:
        DataError: not valid JSON.
    """
    if end.fullmatch(text, place):
        return None
    try:
        value, stop = read(text, after(text, place, ","))
        stop = _SPACE.match(text, stop).end()  # type: ignore[union-attr]  # it matches nothing, too
    except json.JSONDecodeError as error:
        if error.pos >= len(text):
            return None
        raise DataError(f"not valid JSON ({error.msg})", file=name, row=row) from None
    except (ValueError, RecursionError):
        raise DataError("not valid JSON", file=name, row=row) from None
    return (value, stop) if stop < len(text) else None  # without what follows, a number may go on


def read_value(text: str, place: int) -> tuple[Any, int]:
    """An item of an array.

    Raises:
        json.JSONDecodeError: not valid JSON.
    """
    return _DECODER.raw_decode(text, place)


def after(text: str, place: int, mark: str) -> int:
    """The place of what follows the mark, white space around it passed over.

    Raises:
        json.JSONDecodeError: something else stands there.
    """
    place = _SPACE.match(text, place).end()  # type: ignore[union-attr]
    if not text.startswith(mark, place):
        raise json.JSONDecodeError(f"Expecting {mark!r}", text, place)
    return _SPACE.match(text, place + len(mark)).end()  # type: ignore[union-attr]
