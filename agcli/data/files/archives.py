"""From a path to the source files behind it: a file, a folder, or a zip whose members are read in place.

Nothing is unpacked, so no member can land outside; unsafe archives are refused all the same.
"""

from __future__ import annotations

import io
import os
import shlex
import stat
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO, cast

from agcli.data.files.opening import PACKINGS, SHARD, SourceFile, disk_file, mode_of, stored_file
from agcli.errors import DataError, unreadable

# MultiNLI 1.0 unpacks to 0.9 GB and GLUE's MNLI, with the original files inside, to 1.4 GB.
SIZE_CAP_BYTES = 4 * 2**30
_LOCKED = 0x1  # bit of a member's flags
_TARS = (".tar", *(f".tar{packing}" for packing in PACKINGS), ".tgz", ".tbz2", ".txz")
_OTHER_ARCHIVES = (*_TARS, ".7z", ".rar")
_SHOWN = 5


def source_files(path: Path, size_cap_bytes: int = SIZE_CAP_BYTES) -> list[SourceFile]:
    """The files of a source, sorted by name, shards joined; hidden files and macOS leftovers are passed over.

    Raises:
        DataError: nothing there, an unreadable folder, an unreadable or unsafe archive, or one beyond the size cap.
    """
    mode = mode_of(path)
    if stat.S_ISDIR(mode):
        files = [stored_file(file, file.relative_to(path).as_posix()) for file in _files_below(path)]
    elif not mode:
        raise DataError("no such file or folder", file=path, hint="a data set of the hub: --from hub:OWNER/NAME")
    elif path.name.lower().endswith(_OTHER_ARCHIVES):
        raise _other_archive(path)
    elif stat.S_ISREG(mode) and (path.suffix.lower() == ".zip" or zipfile.is_zipfile(path)):
        files = _zip_members(path, size_cap_bytes)
    else:
        files = [disk_file(path)]
    return _with_shards_joined(file for file in files if not _hidden(file.name))


def _files_below(folder: Path) -> Iterator[Path]:
    """Regular files, and links that lead nowhere, of a folder and those in it; hidden folders are not entered."""

    def refuse(error: OSError) -> None:
        place = Path(error.filename)
        raise unreadable(place, error, place) from None

    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not _hidden(name)]
        yield from (path for name in names if stat.S_IFMT(mode_of(path := Path(parent, name))) in (0, stat.S_IFREG))


def _other_archive(path: Path) -> DataError:
    folder = path.name.split(".")[0]
    hint = f"unpack it, and pass the folder: --from {shlex.quote(folder)}"
    if path.name.lower().endswith(_TARS):
        place = shlex.quote(folder)
        hint = f"mkdir {place} && tar -xf {shlex.quote(str(path))} -C {place}, then --from {place}"
    return DataError("this kind of archive is not read", file=path, allowed=[".zip", "a folder"], hint=hint)


def _hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)


def _zip_members(path: Path, size_cap_bytes: int) -> list[SourceFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except OSError as error:
        raise unreadable(path, error, path) from None
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        hint = "is it whole? copy or download it again"
        raise DataError(f"not a readable zip archive ({error})", file=path, hint=hint) from None
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
        if archive.getinfo(name).flag_bits & _LOCKED:
            hint = "unpack it with its password, and pass the folder: --from FOLDER"
            raise DataError("locked with a password", file=f"{path.name}/{name}", hint=hint)
        member = archive.open(name)
    return cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, member), 1 << 20))


def _with_shards_joined(files: Iterable[SourceFile]) -> list[SourceFile]:
    """The files by name, with every set of numbered shards as one that is called `train-*-of-00002.parquet`.

    A set that is not complete becomes a file that cannot be opened: what nobody reads need not be complete.
    """
    whole: list[SourceFile] = []
    shards: dict[str, list[tuple[str, SourceFile]]] = defaultdict(list)
    for file in files:
        shard = SHARD.fullmatch(PurePosixPath(file.name).name)
        if shard is None:
            whole.append(file)
        else:
            name = f"{shard['stem']}-*-of-{shard['count']}{shard['ending']}"
            shards[str(PurePosixPath(file.folder, name))].append((shard["number"], file))
    joined = [_joined(name, sorted(numbered, key=lambda pair: int(pair[0]))) for name, numbered in shards.items()]
    return sorted([*whole, *joined], key=lambda file: file.name)


def _joined(name: str, numbered: list[tuple[str, SourceFile]]) -> SourceFile:
    """One file of a set of shards, which count from 0 (`datasets`) or from 1."""
    numbers, files = [int(number) for number, _ in numbered], tuple(file for _, file in numbered)
    count = int(name.rpartition("-of-")[2].partition(".")[0])
    start = int(numbers[0] > 0 and numbers[-1] == count)
    absent = [number for number in range(start, start + count) if number not in numbers]
    if not absent and len(files) == count:
        return (
            files[0] if count == 1 else SourceFile(name, _refusal(NotImplementedError("open its shards")), None, files)
        )
    problem = f"{len(files)} files for {count} shards: {', '.join(file.name for file in files[:_SHOWN])}"
    if absent:
        width = len(numbered[0][0])
        names = [name.replace("*", str(number).zfill(width), 1) for number in absent[:_SHOWN]]
        more = f" and {len(absent) - _SHOWN} more" if len(absent) > _SHOWN else ""
        problem = f"{len(absent)} of {count} shards are missing: {', '.join(names)}{more}"
    hint = "pass the folder with all of them; to read one shard alone: --train FILE"
    return SourceFile(name, _refusal(DataError(problem, file=name, hint=hint)))


def _refusal(error: Exception) -> Callable[[], BinaryIO]:
    def opener() -> BinaryIO:
        raise error

    return opener
