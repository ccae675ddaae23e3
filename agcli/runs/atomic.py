"""Files and folders that appear whole or not at all: written aside, synced to the disk, renamed."""

from __future__ import annotations

import glob
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from safetensors import SafetensorError

from agcli.errors import RunError

_A_DAY = 24 * 60 * 60


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all.

    Raises:
        RunError: the disk refuses.
    """
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        RunError: the disk refuses.
    """
    with _replacing(path) as aside:
        aside.write_bytes(content)


@contextmanager
def open_whole(path: Path) -> Iterator[TextIO]:
    """A text file to write line by line that appears when the block ends without an error: whole or not at all.

    Raises:
        RunError: the disk refuses.
    """
    with _replacing(path) as aside, aside.open("w", encoding="utf-8", newline="") as file:
        yield file


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that replaces it when the block ends without an error."""
    aside = _beside(path, "tmp")
    try:
        with writing(path):
            yield aside
            sync(aside)
            aside.replace(path)
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


def clear_leftovers(folder: Path, names: str = "*", age: float = 0) -> None:
    """Remove temporary files and folders of killed processes from a folder; those that cannot be removed stay.

    Args:
        age: seconds without a change; 0 also removes what is being written: for use under a lock only.
    """
    for kind in ("tmp", "old"):
        for path in folder.glob(f".{names}.{kind}"):
            if age and time.time() - path.lstat().st_mtime < age:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with suppress(OSError):
                    path.unlink(missing_ok=True)


def write_folder(target: Path, write: Callable[[Path], object], hint: str | None = None) -> None:
    """Make a folder appear whole or not at all, even if the process is killed or the disk is full.

    Args:
        target: replaced if it exists; of a link, the folder that it points to.
        write: fills a temporary folder beside the target.
        hint: of the error when the disk refuses.

    Raises:
        RunError: the disk refuses; what was there before is there again.
    """
    target = target.resolve() if target.is_symlink() else target
    aside, old = _beside(target, "tmp"), _beside(target, "old")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        with writing(target, hint):
            aside.mkdir(parents=True)
            write(aside)
            _share(aside)
            for path in (*aside.rglob("*"), aside):
                sync(path)
            _put_in_place(aside, target, old)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
    with suppress(OSError):
        clear_leftovers(target.parent, f"{glob.escape(target.name)}.*", age=_A_DAY)


def _share(folder: Path) -> None:
    """Give files the mode that the umask gave the folder: safetensors since 0.8 writes them for their owner alone."""
    mode = folder.stat().st_mode & 0o666
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(mode)


def _put_in_place(aside: Path, target: Path, old: Path) -> None:
    """Rename; a folder that is there steps aside first and comes back if that fails."""
    if target.exists():
        target.rename(old)
    try:
        aside.rename(target)
    except BaseException:
        if old.exists():
            old.rename(target)
        raise
    sync(target.parent)


@contextmanager
def writing(path: Path, hint: str | None = None) -> Iterator[None]:
    """Raise an error of the operating system inside the block as a `RunError` that names the path."""
    try:
        yield
    except (OSError, SafetensorError) as error:  # safetensors wraps what the system says
        raise RunError(
            f"cannot write {path}: {getattr(error, 'strerror', None) or error}.",
            hint=hint or "what was there before is intact; free some space, or write elsewhere",
        ) from error


def sync(path: Path) -> None:
    """Flush a file or a folder's entries to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    """SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _beside(path: Path, kind: str) -> Path:
    """A hidden name in the same folder, of this process: renaming works only within one file system."""
    return path.with_name(f".{path.name}.{os.getpid()}.{kind}")
