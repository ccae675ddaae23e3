"""One source file, on disk, packed or inside a zip: opened, unpacked and hashed in one guarded way."""

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

from agcli.errors import DataError, unreadable

PACKINGS = (".gz", ".bz2", ".xz", ".zst")
SHARD = re.compile(
    r"(?P<stem>.+?)[-_.](?P<number>\d+|\*)-of-(?P<count>\d+)(-[0-9a-f]{16})?(?P<ending>(\.[^./]*)*)", re.IGNORECASE
)
"""File names of shards, as `datasets` and Beam write them: `train-00000-of-00002`, perhaps with a hash behind."""
# What the standard library and pyarrow raise for files that they cannot open, unlock or unpack.
_UNREADABLE = (OSError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError)


@dataclass(frozen=True)
class SourceFile:
    """One file of a source, or the shards that are one file together.

    Attributes:
        name: relative to the source (inside a zip: with the zip's own name in front).
        opener: opens it as it is stored; only `open` calls it.
        path: None inside a zip and for shards.
        shards: in their order, where several files are one.
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
            _ = self.sha256_and_bytes
        with self._guarded() as handle:
            yield handle

    @cached_property
    def sha256_and_bytes(self) -> tuple[str, int]:
        """Hash and size in bytes of the content (of what is packed: unpacked); reads the file to its end, once.

        Raises:
            DataError: it cannot be read, or is empty.
        """
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
    """What lies at a path, unchecked: whether it can be opened shows when it is."""
    return SourceFile(name, lambda: path.open("rb"), path)
