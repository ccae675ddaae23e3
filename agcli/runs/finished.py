"""Finished runs that a command is given: those that can rank, and several at once with one error for all strays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from agcli.errors import DataError, RunError, UsageError
from agcli.runs.folder import RunFolder, open_run

T = TypeVar("T")
NAMED_FAULTS = 8
"""Paths at fault that one message names."""


def open_ranker_run(path: Path) -> RunFolder:
    """A finished run that was trained to rank.

    Raises:
        DataError: no run folder.
        RunError: a run that is not finished.
        UsageError: a run that was trained to classify.
    """
    folder = open_run(path)
    if "RR" not in folder.metrics.get("dev", {}):
        raise UsageError(
            f"{path}: this run classifies pairs; it does not rank documents.",
            hint="ag finetune --dataset NAME, where NAME was prepared with: ag prepare --task ranking",
        )
    return folder


def open_all(paths: Sequence[Path], open_one: Callable[[Path], T]) -> list[T]:
    """What `open_one` makes of every path; paths of which it makes nothing are named in one error.

    Raises:
        DataError: several are at fault, each named with its reason.
        AgError: one is: its own error.
    """
    opened: list[T] = []
    faults: dict[Path, DataError | RunError] = {}
    for path in paths:
        try:
            opened.append(open_one(path))
        except (DataError, RunError) as error:
            faults[path] = error
    if len(faults) == 1:
        raise next(iter(faults.values()))
    if faults:
        named = [f"{path} ({_reason(path, error)})" for path, error in list(faults.items())[:NAMED_FAULTS]]
        named += [f"and {len(faults) - NAMED_FAULTS} more"] if len(faults) > NAMED_FAULTS else []
        problem = f"{len(faults)} of {len(paths)} paths cannot be evaluated: {'; '.join(named)}"
        raise DataError(problem, hint="leave them out")
    return opened


def _reason(path: Path, error: DataError | RunError) -> str:
    """The error without the path, and without what would be allowed."""
    message = error.message if isinstance(error, DataError) else str(error).removeprefix(f"{path}: ")
    return message.removesuffix(".")
