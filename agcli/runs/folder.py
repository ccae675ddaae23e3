"""Run folders: how a run is written and read back.

config.json       settings, reloadable with --config      metrics.json      task, dev, test, baseline, guides, epochs
environment.json  versions, hardware, hashes, plan        predictions.csv   one row an example, no text
status.json       running, finished, failed, interrupted  history.csv       one row a step, no times
model/            loads in vanilla transformers           timing.csv        the times of those steps
trained_on.npy    hashes of the training rows             guide_shares.json  weights set from shares of the task, if any

Folders of older versions stay readable. What they lack is derived in one place: the task in `RunFolder.task`, the
apostrophes before some cells in `RunFolder.cells_are_escaped`, the training rows in
`tasks.training_overlap`. Options that an older config.json lacks have their defaults.
"""

from __future__ import annotations

import errno
import json
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

from filelock import FileLock, Timeout

from agcli.errors import AgError, DataError, InterruptedRunError, RunError, UsageError, unreadable
from agcli.runs.atomic import clear_leftovers, write_text, writing
from agcli.tables.csv_json import csv_text

State = Literal["running", "finished", "failed", "interrupted"]
STATES: tuple[State, ...] = get_args(State)
RESULT_VERSION = 1
"""Raised when the same settings would give other numbers or other files than before."""
_CELLS_UNMARKED_SINCE = "long_claims"
"""An option that came together with tables whose cells are those of the source: older runs do not record it, and
their cells are read by `measures.classification.without_apostrophe`."""
_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
_MADE_BY_A_RUN = (
    *("checkpoints", "model", "tracking", "rankings"),
    *("metrics.json", "predictions.csv", "history.csv", "timing.csv", "environment.json", "trained_on.npy"),
    "guide_shares.json",
)


