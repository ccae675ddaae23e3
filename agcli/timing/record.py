"""What a timing leaves in a folder: rows, every step, and where it was measured."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from agcli.errors import UsageError
from agcli.runs import environment
from agcli.runs.atomic import write_folder
from agcli.timing.measuring import GroupTimes
from agcli.timing.plan import TimingRequest
from agcli.timing.rows import TimingRow

STEP_COLUMNS = ("group", "arm", "round", "step", "seconds", "examples", "tokens", "slots")


def check_free(folder: Path) -> None:
    """Refuse a folder that holds something, before minutes are spent on what would go there.

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
        UsageError: something is there meanwhile.
        RunError: the disk refuses.
    """
    check_free(folder)

    def write(aside: Path) -> None:
        columns = [item.name for item in fields(TimingRow)]
        (aside / "timing.csv").write_text(as_csv(columns, map(asdict, rows)), encoding="utf-8")
        (aside / "steps.csv").write_text(as_csv(STEP_COLUMNS, step_lines(times)), encoding="utf-8")
        _write_json(aside / "timing.json", as_json(rows))
        _write_json(aside / "environment.json", environment.describe() | {"request": _asked(request)})

    write_folder(folder, write)


def _asked(request: TimingRequest) -> dict[str, Any]:
    """The request without those options of a run that a timing has of its own, or no use for."""
    asked = asdict(request)
    model, training = asked.pop("model"), asked.pop("training")
    kept = {name: model[name] for name in ("dropout", "activation_checkpointing", "compile")}
    return asked | kept | {name: training[name] for name in ("batch_size", "precision", "optimizer", "seed")}


def as_json(rows: Sequence[TimingRow]) -> list[dict[str, Any]]:
    """The rows as plain objects, in their order."""
    return [asdict(row) for row in rows]


def step_lines(times: Iterable[GroupTimes]) -> Iterable[dict[str, Any]]:
    """Every measured step; rounds and steps are counted from 1."""
    for found in times:
        for arm in found.arms:
            step = 0
            for number, block in enumerate(arm.blocks, start=1):
                for each in block:
                    step += 1
                    cells = (found.group.name, arm.spec.name, number, step, each.seconds, *asdict(each.work).values())
                    yield dict(zip(STEP_COLUMNS, cells, strict=True))


def as_csv(columns: Sequence[str], lines: Iterable[Mapping[str, Any]]) -> str:
    """Lines as CSV text; an empty cell for nothing."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
