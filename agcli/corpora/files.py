"""Source files, whether on disk or inside a zip: opening, hashing, and reading text that can be trusted."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from agcli.errors import DataError

_BOM = b"\xef\xbb\xbf"
_OTHER_BOMS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
_MEDNLI_FILE = re.compile(r"mli_(train|dev|test)_v\d", re.IGNORECASE)


@dataclass(frozen=True)
class SourceFile:
    """One file of a source.

    Attributes:
        name: relative to the source (inside a zip: with the zip's own name in front).
        open: opens it for reading bytes.
        path: where it lies; None inside a zip.
    """

    name: str
    open: Callable[[], BinaryIO]
    path: Path | None = None

    @property
    def stem(self) -> str:
        """The file name without folder and suffix."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """The suffix in lower case, with its dot."""
        return PurePosixPath(self.name).suffix.lower()

    @property
    def folder(self) -> str:
        """The folder within the source."""
        return str(PurePosixPath(self.name).parent)

    def sha256_and_bytes(self) -> tuple[str, int]:
        """Hash and size in bytes; reads the file to its end, so a damaged archive member shows here.

        Raises:
            DataError: it cannot be read.
        """
        digest, size = hashlib.sha256(), 0
        try:
            with self.open() as handle:
                while chunk := handle.read(1 << 20):
                    digest.update(chunk)
                    size += len(chunk)
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
            raise DataError(f"cannot be read ({error})", file=self.name) from None
        if size == 0:
            raise DataError("the file is empty", file=self.name)
        return digest.hexdigest(), size


def is_credentialed(name: str) -> bool:
    """Whether a file is one of MedNLI's, whatever the user calls the data set."""
    return _MEDNLI_FILE.match(PurePosixPath(name).name) is not None


def disk_file(path: Path, name: str | None = None) -> SourceFile:
    """A file on disk.

    Raises:
        DataError: there is no such file.
    """
    if not path.is_file():
        raise DataError("no such file", file=path)
    return SourceFile(name or path.name, lambda: path.open("rb"), path)


def text_lines(source: SourceFile) -> Iterator[tuple[int, str]]:
    r"""Lines with their 1-based numbers, decoded and without line ends; a byte order mark is taken off.

    Lines end at `\n` only: MultiNLI and PubMed texts hold U+0085 and U+2028, at which `str.splitlines` would cut.

    Raises:
        DataError: empty file, NUL byte, or bytes that are not UTF-8.
    """
    row = 0
    with source.open() as handle:
        for row, raw in enumerate(handle, 1):
            if row == 1:
                raw = _without_bom(raw, source.name)
            yield row, _decoded(raw, source.name, row).removesuffix("\n").removesuffix("\r")
    if row == 0:
        raise DataError("the file is empty", file=source.name)


def _without_bom(raw: bytes, name: str) -> bytes:
    encoding = _OTHER_BOMS.get(raw[:2])
    if encoding:
        raise DataError(f"this file is {encoding}", file=name, row=1, allowed=["UTF-8"], hint="save it as UTF-8")
    return raw.removeprefix(_BOM)


def _decoded(raw: bytes, name: str, row: int) -> str:
    if b"\0" in raw:
        raise DataError(f"a NUL byte at byte {raw.index(0) + 1} of the row", file=name, row=row, allowed=["text"])
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise DataError(
            f"not UTF-8: byte 0x{raw[error.start]:02x} at byte {error.start + 1} of the row",
            file=name,
            row=row,
            allowed=["UTF-8"],
            hint="convert it first, for example: iconv -f latin1 -t utf-8 OLD > NEW",
        ) from None


def json_records(source: SourceFile) -> Iterator[tuple[int, dict[str, Any]]]:
    """One JSON object a line; blank lines are passed over. Messages hold positions, never text.

    Raises:
        DataError: broken JSON, or a line that holds something else than an object.
    """
    for row, line in text_lines(source):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            problem = f"not valid JSON ({error.msg} at character {error.colno})"
            raise DataError(problem, file=source.name, row=row) from None
        except (ValueError, RecursionError):
            raise DataError("not valid JSON", file=source.name, row=row) from None
        if not isinstance(record, dict):
            problem = f"a line holds one JSON object; this one is of type {type(record).__name__}"
            raise DataError(problem, file=source.name, row=row)
        yield row, record
