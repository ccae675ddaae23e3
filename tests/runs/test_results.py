"""Run folders: files that are whole, tables that can be cut back, cells as in the source."""

from __future__ import annotations

import csv
import errno
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from closed_files import close
from tiny_runs import listed

from agcli.errors import AgError, DataError, InterruptedRunError, RunError
from agcli.measures.classification import Predictions, prediction_rows
from agcli.options import OPTIONS
from agcli.runs.folder import RunFolder, open_run
from agcli.tables.csv_json import csv_text
from agcli.tasks.classification import load_predictions
from agcli.training.report import StepTable

IDS = ("=1+1", "+2", "-3", "@cmd", "'=quoted", "''", "\tx", 'a,"b"\nc', "é☃", "NA", "0012")


@pytest.mark.parametrize("text", IDS)
def test_text_in_a_table_is_that_of_the_source(text: str) -> None:
    assert next(csv.reader(io.StringIO(csv_text([[text]])))) == [text]


def test_a_table_that_a_spreadsheet_saved(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.write_predictions({"dev": prediction_rows(predicted(("+2", "-3"), ("yes", "no")))})
    file = tmp_path / "predictions.csv"
    text = file.read_text()
    file.write_text(f"\ufeff{text}")
    assert load_predictions(run, "dev").ids == ("+2", "-3")
    file.write_text(text.replace(",", ";"))
    with pytest.raises(DataError, match="row 1: not the columns of a run's predictions") as caught:
        load_predictions(run, "dev")
    assert "0." not in str(caught.value).removeprefix(str(file))
    assert "spreadsheet" in str(caught.value.hint)


def predicted(ids: tuple[str, ...] = IDS, labels: tuple[str, ...] = ("=yes", "no", "-")) -> Predictions:
    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.ones(len(labels)), size=len(ids))
    return Predictions(ids, labels, random.integers(len(labels), size=len(ids)), probabilities)


def test_predictions_come_back_as_they_were(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    dev, test = predicted(), predicted(ids=("x", "y"))
    run.write_predictions({"dev": prediction_rows(dev), "test": prediction_rows(test)})
    for split, expected in {"dev": dev, "test": test}.items():
        found = load_predictions(run, split)
        assert (found.ids, found.labels) == (expected.ids, expected.labels)
        assert found.gold.tolist() == expected.gold.tolist()
        assert found.probabilities.tolist() == expected.probabilities.tolist()  # every bit
    with (tmp_path / "predictions.csv").open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == ["split", "id", "label", "prediction", "p_=yes", "p_no", "p_-"]
    assert [row[1] for row in rows[:4]] == ["=1+1", "+2", "-3", "@cmd"]


def marked(text: object) -> object:
    """A cell as older versions wrote it, which kept spreadsheets from running it."""
    is_formula = isinstance(text, str) and text.lstrip("'").startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{text}" if is_formula else text


def test_an_older_runs_cells_lose_their_mark_and_no_others_do(tmp_path: Path) -> None:
    """Runs of the version that wrote marks lack an option that came when it ceased to."""
    found = predicted()
    rows = prediction_rows(found)
    new, old = RunFolder(tmp_path / "new"), RunFolder(tmp_path / "old")
    for run, written in ((new, rows), (old, [rows[0], *([marked(cell) for cell in row] for row in rows[1:])])):
        run.path.mkdir()
        run.write_json("config.json", {name: None for name in OPTIONS if run is new or name != "long_claims"})
        run.write_predictions({"dev": written})
        again = load_predictions(run, "dev")
        assert (again.ids, again.labels, again.gold.tolist()) == (found.ids, found.labels, found.gold.tolist())
    assert "'=1+1" in (old.path / "predictions.csv").read_text()
    assert "long_claims" in OPTIONS, "what tells an older run from a newer one: keep it, or record another mark"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "the run has no predictions"),
        ("", "not a predictions file"),
        ("split,id,label,prediction,p_a\ndev,1,b,a,0.5\n", "not a predictions file"),
        ("split,id,label,prediction,p_a\ndev,1,a,a,x\n", "not a predictions file"),
        ("split,id,label,prediction,p_a\ntest,1,a,a,1.0\n", "no such split.*'dev'.*Allowed: test"),
    ],
)
def test_predictions_that_cannot_be_read(tmp_path: Path, content: str | None, problem: str) -> None:
    if content is not None:
        (tmp_path / "predictions.csv").write_text(content)
    with pytest.raises(DataError, match=problem) as caught:
        load_predictions(RunFolder(tmp_path), "dev")
    assert "predictions.csv" in str(caught.value)


