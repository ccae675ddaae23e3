"""Runs that are killed, interrupted or out of disk end where the uninterrupted run ends, byte for byte."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import ROWS, as_flags, listed, pairs, short_options, write_dataset

from agcli.runs.folder import RunFolder
from agcli.training import checkpoint
from agcli.training.engine import Engine

EXACT = ("history.csv", "predictions.csv", "metrics.json", "model")
SECONDS = 60
"""A run takes less than one; where it takes this long, it hangs."""


@dataclass(frozen=True)
class Ended:
    """How a child process ended: its exit code, or minus the signal, and what it said."""

    code: int
    said: str


def in_child(work: Callable[[], Any], log: Path) -> Ended:
    """Do something in a forked child, which may die; forks spare the seconds that importing torch takes."""
    child = os.fork()
    if child == 0:
        code = 70
        try:
            sys.stdout = sys.stderr = log.open("w", buffering=1)
            work()
        except SystemExit as end:
            code = int(end.code or 0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    for _ in range(SECONDS * 100):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return Ended(os.waitstatus_to_exitcode(status), " ".join(log.read_text().split()))
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    raise AssertionError("the run hangs: " + log.read_text())


class Runs:
    """Runs of one setting in forked children."""

    def __init__(self, folder: Path, options: dict[str, Any]) -> None:
        self.folder, self.options = folder, options

    def ag(self, *words: str, before: Callable[[], object] = lambda: None) -> Ended:
        """`ag finetune` into the folder; `before` prepares the child for what shall happen to it."""

        def work() -> None:
            from agcli.cli.app import app

            before()
            app(["finetune", "--output", str(self.folder), *words, *as_flags(self.options)])

        self.folder.parent.mkdir(exist_ok=True, parents=True)
        return in_child(work, self.folder.parent / "log.txt")

    def resume(self, before: Callable[[], object] = lambda: None) -> Ended:
        return self.ag("--resume", before=before)

    @property
    def run(self) -> RunFolder:
        return RunFolder(self.folder)

    def state(self) -> dict[str, bytes]:
        """Every byte that must not depend on interruptions, the last two full states among them."""
        files = [path for name in EXACT for path in [self.folder / name, *(self.folder / name).rglob("*")]]
        files += [path for folder in sorted(self.run.checkpoints.glob("step-*"))[-2:] for path in folder.iterdir()]
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in files if path.is_file()}


@pytest.fixture(scope="module")
def settings(dataset: Path, encoder: Path) -> dict[str, Any]:
    """Guides, dropout, accumulation with a smaller last step, a checkpoint every second step: 3 epochs of 6 steps."""
    special = {"mdg": 0.5, "pdg": 0.25, "batch_size": 4, "accumulate": 2, "epochs": 3}
    return short_options(dataset, encoder) | special | {"checkpoint_every": 2, "keep_checkpoints": True}


@pytest.fixture(scope="module")
def whole(settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """The uninterrupted run."""
    runs = Runs(tmp_path_factory.mktemp("whole") / "run", settings)
    ended = runs.ag()
    assert ended.code == 0, ended.said
    assert {"history.csv", "predictions.csv", "metrics.json", "model/model.safetensors"} <= runs.state().keys()
    assert "checkpoints/step-00000018/optimizer.safetensors" in runs.state()
    return runs


@pytest.fixture
def broken(settings: dict[str, Any], tmp_path: Path) -> Runs:
    """A run of the same settings that something will happen to."""
    return Runs(tmp_path / "run", settings)


def differing(one: Runs, other: Runs) -> list[str]:
    """The files in which two runs differ."""
    left, right = one.state(), other.state()
    return sorted(name for name in left.keys() | right.keys() if left.get(name) != right.get(name))


def at_call(number: int, action: Callable[[], object], *functions: tuple[Any, str]) -> Callable[[], None]:
    """Prepares a child for an action before the call of that number of any of these functions (owner, name)."""

    def prepare() -> None:
        left = number

        def counted(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **keywords: Any) -> Any:
                nonlocal left
                left -= 1
                if left == 0:
                    action()
                return function(*arguments, **keywords)

            return call

        for owner, name in functions:
            setattr(owner, name, counted(getattr(owner, name)))

    return prepare


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


STEP = (Engine, "_step")
PREDICTION = (Engine, "predict")
SAVES = ((os, "fsync"), (os, "rename"), (os, "replace"), (os, "mkdir"), (os, "rmdir"), (os, "unlink"))
"""The calls of which a save is made."""


@pytest.mark.parametrize("step", [1, 2, 3, 6, 7, 18])
def test_killed_before_a_step(whole: Runs, broken: Runs, step: int) -> None:
    assert broken.ag(before=at_call(step, kill, STEP)).code == -signal.SIGKILL
    assert broken.run.state == "running"
    ended = broken.resume()
    assert ended.code == 0, ended.said
    assert ("resuming after step" in ended.said) == (step > 2)
    assert differing(whole, broken) == []


@pytest.fixture(scope="module")
def counted_in_steps(settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """An uninterrupted run of two epochs and 3 of the 6 steps of a third."""
    runs = Runs(tmp_path_factory.mktemp("counted") / "run", settings | {"epochs": 1, "max_steps": 15})
    ended = runs.ag()
    assert ended.code == 0, ended.said
    assert runs.run.metrics["steps"] == 15
    return runs


@pytest.mark.parametrize("step", [3, 14, 15])
def test_a_run_counted_in_steps_goes_on_inside_an_epoch(counted_in_steps: Runs, tmp_path: Path, step: int) -> None:
    """Killed before the step, then interrupted after the last one, before the evaluation that follows it."""
    cut = Runs(tmp_path / "run", counted_in_steps.options)
    assert cut.ag(before=at_call(step, kill, STEP)).code == -signal.SIGKILL
    last = 15 - (step - 1) // 2 * 2  # steps after the checkpoint
    ended = cut.resume(before=at_call(last, lambda: os.kill(os.getpid(), signal.SIGTERM), STEP))
    assert ended.code == 130
    assert "after step 15 of 15" in ended.said
    assert cut.resume().code == 0
    assert differing(counted_in_steps, cut) == []


@pytest.mark.parametrize("evaluation", [1, 2, 3, 4])
def test_killed_during_an_evaluation(whole: Runs, broken: Runs, evaluation: int) -> None:
    """Three on dev, one an epoch, then one on test."""
    assert broken.ag(before=at_call(evaluation, kill, PREDICTION)).code == -signal.SIGKILL
    assert broken.resume().code == 0
    assert differing(whole, broken) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_killed_several_times_anywhere_inside_saves_too(whole: Runs, broken: Runs, seed: int) -> None:
    """Most calls that are counted belong to saves; the step and evaluation calls lie between them."""
    dice = random.Random(seed)
    ended = broken.ag(before=at_call(dice.randrange(1, 150), kill, STEP, PREDICTION, *SAVES))
    assert ended.code == -signal.SIGKILL
    for _ in range(2):
        ended = broken.resume(before=at_call(dice.randrange(1, 150), kill, STEP, PREDICTION, *SAVES))
        assert ended.code in (0, -signal.SIGKILL), ended.said
    ended = broken.resume()
    assert ended.code == 0, ended.said
    assert differing(whole, broken) == []
    assert listed(broken.folder) == listed(whole.folder)  # nothing half-written stays


@pytest.mark.slow
def test_killed_while_the_results_are_written(whole: Runs, broken: Runs) -> None:
    """Before each call that writes the last files; the run is then gone on with from where it was killed."""
    assert broken.ag(before=at_call(4, kill, PREDICTION)).code == -signal.SIGKILL
    for call in range(10, 80, 4):
        copy = Runs(broken.folder.parent / f"copy{call}" / "run", broken.options)
        shutil.copytree(broken.folder, copy.folder)
        ended = copy.resume(before=at_call(call, kill, *SAVES))
        if ended.code == 0:
            break
        assert copy.resume().code == 0
        assert differing(whole, copy) == []
    assert call > 25  # so many kills came before a run that none reached


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", [1, 5, 6, 18])
def test_interrupted_runs_save_their_state_and_go_on(whole: Runs, broken: Runs, number: int, step: int) -> None:
    ended = broken.ag(before=at_call(step, lambda: os.kill(os.getpid(), number), STEP))
    assert ended.code == 130
    assert f"interrupted by {signal.Signals(number).name} after step {step} of 18" in ended.said
    assert f"ag finetune --output {broken.folder} --resume" in ended.said
    assert broken.run.state == "interrupted"
    assert checkpoint.newest(broken.run.checkpoints)[0] == broken.run.checkpoints / checkpoint.name_of(step)
    ended = broken.resume()
    assert ended.code == 0, ended.said
    assert differing(whole, broken) == []


def test_sigterm_that_arrives_again_while_the_state_is_saved_breaks_nothing_off(whole: Runs, broken: Runs) -> None:
    def terminate() -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    def prepare() -> None:
        at_call(5, terminate, STEP)()
        at_call(3, terminate, (checkpoint, "save"))()  # the first two are those of steps 2 and 4

    ended = broken.ag(before=prepare)
    assert ended.code == 130
    assert "Traceback" not in ended.said
    assert broken.run.read_json("status.json")["reason"].startswith("interrupted by SIGTERM after step 5 of 18")
    assert checkpoint.newest(broken.run.checkpoints)[0] == broken.run.checkpoints / checkpoint.name_of(5)
    assert broken.resume().code == 0
    assert differing(whole, broken) == []


def test_the_command_that_an_interruption_names_goes_on_with_the_runs_own_settings(whole: Runs, broken: Runs) -> None:
    assert broken.ag(before=at_call(5, lambda: os.kill(os.getpid(), signal.SIGINT), STEP)).code == 130
    bare = Runs(broken.folder, {})
    assert bare.resume().code == 0
    assert broken.run.config["keep_checkpoints"] is True
    assert differing(whole, broken) == []


def test_a_signal_during_an_evaluation_waits_for_its_end(whole: Runs, broken: Runs) -> None:
    ended = broken.ag(before=at_call(2, lambda: os.kill(os.getpid(), signal.SIGTERM), PREDICTION))
    assert ended.code == 130
    assert "after step 12 of 18" in ended.said
    assert broken.resume().code == 0
    assert differing(whole, broken) == []


def test_a_signal_during_the_last_prediction_stops_it(whole: Runs, broken: Runs) -> None:
    assert broken.ag(before=at_call(4, lambda: os.kill(os.getpid(), signal.SIGTERM), PREDICTION)).code == 130
    assert not (broken.folder / "predictions.csv").exists()
    assert broken.run.state == "interrupted"
    assert broken.resume().code == 0
    assert differing(whole, broken) == []


def test_a_second_signal_stops_at_once(whole: Runs, broken: Runs) -> None:
    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    ended = broken.ag(before=at_call(6, twice, STEP))
    assert ended.code == 130
    assert broken.run.state == "interrupted"
    found = checkpoint.newest(broken.run.checkpoints)[0]
    assert found is not None
    assert found.name == "step-00000004"  # the sixth step was not waited for
    assert broken.resume().code == 0
    assert differing(whole, broken) == []


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: flip(folder / "model.safetensors"),
        lambda folder: os.truncate(folder / "optimizer.safetensors", 100),
        lambda folder: (folder / "random.safetensors").unlink(),
        lambda folder: (folder / "manifest.json").unlink(),
    ],
    ids=["flipped", "truncated", "missing", "no manifest"],
)
def test_a_damaged_checkpoint_is_told_and_an_older_one_used(
    whole: Runs, broken: Runs, damage: Callable[[Path], None]
) -> None:
    assert broken.ag(before=at_call(12, kill, STEP)).code == -signal.SIGKILL
    damage(broken.run.checkpoints / "step-00000010")
    ended = broken.resume()
    assert ended.code == 0
    assert "warning: checkpoint step-00000010: " in ended.said
    assert "resuming after step 8" in ended.said
    assert differing(whole, broken) == []


def test_with_no_sound_checkpoint_it_starts_anew_and_says_so(whole: Runs, broken: Runs) -> None:
    assert broken.ag(before=at_call(6, kill, STEP)).code == -signal.SIGKILL
    for folder in broken.run.checkpoints.iterdir():
        flip(folder / "state.json")
    ended = broken.resume()
    assert ended.said.count("warning: ") == 2
    assert "no usable checkpoint: starting from the first step" in ended.said
    assert differing(whole, broken) == []


def full() -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("call", [20, 33, 60])
def test_a_disk_that_refuses_ends_the_run_with_advice(whole: Runs, broken: Runs, call: int) -> None:
    ended = broken.ag(before=at_call(call, full, (os, "fsync")))
    assert ended.code == 1
    assert "error: cannot write" in ended.said
    assert "No space left on device" in ended.said
    assert "Traceback" not in ended.said
    assert broken.run.state == "failed"
    assert broken.resume().code == 0
    assert differing(whole, broken) == []


def test_a_full_disk_leaves_a_run_that_can_go_on(whole: Runs, settings: dict[str, Any], tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("mounting a small file system is not permitted here")
    try:
        runs = Runs(disk / "run", settings)
        ended = runs.ag(before=at_call(8, lambda: fill(disk), STEP))
        assert ended.code == 1
        assert "No space left on device" in ended.said
        assert "Traceback" not in ended.said
        assert checkpoint.newest(runs.run.checkpoints)[0] is not None
        (disk / "ballast").unlink()
        ended = runs.resume()
        assert ended.code == 0, ended.said
        assert differing(whole, runs) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def fill(disk: Path) -> None:
    """Leave 20 kB: too little for a checkpoint."""
    free = os.statvfs(disk)
    (disk / "ballast").write_bytes(bytes(free.f_bavail * free.f_frsize - 20_000))


def test_a_run_of_an_older_version_goes_on_where_it_stopped(whole: Runs, broken: Runs) -> None:
    """Its state has one number of examples for the sums of all values, and its settings no guides in a list."""
    assert broken.ag(before=at_call(6, kill, STEP)).code == -signal.SIGKILL
    state = RunFolder(broken.run.checkpoints / "step-00000004")
    values = state.read_json("state.json")
    sums = values["progress"]["sums"]
    values["progress"]["sums"] = {name: total for name, (total, _) in sums.items()} | {"examples": sums["mdg"][1]}
    checkpoint.write_sealed(state.path, lambda aside: _copy_with(state.path, aside, values))
    settings = RunFolder(broken.folder).config
    assert settings.pop("guide") is None
    broken.run.write_json("config.json", settings)
    ended = broken.resume()
    assert ended.code == 0, ended.said
    assert "resuming after step 4" in ended.said
    assert differing(whole, broken) == []


def _copy_with(folder: Path, aside: Path, state: dict[str, Any]) -> None:
    shutil.copytree(folder, aside, dirs_exist_ok=True)
    (aside / "state.json").write_text(json.dumps(state))
    (aside / checkpoint.MANIFEST).unlink()


def test_changed_data_are_not_trained_on(broken: Runs, tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data")
    broken.options = broken.options | {"dataset": str(data)}
    assert broken.ag(before=at_call(6, kill, STEP)).code == -signal.SIGKILL
    shutil.rmtree(data)
    write_dataset(data, {split: pairs(split, count - 1) for split, count in ROWS.items()})
    ended = broken.resume()
    assert ended.code == 3
    assert "not the data that the run began with" in ended.said


def test_a_run_does_not_go_on_in_another_arithmetic(broken: Runs) -> None:
    assert broken.ag(before=at_call(6, kill, STEP)).code == -signal.SIGKILL
    folder = RunFolder(broken.folder)
    environment = folder.environment
    environment["plan"]["precision"] = "bf16"
    folder.write_json("environment.json", environment | {"torch_threads": 63})
    ended = broken.resume()
    assert ended.code == 2
    assert "the run began with precision bf16; here it would go on with fp32" in ended.said
    environment["plan"]["precision"] = "fp32"
    folder.write_json("environment.json", environment | {"torch_threads": 63})
    ended = broken.resume()
    assert ended.code == 0
    assert "began with 63 threads" in ended.said


@pytest.mark.slow
def test_kill_9_of_the_real_program_at_random_times(whole: Runs, broken: Runs) -> None:
    dice = random.Random(os.urandom(8))
    command = [sys.executable, "-m", "agcli", "finetune", "--output", str(broken.folder), *as_flags(broken.options)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    history = broken.folder / "history.csv"
    for lines in (4, 11):
        program = subprocess.Popen([*command, "--resume"], env=environment, stderr=subprocess.DEVNULL)
        while program.poll() is None and (not history.exists() or history.read_text().count("\n") < lines):
            time.sleep(0.002)
        time.sleep(dice.uniform(0, 0.05))
        program.kill()
        assert program.wait() in (0, -signal.SIGKILL)
    subprocess.run([*command, "--resume"], env=environment, check=True, capture_output=True)
    assert differing(whole, broken) == []
