"""Finished runs that can rank."""

from __future__ import annotations

from pathlib import Path

from agcli.errors import UsageError
from agcli.runs.folder import RunFolder, open_run


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
