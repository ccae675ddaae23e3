"""Streams that cannot show a character or be written: no traceback, and a finished run stays finished."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from narrow_terminal import words_of
from tiny_runs import as_flags, short_options
from typer.testing import CliRunner

from agcli.cli.app import app
from agcli.config import make_config
from agcli.runs.folder import RunFolder
from agcli.training.run import finetune

AG = f"{sys.executable} -m agcli"


def shell(line: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A line of bash, whose exit code is that of its first command."""
    variables = {name: value for name, value in os.environ.items() if name not in ("LC_ALL", "PYTHONIOENCODING")}
    return subprocess.run(
        ["bash", "-c", f"{line}; exit ${{PIPESTATUS[0]}}"],
        cwd=folder,
        env=variables | {"OMP_NUM_THREADS": "1"} | environment,
        capture_output=True,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
    )


@pytest.fixture(scope="module")
def run(dataset: Path, encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    return finetune(
        make_config(short_options(dataset, encoder) | {"epochs": 1}), tmp_path_factory.mktemp("r") / "r"
    ).path


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_a_character_that_the_encoding_lacks_is_replaced(environment: dict[str, str], run: Path) -> None:
    calls = f"{AG} finetune --help && {AG} ablate --help && {AG} evaluate {run} --resamples 100"
    done = shell(f"({calls})", run.parent, **environment)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert {"--mdg", "--pdg", "accuracy"} <= words_of(done.stdout)


@pytest.mark.parametrize(
    ("redirection", "code"), [("| head -1 > /dev/null", 0), (">&-", 0), ("> /dev/full", 1), ("2> /dev/full", 0)]
)
def test_a_stdout_that_breaks_is_no_traceback(redirection: str, code: int, run: Path) -> None:
    done = shell(f"{AG} evaluate {run} --resamples 100 {redirection}", run.parent)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert ("No space left on device: not all output could be written" in done.stderr) == (code == 1)


@pytest.mark.parametrize("redirection", ["2>&1 | true", "<&- >&- 2>&-", "> /dev/full"])
def test_a_run_ends_whatever_becomes_of_its_output(
    redirection: str, options: dict[str, object], tmp_path: Path
) -> None:
    words = " ".join(map(str, as_flags(options | {"epochs": 1})))
    done = shell(f"{AG} finetune {words} --output kept {redirection}", tmp_path)
    assert done.returncode == 0, done.stderr
    assert RunFolder(tmp_path / "kept").state == "finished"
    assert ("warning: stdout: No space left" in done.stderr) == ("full" in redirection)


def test_a_full_disk_under_a_file_is_not_blamed_on_stdout(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "runs/a/steps.csv")

    monkeypatch.setattr("agcli.training.output_folder.choose", fail)
    result = CliRunner().invoke(app, ["finetune"])
    assert result.exit_code == 1
    assert "cannot write runs/a/steps.csv: No space left on device" in result.stderr
    assert "stdout" not in result.stderr
