"""Files that were written in numbered shards, `train-00000-of-00002.parquet`: one file together if all are there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath
from typing import BinaryIO

from agcli.data.files import SHARD, SourceFile
from agcli.errors import DataError

_NAMED = 5
_Numbered = tuple[str, SourceFile]


def join_shards(files: Iterable[SourceFile]) -> list[SourceFile]:
    """The files by name, with every set of shards as one that is called `train-*-of-00002.parquet`.

    A set that is not complete becomes a file that cannot be opened: what nobody reads need not be complete.
    """
    whole: list[SourceFile] = []
    sets: dict[str, list[_Numbered]] = defaultdict(list)
    for file in files:
        shard = SHARD.fullmatch(PurePosixPath(file.name).name)
        if shard is None:
            whole.append(file)
        else:
            name = f"{shard['stem']}-*-of-{shard['count']}{shard['ending']}"
            sets[str(PurePosixPath(file.folder, name))].append((shard["number"], file))
    joined = [_joined(name, sorted(numbered, key=lambda each: int(each[0]))) for name, numbered in sets.items()]
    return sorted([*whole, *joined], key=lambda file: file.name)


def _joined(name: str, numbered: list[_Numbered]) -> SourceFile:
    """One file of a set of shards, which count from 0 (`datasets`) or from 1."""
    numbers, files = [int(number) for number, _ in numbered], tuple(file for _, file in numbered)
    count = int(name.rpartition("-of-")[2].partition(".")[0])
    start = int(numbers[0] > 0 and numbers[-1] == count)
    absent = [number for number in range(start, start + count) if number not in numbers]
    if not absent and len(files) == count:
        return (
            files[0] if count == 1 else SourceFile(name, _refusal(NotImplementedError("open its shards")), None, files)
        )
    problem = f"{len(files)} files for {count} shards: {', '.join(file.name for file in files[:_NAMED])}"
    if absent:
        width = len(numbered[0][0])
        names = [name.replace("*", str(number).zfill(width), 1) for number in absent[:_NAMED]]
        more = f" and {len(absent) - _NAMED} more" if len(absent) > _NAMED else ""
        problem = f"{len(absent)} of {count} shards are missing: {', '.join(names)}{more}"
    hint = "pass the folder with all of them; to read one shard alone: --train FILE"
    return SourceFile(name, _refusal(DataError(problem, file=name, hint=hint)))


def _refusal(error: Exception) -> Callable[[], BinaryIO]:
    def opener() -> BinaryIO:
        raise error

    return opener
