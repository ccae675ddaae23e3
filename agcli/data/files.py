"""Source files, on disk, packed or inside a zip: the one way to open them, hashing, and text that can be trusted."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import re
import shlex
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from agcli.data.json_items import json_values, table_to_lines
from agcli.errors import DataError, unreadable

PACKINGS = (".gz", ".bz2", ".xz", ".zst")
SHARD = re.compile(
    r"(?P<stem>.+?)[-_.](?P<number>\d+|\*)-of-(?P<count>\d+)(-[0-9a-f]{16})?(?P<ending>(\.[^./]*)*)", re.IGNORECASE
)
"""File names of shards, as `datasets` and Beam write them: `train-00000-of-00002`, perhaps with a hash behind."""
_BOMS = {  # UTF-32's mark begins with UTF-16's
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
_START_BYTES = 1 << 16
_NO_CP1252 = frozenset(b"\x81\x8d\x8f\x90\x9d")
_HEADED = (".tsv", ".csv", ".txt")
_MEDNLI_FILE = re.compile(r"mli_(train|dev|test)_v\d", re.IGNORECASE)
# What the standard library and pyarrow raise for files that they cannot open, unlock or unpack.
_UNREADABLE = (OSError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError)


@dataclass(frozen=True)
class SourceFile:
    """One file of a source, or the shards that are one file together.

    Attributes:
        name: relative to the source (inside a zip: with the zip's own name in front).
        opener: opens it as it is stored; only `open` calls it.
        path: where it lies; None inside a zip and for shards.
        shards: the files in their order, where several are one.
    """

    name: str
    opener: Callable[[], BinaryIO]
    path: Path | None = None
    shards: tuple[SourceFile, ...] = ()

    @property
    def packing(self) -> str:
        """`.gz`, `.bz2`, `.xz`, `.zst`, or an empty string."""
        suffix = PurePosixPath(self.name).suffix.lower()
        return suffix if suffix in PACKINGS else ""

    @property
    def _unpacked_name(self) -> PurePosixPath:
        name = PurePosixPath(self.name)
        return name.with_suffix("") if self.packing else name

    @property
    def stem(self) -> str:
        """The file name without folder, suffix, packing and shard numbers."""
        stem = self._unpacked_name.stem
        shard = SHARD.fullmatch(stem)
        return shard["stem"] if shard else stem

    @property
    def suffix(self) -> str:
        """The suffix of the unpacked file in lower case, with its dot."""
        return self._unpacked_name.suffix.lower()

    @property
    def plain_name(self) -> str:
        """What the unpacked file would be called: `corpus.jsonl` for `beir/corpus.jsonl.gz`."""
        return self.stem + self.suffix

    @property
    def folder(self) -> str:
        """The folder within the source."""
        return str(PurePosixPath(self.name).parent)

    @property
    def files(self) -> tuple[SourceFile, ...]:
        """The shards, or the one file itself."""
        return self.shards or (self,)

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Open for reading bytes, unpacked: whatever reads a source goes through here.

        What is packed or inside a zip is read to its end before, so that damage is never taken for bad text.

        Raises:
            DataError: it cannot be opened or read, is locked or damaged.
        """
        if self.packing or self.path is None:
            self.sha256_and_bytes()
        with self._guarded() as handle:
            yield handle

    def sha256_and_bytes(self) -> tuple[str, int]:
        """Hash and size in bytes of the content (of what is packed: unpacked); reads the file to its end, once.

        Raises:
            DataError: it cannot be read, or is empty.
        """
        return self._content

    @cached_property
    def _content(self) -> tuple[str, int]:
        digest, size = hashlib.sha256(), 0
        with self._guarded() as handle:
            while chunk := handle.read(1 << 20):
                digest.update(chunk)
                size += len(chunk)
        if size == 0:
            raise DataError("the file is empty", file=self.name)
        return digest.hexdigest(), size

    @contextmanager
    def _guarded(self) -> Iterator[BinaryIO]:
        try:
            with self.opener() as stored, _unpacked(stored, self.packing) as handle:
                yield handle
        except _UNREADABLE as error:
            damaged = self.packing or self.path is None
            hint = "the file is damaged or cut off: copy or download it again" if damaged else None
            raise unreadable(self.name, error, self.path, hint) from None


def _unpacked(stored: BinaryIO, packing: str) -> BinaryIO:
    raw: Any = stored
    if packing == ".gz":
        raw = gzip.GzipFile(fileobj=stored)
    elif packing == ".bz2":
        raw = bz2.BZ2File(stored)
    elif packing == ".xz":
        raw = lzma.LZMAFile(stored)  # noqa: SIM115  # closed by the caller
    elif packing == ".zst":
        import pyarrow

        raw = pyarrow.CompressedInputStream(pyarrow.PythonFile(stored, "r"), "zstd")
    return cast(BinaryIO, io.BufferedReader(raw, 1 << 20))


def is_credentialed(name: str) -> bool:
    """Whether a file is one of MedNLI's, whatever the user calls the data set."""
    return _MEDNLI_FILE.match(PurePosixPath(name).name) is not None


def mode_of(path: Path) -> int:
    """The mode of what lies at a path (see `stat`); 0 where nothing does.

    Raises:
        DataError: the system does not say, for example because the folder is closed.
    """
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except OSError as error:
        raise unreadable(path, error, path.parent) from None


def disk_file(path: Path) -> SourceFile:
    """A file on disk.

    Raises:
        DataError: there is no such file, or it is a folder or a pipe.
    """
    mode = mode_of(path)
    if stat.S_ISDIR(mode):
        raise DataError("a folder, where a file is needed", file=path, hint=f"--from {shlex.quote(str(path))}")
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        raise DataError(
            "a pipe can be read only once, and its name does not say what it holds",
            file=path,
            hint=f"write it to a file first: COMMAND > train.tsv ({', '.join(PACKINGS)} files are read as they are)",
        )
    if not stat.S_ISREG(mode):
        raise DataError("no such file", file=path)
    return stored_file(path, path.name)


def stored_file(path: Path, name: str) -> SourceFile:
    """What lies at a path, unseen: whether it can be opened shows when it is."""
    return SourceFile(name, lambda: path.open("rb"), path)


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
        for row, line in _lines(file):
            if not before and row == 1:
                header = line
            if not (before and row == 1 and line == header and file.suffix in _HEADED):
                yield before + row, line
        before += row


def _lines(file: SourceFile) -> Iterator[tuple[int, str]]:
    encoding, end = _text_form(file)
    row = 0
    with file.open() as handle:
        # Bytes that are no UTF-8 become surrogates, which no UTF-8 holds; so the row at fault can be named.
        text = io.TextIOWrapper(handle, encoding, "surrogateescape", end)
        try:
            for row, line in enumerate(text, 1):
                if "\0" in line or not line.isascii():
                    _check_text(line, file, row, encoding)
                yield row, line.removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError as error:
            problem = f"not {encoding.upper()}, though it begins with its mark ({error.reason})"
            raise DataError(problem, file=file.name, row=row + 1, hint="save it as UTF-8") from None
    if row == 0:
        raise DataError("the file is empty", file=file.name)


def _text_form(file: SourceFile) -> tuple[str, str]:
    """Encoding and line end, by the file's start."""
    with file.open() as handle:
        start = handle.read(_START_BYTES)
    encoding = next((name for mark, name in _BOMS.items() if start.startswith(mark)), "utf-8")
    text = start.decode(encoding, "ignore")
    return encoding, "\r" if "\r" in text[:-1] and "\n" not in text else "\n"


def _check_text(line: str, file: SourceFile, row: int, encoding: str) -> None:
    if "\0" in line:
        place = len(line[: line.index("\0")].encode("utf-8", "surrogateescape")) + 1
        wide = line.count("\0") > len(line) // 3
        hint = _conversion(file, "utf-16le") if wide else None
        problem = f"a NUL byte at byte {place} of the row" + (": UTF-16 without its mark?" if wide else "")
        raise DataError(problem, file=file.name, row=row, allowed=["text"], hint=hint)
    try:
        line.encode()
    except UnicodeEncodeError as error:
        place, byte = len(line[: error.start].encode()) + 1, ord(line[error.start]) & 0xFF
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


def json_records(source: SourceFile) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a file of JSON lines (blank ones are passed over), or of one JSON array.

    Messages hold positions, never text.

    Raises:
        DataError: broken JSON, or something else than an object.
    """
    before = row = 0
    for file in source.files:
        path = None if file.packing else file.path
        for count, (row, record) in enumerate(json_values(text_lines(file), file.name, path)):
            if not isinstance(record, dict):
                problem = f"one JSON object a line, or an array of objects; this one is of type {type(record).__name__}"
                raise DataError(problem, file=file.name, row=row)
            if count == 0 and file.suffix == ".json" and _is_whole_table(record):
                problem = "this one JSON object holds the whole table"
                raise DataError(problem, file=file.name, row=row, hint=table_to_lines(record, path))
            yield before + row, record
        before += row


def _is_whole_table(record: dict[str, Any]) -> bool:
    return bool(record) and all(isinstance(value, dict | list) for value in record.values())
