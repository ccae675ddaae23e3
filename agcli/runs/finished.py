"""Finished runs that a command is given: rankers, and several at once with one error for all that cannot be opened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from agcli.errors import DataError, RunError, UsageError
from agcli.runs.folder import RunFolder, open_run

T = TypeVar("T")
NAMED_PATHS = 8
"""Paths that one message lists."""


def open_ranker_run(path: Path) -> RunFolder:
    """A finished run that was trained to rank.

    Raises:
        DataError: no run folder.
        RunError: a run that is not finished.
        UsageError: a run of another task.
    """
    folder = open_run(path)
    if folder.task != "ranking":
        raise UsageError(
            f"{path}: this run classifies pairs; it does not rank documents.",
            hint="ag finetune --dataset NAME, where NAME was prepared with: ag prepare --task ranking",
        )
    return folder


def open_all(paths: Sequence[Path], open_one: Callable[[Path], T]) -> list[T]:
    """Open every path.

    Raises:
        DataError: several cannot be opened, each named with its reason.
        AgError: one cannot: its own error.
    """
    opened: list[T] = []
    errors: dict[Path, DataError | RunError] = {}
    for path in paths:
        try:
            opened.append(open_one(path))
        except (DataError, RunError) as error:
            errors[path] = error
    if len(errors) == 1:
        raise next(iter(errors.values()))
    if errors:
        named = [f"{path} ({_reason(path, error)})" for path, error in list(errors.items())[:NAMED_PATHS]]
        named += [f"and {len(errors) - NAMED_PATHS} more"] if len(errors) > NAMED_PATHS else []
        problem = f"{len(errors)} of {len(paths)} paths cannot be evaluated: {'; '.join(named)}"
        raise DataError(problem, hint="leave them out")
    return opened


def _reason(path: Path, error: DataError | RunError) -> str:
    """The error without the path and the allowed values."""
    message = error.message if isinstance(error, DataError) else str(error).removeprefix(f"{path}: ")
    return message.removesuffix(".")
