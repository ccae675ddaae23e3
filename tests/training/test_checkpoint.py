"""Checkpoints: whole or absent, checked when read, exact."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import listed

from agcli.config import RunConfig
from agcli.errors import RunError
from agcli.runs.folder import RunFolder
from agcli.training import checkpoint
from agcli.training.assemble import Assembly
from agcli.training.engine import Engine


def fill(text: str = "new") -> Callable[[Path], None]:
    """Writes two files, one in a folder of its own."""

    def write(folder: Path) -> None:
        (folder / "a.txt").write_text(text)
        (folder / "b").mkdir()
        (folder / "b" / "c.bin").write_bytes(bytes(1000))

    return write


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_folder_is_sealed_with_the_hash_of_each_file(tmp_path: Path) -> None:
    checkpoint.write_sealed(tmp_path / "x", fill())
    assert names(tmp_path) == ["x/a.txt", "x/b/c.bin", "x/manifest.json"]
    assert checkpoint.damage(tmp_path / "x") is None
    manifest = json.loads((tmp_path / "x" / "manifest.json").read_text())
    assert manifest["a.txt"] == "11507a0e2f5e69d5dfa40a62a1bd7b6ee57e6bcd85c67c9b8431b36fff21c437"  # of "new"


def test_a_folder_that_is_there_is_replaced(tmp_path: Path) -> None:
    checkpoint.write_sealed(tmp_path / "x", fill("old"))
    checkpoint.write_sealed(tmp_path / "x", fill("new"))
    assert (tmp_path / "x" / "a.txt").read_text() == "new"
    assert listed(tmp_path) == ["x"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("else")])
def test_a_write_that_fails_leaves_what_was_there_and_nothing_else(tmp_path: Path, error: Exception) -> None:
    checkpoint.write_sealed(tmp_path / "x", fill("old"))

    def write(folder: Path) -> None:
        fill("new")(folder)
        raise error

    with pytest.raises(RunError if isinstance(error, OSError) else RuntimeError):
        checkpoint.write_sealed(tmp_path / "x", write)
    assert listed(tmp_path) == ["x"]
    assert checkpoint.damage(tmp_path / "x") is None
    assert (tmp_path / "x" / "a.txt").read_text() == "old"


def test_a_parent_that_is_a_file_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"cannot write .*Not a directory"):
        checkpoint.write_sealed(tmp_path / "file" / "x", fill())


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "flipped": (lambda folder: flip(folder / "b" / "c.bin"), "b/c.bin is damaged"),
    "truncated": (lambda folder: os.truncate(folder / "b" / "c.bin", 999), "b/c.bin is damaged"),
    "empty": (lambda folder: os.truncate(folder / "b" / "c.bin", 0), "b/c.bin is damaged"),
    "missing": (lambda folder: (folder / "a.txt").unlink(), "a.txt is missing"),
    "no manifest": (lambda folder: (folder / "manifest.json").unlink(), "manifest.json is missing"),
    "half a manifest": (lambda folder: os.truncate(folder / "manifest.json", 40), "manifest cannot be read"),
    "another manifest": (lambda folder: (folder / "manifest.json").write_text("[]"), "manifest cannot be read"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_found_and_named(tmp_path: Path, damage: str) -> None:
    checkpoint.write_sealed(tmp_path / "x", fill())
    inflict, told = DAMAGE[damage]
    inflict(tmp_path / "x")
    assert told in str(checkpoint.damage(tmp_path / "x"))


KILLED = """
import os, signal, sys
from pathlib import Path
from agcli.training import checkpoint

def saved(target, text):
    checkpoint.write_sealed(target, lambda folder: [(folder / name).write_text(text) for name in "abc"])

def killed(target, last):
    left = last
    def counted(function):
        def call(*arguments, **keywords):
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **keywords)
        return call
    os.fsync, os.rename, os.mkdir = counted(os.fsync), counted(os.rename), counted(os.mkdir)
    Path.write_text = counted(Path.write_text)
    saved(target, "new")
    os._exit(0)

for call in range(1, 40):
    target = Path(sys.argv[1], str(call), "x")
    saved(target, "old")
    child = os.fork() or killed(target, call)
    if os.waitpid(child, 0)[1] == 0:
        break
