"""Text of source files with row numbers: encodings, line ends, and bytes that are not text."""

from __future__ import annotations

import io
import shlex
from collections.abc import Iterator
from functools import partial

from agcli.data.files.opening import SourceFile
from agcli.errors import DataError

_BYTE_ORDER_MARKS = {  # UTF-32's begins with UTF-16's
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
_START_BYTES = 1 << 16
_PIECE = 1 << 16
_NO_CP1252 = frozenset(b"\x81\x8d\x8f\x90\x9d")
_WITH_HEADER = (".tsv", ".csv", ".txt")


def text_lines(source: SourceFile) -> Iterator[tuple[int, str]]:
    r"""Lines with their 1-based numbers, decoded and without line ends; a byte order mark is taken off.

    UTF-8, or UTF-16 and UTF-32 with their mark. Lines end at `\n` only: MultiNLI and PubMed texts hold U+0085 and
    U+2028, at which `str.splitlines` would cut. In a file without any `\n` they end at `\r`. Lines of shards are
    numbered through; a header that a later shard repeats is left out.

    Raises:
        DataError: empty file, NUL byte, or bytes that are not text in these encodings.
    """
    before, header = 0, ""
    for file in source.files:
        row = 0
        for row, ended in _lines(file):
            line = ended.removesuffix("\n").removesuffix("\r")
            if not before and row == 1:
                header = line
            if not (before and row == 1 and line == header and file.suffix in _WITH_HEADER):
                yield before + row, line
        before += row


def text_pieces(file: SourceFile) -> Iterator[tuple[int, str]]:
    r"""Lines of one file with their line ends; longer ones in pieces of about 64 K characters, under one number.

    No piece ends near a backslash, so none ends within an escape such as `\ud83d\ude00`.

    Raises:
        DataError: see `text_lines`.
    """
    return _lines(file, _PIECE)


def _lines(file: SourceFile, limit: int | None = None) -> Iterator[tuple[int, str]]:
    """Rows with line ends, or pieces of them of about `limit` characters."""
    encoding, end = _text_form(file)
    row, before, piece = 1, 0, ""
    with file.open() as handle:
        # Bytes that are no UTF-8 become surrogates, which no UTF-8 holds; so the row at fault can be named.
        text = io.TextIOWrapper(handle, encoding, "surrogateescape", end)
        try:
            for piece in text if limit is None else iter(partial(_piece, text, limit, end), ""):
                if "\0" in piece or not piece.isascii():
                    _check_text(piece, file, row, before, encoding)
                yield row, piece
                if limit is None:
                    row += 1
                elif piece.endswith(end):
                    row, before = row + 1, 0
                else:
                    before += len(piece.encode())
        except UnicodeDecodeError as error:
            problem = f"not {encoding.upper()}, though it begins with its mark ({error.reason})"
            raise DataError(problem, file=file.name, row=row, hint="save it as UTF-8") from None
    if not piece:
        raise DataError("the file is empty", file=file.name)


def _piece(text: io.TextIOWrapper, limit: int, end: str) -> str:
    piece = text.readline(limit)
    while "\\" in piece[-12:] and not piece.endswith(end) and (more := text.read(1)):
        piece += more
    return piece


def _text_form(file: SourceFile) -> tuple[str, str]:
    """Encoding and line end, by the file's start."""
    with file.open() as handle:
        start = handle.read(_START_BYTES)
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS.items() if start.startswith(mark)), "utf-8")
    text = start.decode(encoding, "ignore")
    return encoding, "\r" if "\r" in text[:-1] and "\n" not in text else "\n"


def _check_text(line: str, file: SourceFile, row: int, before: int, encoding: str) -> None:
    """Refuse NUL bytes and undecodable bytes; `before` is the number of the row's bytes in front of this piece."""
    if "\0" in line:
        place = before + len(line[: line.index("\0")].encode("utf-8", "surrogateescape")) + 1
        wide = line.count("\0") > len(line) // 3
        hint = _conversion(file, "utf-16le") if wide else None
        problem = f"a NUL byte at byte {place} of the row" + (": UTF-16 without its mark?" if wide else "")
        raise DataError(problem, file=file.name, row=row, allowed=["text"], hint=hint)
    try:
        line.encode()
    except UnicodeEncodeError as error:
        place, byte = before + len(line[: error.start].encode()) + 1, ord(line[error.start]) & 0xFF
        others = {ord(character) & 0xFF for character in line if "\udc80" <= character <= "\udcff"}
        problem = f"not {encoding.removesuffix('-sig').upper()}: byte 0x{byte:02x} at byte {place} of the row"
        hint = _conversion(file, "ENCODING" if others & _NO_CP1252 else "cp1252")
        raise DataError(problem, file=file.name, row=row, allowed=["UTF-8", "UTF-16"], hint=hint) from None


def _conversion(file: SourceFile, encoding: str) -> str:
    """The command that makes UTF-8 of a file."""
    old, new = "OLD", "NEW"
    if file.path is not None and not file.packing:
        old = shlex.quote(str(file.path))
        new = shlex.quote(str(file.path.with_suffix(f".utf8{file.path.suffix}")))
    why = {
        "cp1252": " (cp1252 is what Windows writes in western languages; if letters come out wrong, name another)",
        "ENCODING": " (iconv -l lists the encodings)",
    }.get(encoding, "")
    first = "" if old != "OLD" else "unpack it first, then "
    return f"{first}iconv -f {encoding} -t utf-8 {old} > {new}{why}"
