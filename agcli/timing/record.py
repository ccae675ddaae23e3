"""The files of `ag timing --output`: rows, every step, and the environment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from agcli.errors import UsageError
from agcli.runs import environment
from agcli.runs.atomic import write_folder
from agcli.tables.csv_json import csv_text, json_text
from agcli.timing.measure import GroupTimes
from agcli.timing.request import TimingRequest
from agcli.timing.rows import TimingRow

STEP_COLUMNS = ("group", "arm", "round", "step", "seconds", "examples", "tokens", "slots")
"""Of steps.csv; rounds and steps are counted from 1."""


def check_free(folder: Path) -> None:
    """Check before minutes are spent that an output folder is absent or empty.

    Raises:
        UsageError: it is no folder, or not empty.
    """
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists() or folder.is_symlink():
        raise UsageError(f"--output {folder} exists; it is left alone.", hint="choose another folder, or remove it")


def write_record(folder: Path, request: TimingRequest, times: Sequence[GroupTimes], rows: Sequence[TimingRow]) -> None:
    """Write timing.csv, steps.csv, timing.json and environment.json, all or nothing.

    Raises:
        UsageError: the folder has been created meanwhile.
        RunError: it cannot be written.
    """
    check_free(folder)
    columns = [item.name for item in fields(TimingRow)]
    texts = {
        "timing.csv": csv_text([columns, *(list(asdict(row).values()) for row in rows)]),
        "steps.csv": csv_text([STEP_COLUMNS, *_step_lines(times)]),
        "timing.json": json_text([asdict(row) for row in rows]),
        "environment.json": json_text(environment.describe() | {"request": _options(request)}),
    }

    def write(aside: Path) -> None:
        for name, text in texts.items():
            (aside / name).write_text(text, encoding="utf-8")

    write_folder(folder, write)


def _options(request: TimingRequest) -> dict[str, Any]:
    """The request without those options of a run that a timing replaces or does not use."""
    options = asdict(request)
    model, training, guides = options.pop("model"), options.pop("training"), options.pop("guides")
    kept = {name: model[name] for name in ("dropout", "activation_checkpointing", "compile")}
    kept |= {name: guides[name] for name in ("guide_layers", "guide_heads")}
    return options | kept | {name: training[name] for name in ("batch_size", "precision", "optimizer", "seed")}


def _step_lines(times: Iterable[GroupTimes]) -> Iterator[list[object]]:
    for group in times:
        for method in group.methods:
            rounds = [(number, step) for number, block in enumerate(method.blocks, start=1) for step in block]
            for place, (number, step) in enumerate(rounds, start=1):
                work = asdict(step.work).values()
                yield [group.group.name, method.spec.name, number, place, step.seconds, *work]
