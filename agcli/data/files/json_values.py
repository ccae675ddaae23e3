"""JSON files with row numbers: JSON lines, and one large array or object that is never held whole."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import ijson

from agcli.data.files.opening import SourceFile
from agcli.data.files.text import text_lines, text_pieces
from agcli.errors import DataError

_HALF_PAIR = re.compile(r"\\u[dD][89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F]")
_DEPTH_CHANGES = {"start_map": 1, "start_array": 1, "end_map": -1, "end_array": -1}


def json_records(source: SourceFile) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a file of JSON lines (blank ones are passed over), or of one JSON array, with their rows.

    A row is a line, or the place in the array. Messages hold positions, never text.

    Raises:
        DataError: broken JSON, or something else than an object.
    """
    before = row = 0
    for file in source.files:
        path = None if file.packing else file.path
        for count, (row, record) in enumerate(_values(file, path)):
            if not isinstance(record, dict):
                problem = f"one JSON object a line, or an array of objects; this one is of type {type(record).__name__}"
                raise DataError(problem, file=file.name, row=row)
            whole_table = bool(record) and all(isinstance(value, dict | list) for value in record.values())
            if count == 0 and file.suffix == ".json" and whole_table:
                problem = "this one JSON object holds the whole table"
                raise DataError(problem, file=file.name, row=row, hint=_table_to_lines(record, path))
            yield before + row, record
        before += row


def _values(file: SourceFile, path: Path | None) -> Iterator[tuple[int, Any]]:
    """Each line's value, or the items of the one array that begins in the first."""
    if _start(file)[1] == "[":
        yield from enumerate(_array(file), 1)
        return
    first = None
    for row, line in text_lines(file):
        if not line.strip():
            continue
        first = first or row
        try:
            yield row, json.loads(line)
        except json.JSONDecodeError as error:
            problem = f"not valid JSON ({error.msg} at character {error.colno})"
            hint = _objects_to_lines(path) if row == first else None
            raise DataError(problem, file=file.name, row=row, hint=hint) from None
        except (ValueError, RecursionError):
            raise DataError("not valid JSON", file=file.name, row=row) from None


def _start(file: SourceFile) -> tuple[int, str]:
    """Row and first character of the text; an empty one in a blank file."""
    starts = ((row, piece.lstrip()[:1]) for row, piece in text_pieces(file))
    return next(((row, start) for row, start in starts if start), (1, ""))


def json_members(source: SourceFile) -> Iterator[tuple[int, str, Any]]:
    """Row (line at which it ends), key and value of each member of one JSON object; a repeated key is given twice.

    222,000 abstracts in one object would take 1.3 GB at once.

    Raises:
        DataError: not one JSON object, or one with a number that 64 bits cannot hold; the line is named.
    """
    row, start = _start(source)
    if start != "{":
        raise DataError("this file holds one JSON object", file=source.name, row=row, allowed=["{ at the start"])
    return _items(source)


def _array(file: SourceFile) -> Iterator[Any]:
    """The items of one array; what `json` takes and ijson does not is read by `json`, all at once.

    That is NaN and Infinity, integers that need more than 64 bits, and halves of surrogate pairs.
    """
    count = 0
    try:
        for _, _, value in _items(file):
            count += 1
            yield value
    except DataError as error:
        if error.__cause__ is None:
            raise
        try:
            values = json.loads("\n".join(line for _, line in text_lines(file)))
        except (ValueError, RecursionError):
            raise error from None
        yield from islice(values, count, None)


def _items(file: SourceFile) -> Iterator[tuple[int, str, Any]]:
    """Row, key (empty in an array) and value of each item of the one array or object in a file."""
    depth, key, builder = 0, "", ijson.ObjectBuilder()
    for row, event, value in _events(file):
        depth += _DEPTH_CHANGES.get(event, 0)
        if depth == 1 and event == "map_key":
            key = value
        elif depth > 1 or (depth == 1 and event not in ("start_map", "start_array")):
            builder.event(event, value)
            if depth == 1:
                yield row, key, builder.value
                builder = ijson.ObjectBuilder()


def _events(file: SourceFile) -> Iterator[tuple[int, str, Any]]:
    """Row, name and value of each event of ijson's parser.

    `use_float` matters: without it, ijson's C library crashes on a number of thousands of digits. `ijson.items` is not
    used: its memory grows with the square of the depth.
    """
    events = ijson.sendable_list()
    parser, row = ijson.basic_parse_coro(events, use_float=True), 1
    try:
        for row, piece in text_pieces(file):
            if _has_half_pair(piece):
                raise ijson.JSONError("half of a surrogate pair, which is no character")
            parser.send(piece.encode())
            for event, value in events:
                yield row, event, value
            events.clear()
        parser.close()
    except (ijson.JSONError, ValueError) as error:  # ijson's backend in pure Python raises both
        raise DataError(_invalid(str(error)), file=file.name, row=row) from error


def _has_half_pair(piece: str) -> bool:
    """Half of a surrogate pair, which no UTF-8 holds: ijson would put a question mark in its place."""
    return "\\u" in piece and _HALF_PAIR.search(piece.replace("\\\\", "__")) is not None


def _invalid(cause: str) -> str:
    """The message for what ijson says, without the text that it quotes."""
    if "premature EOF" in cause or "Incomplete" in cause:
        return "not valid JSON (it is not closed: is the file whole?)"
    first = cause.partition("\n")[0]
    quotes_nothing = first.startswith(("parse error", "lexical error", "half of"))
    return f"not valid JSON ({first})" if quotes_nothing else "not valid JSON"


def _objects_to_lines(path: Path | None) -> str:
    """The command for a file whose objects run over several lines; None: a file that is to be unpacked first."""
    first, old, new = _names(path)
    written = f"{first}jq -c . {shlex.quote(old)} > {shlex.quote(new)}"
    return f"one object a line is read, or one array of objects; jq writes the former: {written}"


def _table_to_lines(table: dict[str, Any], path: Path | None) -> str:
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
