"""Files and folders appear whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from agcli.atomic import write_folder, write_text
from agcli.errors import RunError


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