def test_a_table_is_cut_back_to_a_step(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    table = StepTable(path, ["step", "loss"])
    table.start(0)
    for step in range(1, 5):
        table.add([step, step / 3])
    table.close()
    whole = path.read_text()
    assert whole.splitlines()[1] == "1,0.3333333333333333"
    with path.open("a") as file:
        file.write("5,0.1")  # killed inside a line
    table.start(2)
    table.add([3, 1.0])
    table.add([4, 4 / 3])
    table.close()
    assert path.read_text() == whole
    table.start(9)
    table.close()
    assert path.read_text() == whole
    table.start(0)
    table.close()
    assert path.read_text() == "step,loss\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_under_a_table_is_an_error_of_ours(tmp_path: Path) -> None:
    table = StepTable(tmp_path / "history.csv", ["step"])
    table.start(0)
    table._file.close()
    table._file = Path("/dev/full").open("a", buffering=1)  # noqa: SIM115
    with pytest.raises(RunError, match=r"history\.csv: No space left on device"):
        table.add([1])
    with pytest.raises(RunError, match=r"history\.csv: No space left on device"):
        table.sync()
    with pytest.raises(RunError, match=r"history\.csv: No space left on device"):
        table.close()


HOLD = """
import sys, time
from pathlib import Path
from agcli.runs.folder import RunFolder
with RunFolder(Path(sys.argv[1])).locked(print):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_folder_is_held_by_one_process_until_it_dies(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(run.path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RunError, match="another process is working"), run.locked(print):
            pass
    finally:
        holder.kill()
        holder.wait()
    with run.locked(print):
        pass
    assert list(run.path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_named_and_gone_on_with(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse)
    (tmp_path / ".metrics.json.77.tmp").touch()  # perhaps of a process that is still at work
    warnings: list[str] = []
    with RunFolder(tmp_path).locked(warnings.append):
        assert listed(tmp_path) == [".lock", ".metrics.json.77.tmp"]
    assert len(warnings) == 1
    assert f"has no flock ({os.strerror(number)})" in warnings[0]


def test_what_a_killed_process_left_half_written_is_swept_away(tmp_path: Path) -> None:
    (tmp_path / ".metrics.json.77.tmp").touch()
    (tmp_path / ".model.77.tmp").mkdir()
    (tmp_path / ".model.77.tmp" / "weights").touch()
    (tmp_path / ".model.77.old").mkdir()
    (tmp_path / "metrics.json").touch()
    with RunFolder(tmp_path).locked(print):
        assert listed(tmp_path) == [".lock", "metrics.json"]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
def test_a_leftover_that_cannot_be_removed_is_not_taken_for_a_lock(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path.suffix == ".tmp":
            raise OSError(number, os.strerror(number), str(path))
        unlink(path, missing_ok)

    (tmp_path / ".metrics.json.77.tmp").touch()
    monkeypatch.setattr(Path, "unlink", refuse)
    warnings: list[str] = []
    with RunFolder(tmp_path).locked(warnings.append):
        assert listed(tmp_path) == [".lock", ".metrics.json.77.tmp"]
    assert warnings == []
    assert listed(tmp_path) == [".metrics.json.77.tmp"]


def refused(*_: object, **__: object) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_an_error_under_the_lock_is_not_taken_for_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agcli.runs.folder.clear_leftovers", refused)
    warnings: list[str] = []
    with pytest.raises(OSError, match="Input/output"), RunFolder(tmp_path).locked(warnings.append):
        pass
    assert warnings == []
    assert listed(tmp_path) == []


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(RunError, match=r"cannot write .*Not a directory"),
        RunFolder(tmp_path / "file" / "x").locked(print),
    ):
        pass


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (RunError("the loss is nan"), "failed", "the loss is nan"),
        (MemoryError("too much"), "failed", "MemoryError: too much"),
        (InterruptedRunError("by SIGINT"), "interrupted", "by SIGINT"),
        (KeyboardInterrupt(), "interrupted", ""),
    ],
)
def test_an_error_marks_the_run(tmp_path: Path, error: BaseException, state: str, reason: str) -> None:
    run = RunFolder(tmp_path)
    assert run.state is None
    run.record_error(error)
    assert run.state == state
    assert run.read_json("status.json")["reason"] == reason


def test_what_made_a_library_give_up_is_the_reason(tmp_path: Path) -> None:
    """Rich and Click turn a closed pipe into SystemExit."""
    run = RunFolder(tmp_path)
    try:
        try:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")
        except BrokenPipeError:
            raise SystemExit(1) from None
    except SystemExit as error:
        run.record_error(error)
    assert run.read_json("status.json")["reason"] == "BrokenPipeError: [Errno 32] Broken pipe"


@pytest.mark.parametrize(
    ("metrics", "task"),
    [
        ({"task": "ranking", "dev": {"accuracy": 0.5}}, "ranking"),
        ({"dev": {"RR": 0.5, "n": 3}}, "ranking"),
        ({"dev": {"accuracy": 0.5, "n": 3}, "test": {}}, "classification"),
        ({"test": {"accuracy": 0.5}}, "classification"),
    ],
)
def test_the_task_is_the_recorded_one_or_that_of_an_older_runs_metrics(
    tmp_path: Path, metrics: dict[str, Any], task: str
) -> None:
    run = RunFolder(tmp_path)
    run.write_json("metrics.json", metrics)
    assert run.task == task


def test_only_a_finished_run_is_opened(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no run folder"):
        open_run(tmp_path)
    run = RunFolder(tmp_path)
    for state in ("running", "failed", "interrupted"):
        run.set_state(state)  # type: ignore[arg-type]
        with pytest.raises(RunError, match=f"this run is {state}, not finished") as caught:
            open_run(tmp_path)
        assert caught.value.hint == f"ag finetune --output {tmp_path} --resume"
    run.set_state("finished")
    assert open_run(tmp_path) == run


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"state": "done"}'])
def test_a_damaged_status_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "status.json").write_text(content)
    with pytest.raises(DataError, match=r"status\.json"):
        _ = RunFolder(tmp_path).state


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_a_damaged_json_file_is_named(tmp_path: Path, content: Any) -> None:
    if content is not None:
        (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(AgError, match=r"metrics\.json"):
        _ = RunFolder(tmp_path).metrics


@pytest.mark.parametrize("name", ["status.json", "environment.json", "metrics.json", "predictions.csv", ""])
def test_what_may_not_be_read_is_named_with_what_to_do(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(tmp_path / "my run")
    run.path.mkdir()
    run.set_state("finished")
    for each in ("environment", "metrics"):
        run.write_json(f"{each}.json", {"dev": {}})
    run.write_predictions({"dev": prediction_rows(predicted())})
    close(run.path / name, monkeypatch)
    with pytest.raises(DataError, match=rf"{name or 'status.json'}: cannot be read \(Permission denied\)") as caught:
        _ = (run.state, run.environment, run.metrics, load_predictions(run, "dev"))
    assert f"chmod u+rX '{run.path / (name or 'status.json')}'" in str(caught.value.hint)


def test_clearing_removes_a_run_and_nothing_else(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.set_state("finished")
    for name in ("model/a", "checkpoints/b", "tracking/c", "notes/d"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    for name in ("history.csv", "timing.csv", "metrics.json", "predictions.csv", "environment.json", "trained_on.npy"):
        (tmp_path / name).touch()
    (tmp_path / "mine.txt").touch()
    run.clear()
    assert listed(tmp_path) == ["mine.txt", "notes", "status.json"]
    (tmp_path / "history.csv").mkdir()
    with pytest.raises(RunError, match="cannot write"):
        run.clear()
