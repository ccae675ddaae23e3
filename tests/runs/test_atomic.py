"""Files and folders appear whole or not at all."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from agcli.errors import RunError
from agcli.runs.atomic import write_folder, write_text


def test_text_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text(tmp_path / "a", "old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"cannot write .*/a: No space left on device") as caught:
        write_text(tmp_path / "a", "new")
    assert "free some space" in str(caught.value.hint)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "old"}


@pytest.mark.parametrize("step", ["write", "rename"])
def test_a_folder_that_cannot_be_replaced_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    target = tmp_path / "x"
    write_folder(target, lambda aside: (aside / "a").write_text("old"))
    rename = Path.rename

    def refuse(self: Path, new: Path) -> Path:
        if step == "rename" and self.name.endswith(".tmp"):
            raise OSError(errno.EACCES, "Permission denied")
        return rename(self, new)

    def write(aside: Path) -> None:
        (aside / "a").write_text("new")
        if step == "write":
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(RunError, match="cannot write"):
        write_folder(target, write)
    assert (target / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_files_get_their_mode_by_the_umask(mask: int, mode: int, tmp_path: Path) -> None:
    """Safetensors writes them for their owner alone, whatever the umask."""

    def write(aside: Path) -> None:
        (aside / "inner").mkdir()
        for name in ("weights", "inner/weights"):
            (aside / name).touch(mode=0o600)

    before = os.umask(mask)
    try:
        write_folder(tmp_path / "x", write)
        write_text(tmp_path / "text", "")
    finally:
        os.umask(before)
    files = [tmp_path / "x" / "weights", tmp_path / "x" / "inner" / "weights", tmp_path / "text"]
    assert [path.stat().st_mode & 0o777 for path in files] == [mode] * 3


def test_what_a_killed_process_left_yesterday_is_cleared_by_the_next_one(tmp_path: Path) -> None:
    target = tmp_path / "x[1]"
    for name, days in ((".x[1].7.old", 2), (".x[1].8.tmp", 2), (".x[1].9.tmp", 0.5), (".x1.7.old", 2), (".y.7.tmp", 2)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "text").write_text("a patient's")
        os.utime(tmp_path / name, (time.time() - days * 86400,) * 2)
    write_folder(target, lambda aside: (aside / "a").write_text("new"))
    assert {path.name for path in tmp_path.iterdir()} == {"x[1]", ".x[1].9.tmp", ".x1.7.old", ".y.7.tmp"}