@dataclass(frozen=True)
class RunFolder:
    """A run on disk, whatever its state.

    Attributes:
        writes: whether this process writes there. Of those that share a run one does; in the others, methods that
            write do nothing.
    """

    path: Path
    writes: bool = True

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.resolve().name

    @property
    def model(self) -> Path:
        """Folder of the trained model."""
        return self.path / "model"

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints, while the run goes on."""
        return self.path / "checkpoints"

    @property
    def config(self) -> dict[str, Any]:
        """Option name -> value."""
        return self.read_json("config.json")

    @property
    def metrics(self) -> dict[str, Any]:
        """The contents of `metrics.json`.

        Raises:
            DataError: it is missing, damaged, or holds no results.
        """
        metrics = self.read_json("metrics.json")
        if not any(isinstance(metrics.get(split), dict) for split in ("dev", "test")):
            raise DataError("not the metrics of a run: it has neither dev nor test", file=self.path / "metrics.json")
        return metrics

    @property
    def task(self) -> str:
        """Name of the task (see `agcli.tasks.registry`); of a run that does not record it, by its dev metrics."""
        metrics = self.metrics
        inferred = "ranking" if "RR" in metrics.get("dev", {}) else "classification"
        return str(metrics.get("task", inferred))

    @property
    def trained_labels(self) -> tuple[str, ...]:
        """The labels of the saved model, in the order of its outputs."""
        names = self.read_json("model/config.json").get("id2label", {})
        return tuple(str(names[index]) for index in sorted(names, key=int))

    @property
    def environment(self) -> dict[str, Any]:
        """The contents of `environment.json`; empty before training has begun."""
        return self._find_json("environment.json") or {}

    @property
    def credentialed(self) -> bool:
        """Whether it was trained on credentialed data."""
        return bool(self.environment.get("data", {}).get("credentialed", False))

    @property
    def state(self) -> State | None:
        """The run's state, or None where there is no run."""
        status = self._find_json("status.json")
        if status is None:
            return None
        state = status.get("state")
        if state not in STATES:
            raise DataError("no state of a run", file=self.path / "status.json", value=state, allowed=STATES)
        return cast(State, state)

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file whole or not at all."""
        self._write_text(name, json.dumps(value, indent=2, ensure_ascii=False) + "\n")

    def _write_text(self, name: str, text: str) -> None:
        if self.writes:
            write_text(self.path / name, text)

    def set_state(self, state: State, reason: str = "") -> None:
        """Record the run's state."""
        self.write_json("status.json", {"state": state, "reason": reason, "result_version": RESULT_VERSION})

    def record_error(self, error: BaseException) -> None:
        """Record the error that ended the run."""
        if isinstance(error, InterruptedRunError | KeyboardInterrupt):
            self.set_state("interrupted", str(error))
            return
        while not isinstance(error, Exception) and error.__context__:  # SystemExit of a library: its cause
            error = error.__context__
        self.set_state("failed", str(error) if isinstance(error, AgError) else f"{type(error).__name__}: {error}")

    def clear(self) -> None:
        """Remove an earlier run's files but its settings and state, and nothing else."""
        if not self.writes:
            return
        with writing(self.path):
            for name in _MADE_BY_A_RUN:
                if "." in name:
                    (self.path / name).unlink(missing_ok=True)
                else:
                    shutil.rmtree(self.path / name, ignore_errors=True)

    @contextmanager
    def locked(self, warn: Callable[[str], None]) -> Iterator[None]:
        """Hold the folder for this process; the lock ends with it. Without locks of the file system, `warn` is called.

        Raises:
            RunError: another process holds it, or it cannot be written.
        """
        if not self.writes:
            yield
            return
        file = self.path / ".lock"
        lock = FileLock(file, blocking=False, fallback_to_soft=False)
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire()
            except Timeout:
                hint = "wait for it, or choose another --output"
                raise RunError(f"another process is working in {self.path}.", hint=hint) from None
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
                why = f"the file system of {self.path} has no flock ({error.strerror})"
                warn(f"{why}: nothing keeps another process from writing there at the same time.")
        try:
            if lock.is_locked:
                clear_leftovers(self.path)
            yield
        finally:
            file.unlink(missing_ok=True)
            lock.release()

    def write_predictions(self, splits: Mapping[str, Sequence[Sequence[object]]]) -> None:
        """Write `predictions.csv` from split -> rows, the first of them a header, the same for all; never text."""
        header = next(iter(splits.values()))[0]
        rows = [[split, *row] for split, table in splits.items() for row in table[1:]]
        self._write_text("predictions.csv", csv_text([["split", *header], *rows]))

    @property
    def cells_are_escaped(self) -> bool:
        """Whether an older version wrote an apostrophe before cells that a spreadsheet takes for a formula."""
        config = self._find_json("config.json")
        return config is not None and _CELLS_UNMARKED_SINCE not in config

    def read_json(self, name: str) -> dict[str, Any]:
        """The contents of a JSON file of the folder.

        Raises:
            DataError: it is missing, cannot be read, or holds no JSON object.
        """
        value = self._find_json(name)
        if value is None:
            raise DataError("the run folder lacks this file", file=self.path / name)
        return value

    def _find_json(self, name: str) -> dict[str, Any] | None:
        """`read_json`, or None where there is no such file."""
        path = self.path / name
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise unreadable(path, error, path) from None
        except ValueError as error:
            raise DataError(f"not valid JSON ({error})", file=path) from None
        if not isinstance(value, dict):
            raise DataError("not a JSON object", file=path)
        return value


def open_run(path: Path) -> RunFolder:
    """A finished run.

    Raises:
        DataError: no run folder.
        RunError: a run that is not finished.
    """
    folder = RunFolder(path)
    state = folder.state
    if state is None:
        raise DataError(_problem(path), file=path, hint="`ag finetune` makes run folders")
    if state != "finished":
        raise RunError(
            f"{path}: this run is {state}, not finished.",
            hint=f"ag finetune --output {shlex.quote(str(path.resolve()))} --resume",
        )
    return folder


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


def _problem(path: Path) -> str:
    """Why a path is no run."""
    if path.is_file():
        return "a file, no run folder"
    if (path / "cells").is_dir():
        return "the folder of a sweep, no run folder; its runs lie in cells/"
    return "no run folder (it has no status.json)" if path.exists() else "no run folder (there is nothing)"