print(call)
"""


@pytest.mark.slow
def test_a_kill_anywhere_inside_a_save_leaves_a_whole_folder_or_none(tmp_path: Path) -> None:
    """Killed before each system call in turn, until a save gets through."""
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    last = int(subprocess.run(command, check=True, capture_output=True).stdout)
    assert last > 10
    found = []
    for call in range(1, last + 1):
        target = tmp_path / str(call) / "x"
        if target.exists():
            assert checkpoint.damage(target) is None
            found.append("".join((target / name).read_text() for name in "abc"))
        else:
            found.append("none")
    assert found[0] == "oldoldold"
    assert found[-1] == "newnewnew"
    assert set(found) == {"oldoldold", "none", "newnewnew"}
    assert found.count("none") == 1  # between two renames


@pytest.fixture
def engine(config: Callable[..., RunConfig]) -> Engine:
    return Assembly(config(), RunFolder(Path("unused"))).engine


@pytest.fixture
def again(config: Callable[..., RunConfig]) -> Iterator[Engine]:
    """Another engine, from other weights."""
    return Assembly(config(seed=9), RunFolder(Path("unused"))).engine


def steps(engine: Engine, count: int) -> list[float]:
    """Train; the losses."""
    losses: list[float] = []
    while len(losses) < count:
        for report in engine.train_epoch():
            losses.append(report.task_loss)
            if len(losses) == count:
                break
    return losses


def test_a_restored_engine_goes_on_bit_for_bit(tmp_path: Path, engine: Engine, again: Engine) -> None:
    steps(engine, 3)
    folder = checkpoint.save(tmp_path, engine, {"some": ["progress", 0.1]}, None)
    expected = steps(engine, 7)
    torch.rand(5)
    again.data_seed = engine.data_seed
    assert checkpoint.load(folder, again) == {"some": ["progress", 0.1]}
    assert vars(again.position) == {"epoch": 0, "step_in_epoch": 3, "step": 3}
    assert steps(again, 7) == expected
    for name, weight in engine.bare_model.state_dict().items():
        assert torch.equal(again.bare_model.state_dict()[name], weight), name
    one, other = engine.optimizer.state_dict(), again.optimizer.state_dict()
    assert one["param_groups"] == [group | {"betas": tuple(group["betas"])} for group in other["param_groups"]]
    for parameter, state in one["state"].items():
        assert all(torch.equal(other["state"][parameter][name], value) for name, value in state.items())


def test_no_pickle_is_written(tmp_path: Path, engine: Engine) -> None:
    steps(engine, 1)
    folder = checkpoint.save(tmp_path, engine, {}, None)
    assert {path.suffix for path in folder.iterdir()} == {".json", ".safetensors"}


def saved(root: Path, engine: Engine, at: list[int], best: str | None = None) -> list[str]:
    """Checkpoints at these steps; what is there afterwards."""
    for step in at:
        engine.position.step = step
        checkpoint.save(root, engine, {}, best)
    return listed(root)


def test_the_newest_two_and_the_best_are_kept(tmp_path: Path, engine: Engine) -> None:
    steps(engine, 1)
    assert saved(tmp_path, engine, [2]) == ["step-00000002"]
    (tmp_path / ".step-00000003.7.tmp").mkdir()  # a kill inside a save left it
    best = checkpoint.name_of(4)
    assert saved(tmp_path, engine, [4, 6], best) == ["step-00000004", "step-00000006"]
    assert saved(tmp_path, engine, [8, 10, 12], best) == [best, "step-00000010", "step-00000012"]


def test_the_newest_sound_checkpoint_is_found_and_the_damaged_are_named(tmp_path: Path, engine: Engine) -> None:
    assert checkpoint.newest(tmp_path / "nothing") == (None, [])
    steps(engine, 1)
    saved(tmp_path, engine, [2, 4])
    assert checkpoint.newest(tmp_path)[0] == tmp_path / "step-00000004"
    flip(tmp_path / "step-00000004" / "optimizer.safetensors")
    newest, damaged = checkpoint.newest(tmp_path)
    assert newest == tmp_path / "step-00000002"
    assert damaged == ["step-00000004: optimizer.safetensors is damaged (its SHA-256 differs)"]
    # The damaged one must not count as one of the two that are kept.
    assert saved(tmp_path, engine, [3]) == ["step-00000002", "step-00000003"]


def test_a_checkpoint_whose_best_epoch_is_damaged_is_not_used(tmp_path: Path, engine: Engine) -> None:
    steps(engine, 1)
    saved(tmp_path, engine, [2, 4, 6], checkpoint.name_of(2))
    flip(tmp_path / "step-00000002" / "model.safetensors")
    newest, damaged = checkpoint.newest(tmp_path)
    assert newest is None
    assert damaged[0].startswith("step-00000006: in the best epoch's step-00000002, model.safetensors is damaged")
    with pytest.raises(RunError, match=r"checkpoint step-00000002: model\.safetensors is damaged"):
        checkpoint.load_weights(tmp_path / "step-00000002", engine.bare_model)


def mount_small(folder: Path) -> bool:
    """A file system of 1 MB, where this is permitted."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except OSError:
        return False


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    if not mount_small(folder):
        pytest.skip("mounting a small file system is not permitted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_leaves_the_older_checkpoint(small_disk: Path, engine: Engine) -> None:
    steps(engine, 1)
    saved(small_disk, engine, [2])
    size = sum(path.stat().st_size for path in (small_disk / "step-00000002").iterdir())
    with (small_disk / "ballast").open("wb") as file:
        file.write(bytes((1 << 20) - size - size // 2))
    with pytest.raises(RunError, match=r"cannot write .*step-00000004: .*No space left on device") as caught:
        saved(small_disk, engine, [4])
    assert "--resume" in str(caught.value.hint)
    assert listed(small_disk) == ["ballast", "step-00000002"]
    assert checkpoint.newest(small_disk) == (small_disk / "step-00000002", [])


def test_a_full_disk_under_safetensors_is_an_error_of_ours(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors import SafetensorError

    def full(*_: Any) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    steps(engine, 1)
    saved(tmp_path, engine, [2])
    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(RunError, match="No space left on device"):
        saved(tmp_path, engine, [4])
    assert listed(tmp_path) == ["step-00000002"]
