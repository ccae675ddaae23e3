"""Runs the calls of one case in `../shared/cases` and hands back what a terminal would have shown."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest

CASES = Path(__file__).parents[2].parent / "shared" / "cases"
needs_cases = pytest.mark.skipif(not CASES.is_dir(), reason="no ../shared/cases beside the checkout")


@dataclass(frozen=True)
class Outcome:
    """Exit code of a case's `cmd`, its output and its errors; `folder` holds the files it left."""

    code: int
    output: str
    errors: str
    folder: Path

    @property
    def everything(self) -> str:
        return f"{self.output}\n{self.errors}"


def run_case(name: str, scratch: Path, limit: int = 600, tracebacks: int = 0, sample: str = "sample") -> Outcome:
    """Copy the cases into `scratch`, run the `cmd` of one, and check that no traceback came out but `cmd`'s own.

    When the cases were written, `sample` was what `sample-hard` is now: one that needs its three labels says so.
    """
    shutil.copytree(CASES, scratch, dirs_exist_ok=True)  # all of them: some use the maker of another
    folder = scratch / name
    for path in [scratch, *scratch.rglob("*")]:
        path.chmod(path.stat().st_mode | 0o200)
    calls = (folder / "cmd").read_text().replace("--dataset sample ", f"--dataset {sample} ")
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": ""}
    done = subprocess.run(
        ["bash", "-c", calls], cwd=folder, env=environment, capture_output=True, timeout=limit, stdin=subprocess.DEVNULL
    )
    outcome = Outcome(
        done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"), folder
    )
    assert outcome.everything.count("Traceback (most recent call last)") == tracebacks, outcome.everything
    return outcome
