"""From a path to the source files behind it: a file, a folder, or a zip whose members are read in place.

Nothing is unpacked, so no member can land outside; unsafe archives are refused all the same.
"""

from __future__ import annotations

import io
import stat
import zipfile
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO, cast

from agcli.corpora.files import SourceFile, disk_file
from agcli.errors import DataError

# MultiNLI 1.0 unpacks to 0.9 GB and GLUE's MNLI, with the original files inside, to 1.4 GB.
SIZE_CAP_BYTES = 4 * 2**30
_OTHER_ARCHIVES = (".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar")


def source_files(path: Path, size_cap_bytes: int = SIZE_CAP_BYTES) -> list[SourceFile]:
    """The files of a source, sorted by name; hidden files and macOS leftovers are passed over.

    Raises:
        DataError: nothing there, an unreadable or unsafe archive, or one beyond the size cap.
    """
    if path.is_dir():
        found = (file for file in path.rglob("*") if file.is_file())
        files = [disk_file(file, file.relative_to(path).as_posix()) for file in found]
    elif not path.exists():
        raise DataError("no such file or folder", file=path, hint="a data set of the hub: --from hub:OWNER/NAME")
    elif path.suffix.lower() in _OTHER_ARCHIVES:
        raise DataError("this kind of archive is not read", file=path, allowed=[".zip", "a folder"], hint="unpack it")
    elif zipfile.is_zipfile(path) or path.suffix.lower() == ".zip":
        files = _zip_members(path, size_cap_bytes)
    else:
        files = [disk_file(path)]
    return sorted((file for file in files if not _hidden(file.name)), key=lambda file: file.name)


def _hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)


def _zip_members(path: Path, size_cap_bytes: int) -> list[SourceFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError) as error:
        raise DataError(f"not a readable zip archive ({error})", file=path) from None
    for member in members:
        _refuse_unsafe(path, member)
    total = sum(member.file_size for member in members)
    if total > size_cap_bytes:
        raise DataError(
            f"the archive unpacks to {total:,} bytes; the cap is {size_cap_bytes:,}",
            file=path,
            hint="unpack it yourself if you trust it, and pass the folder",
        )
    return [
        SourceFile(f"{path.name}/{member.filename}", partial(_open_member, path, member.filename))
        for member in members
        if not member.is_dir()
    ]


def _refuse_unsafe(path: Path, member: zipfile.ZipInfo) -> None:
    # orig_filename: ZipInfo cuts `filename` at a NUL and rewrites separators on Windows.
    name = member.orig_filename.replace("\\", "/")
    problem = ""
    if ".." in PurePosixPath(name).parts:
        problem = "a member's path climbs out of the archive"
    elif name.startswith("/") or PureWindowsPath(name).drive:
        problem = "a member's path is absolute"
    elif stat.S_ISLNK(member.external_attr >> 16):
        problem = "a member is a link"
    if problem:
        hint = "this is no archive that a data set is published in; do not unpack it"
        raise DataError(problem, file=path, value=member.orig_filename, hint=hint)


def _open_member(path: Path, name: str) -> BinaryIO:
    # The archive stays open until the member's buffer is closed: ZipFile counts its open members.
    with zipfile.ZipFile(path) as archive:
        member = archive.open(name)
    return cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, member), 1 << 20))
