"""A sweep is run once, in parallel or not, here or on Ray, killed or not: the results are the same bytes."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from agcli.errors import RunError, UsageError
from agcli.runs import signals as interruption
from agcli.sweep import cell as cell_room
from agcli.sweep.cell import CellJob, Outcome, run_cell
from agcli.sweep.grid import Grid
from agcli.sweep.local import run_local
from agcli.sweep.sweep import Sweep, run_sweep

Make = Callable[..., Grid]


def here(jobs: list[CellJob], stop: interruption.StopRequest) -> Iterator[Outcome]:
    """Cells one after another, in this process."""
    yield from map(run_cell, jobs)


@pytest.fixture
def twelve(grid: Make) -> Grid:
    return grid(variants=("none", "both"), seeds=(1, 2, 3, 4, 5, 6))


@pytest.fixture(scope="session")
def expected(tmp_path_factory: pytest.TempPathFactory, dataset: Path, encoder: Path) -> Callable[[Grid], bytes]:
    """`results.csv` of a sweep that nothing disturbs."""
    kept: dict[str, bytes] = {}

    def of(grid: Grid) -> bytes:
        if "twelve" not in kept:
            folder = tmp_path_factory.mktemp("undisturbed") / "sweep"
            run_sweep(Sweep((grid,), folder, 1), here)
            kept["twelve"] = (folder / "results.csv").read_bytes()
        return kept["twelve"]

    return of


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "results.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


PROGRAM = """
import json, sys
from pathlib import Path
import torch
from agcli.sweep.grid import Grid
from agcli.sweep.local import run_local
from agcli.sweep.sweep import Sweep, run_sweep
if __name__ == "__main__":
    torch.set_num_threads(1)
    fields = json.loads(sys.argv[2])
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    run_sweep(Sweep((Grid(**fields),), Path(sys.argv[1]), 1), lambda jobs, stop: run_local(jobs, 2, stop))
"""


@pytest.mark.slow
def test_killed_twice_it_ends_with_the_same_bytes(
    twelve: Grid, expected: Callable[[Grid], bytes], tmp_path: Path
) -> None:
    program, folder = tmp_path / "program.py", tmp_path / "sweep"
    program.write_text(PROGRAM)
    names = ("models", "datasets", "variants", "seeds", "sizes", "options")
    command = [sys.executable, str(program), str(folder), json.dumps({name: getattr(twelve, name) for name in names})]
    for wanted in (2, 5):
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            until = time.monotonic() + 120
            while len(list(folder.glob("cells/*/cell.json"))) < wanted and time.monotonic() < until:
                time.sleep(0.02)
            os.kill(process.pid, signal.SIGKILL)
    finished = {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("cells/*/cell.json")}
    assert 5 <= len(finished) < 12
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    assert (folder / "results.csv").read_bytes() == expected(twelve)
    again = {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("cells/*/cell.json")}
    assert {mark: again[mark] for mark in finished} == finished  # finished cells were not run again
    assert not list(folder.glob("cells/*/model"))


@pytest.mark.slow
def test_on_ray_it_ends_with_the_same_bytes(
    twelve: Grid, expected: Callable[[Grid], bytes], tmp_path: Path, ray_cluster: object
) -> None:
    from agcli.sweep.on_ray import run_on_ray

    run_sweep(Sweep((twelve,), tmp_path / "sweep", 1), run_on_ray)
    assert (tmp_path / "sweep" / "results.csv").read_bytes() == expected(twelve)


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[object]:
    """A real local Ray cluster of two cores."""
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    yield ray
    ray.shutdown()


def test_a_worker_of_ray_that_is_killed_costs_no_cell(
    grid: Make, tmp_path: Path, ray_cluster: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agcli.sweep import on_ray

    marker = tmp_path / "killed"
    original = on_ray.run_shipped

    def killed_once(job: CellJob, *contents: object, names: tuple[str, ...]) -> object:
        if not marker.exists():
            marker.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        return original(job, *contents, names=names)

    monkeypatch.setattr(on_ray, "run_shipped", killed_once)
    run_sweep(Sweep((grid(variants=("none",), seeds=(1, 2)),), tmp_path / "sweep", 1), on_ray.run_on_ray)
    assert marker.exists()
    assert [row["state"] for row in rows(tmp_path / "sweep")] == ["finished", "finished"]


def test_a_failed_cell_is_listed_and_stops_no_other(grid: Make, tmp_path: Path) -> None:
    failing = grid(variants=("none",), seeds=(1, 2), axes={"learning_rate": (1e-3, 1e30)})
    run_sweep(Sweep((failing,), tmp_path / "sweep", 1), here)
    found = rows(tmp_path / "sweep")
    assert [row["state"] for row in found] == ["finished", "finished", "failed", "failed"]
    assert all("is nan" in row["reason"] or "is inf" in row["reason"] for row in found[2:])
    assert [row["diverged"] for row in found[2:]] == ["1", "1"]
    with pytest.raises(RunError, match=r"is nan|is inf"):
        run_sweep(Sweep((failing,), tmp_path / "fast", 1), here, fail_fast=True)


def test_a_worker_that_dies_takes_one_cell_along(grid: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs: list[CellJob] = []

    def spy(found: list[CellJob], stop: interruption.StopRequest) -> Iterator[Outcome]:
        jobs.extend(found)
        yield from run_local(found, 1, stop, on_start=partial(_kill_child_of, found[0]))

    run_sweep(Sweep((grid(variants=("none",), seeds=(1, 2)),), tmp_path / "sweep", 1), spy)
    found = rows(tmp_path / "sweep")
    assert [row["state"] for row in found] == ["failed", "finished"]
    assert "the worker ended by SIGKILL" in found[0]["reason"]
    run_sweep(Sweep((grid(variants=("none",), seeds=(1, 2)),), tmp_path / "sweep", 1), here)  # and is run again
    assert [row["state"] for row in rows(tmp_path / "sweep")] == ["finished", "finished"]


def _kill_child_of(first: CellJob, job: CellJob) -> None:
    if job.fingerprint == first.fingerprint:
        import multiprocessing

        for child in multiprocessing.active_children():
            os.kill(child.pid or 0, signal.SIGKILL)


def test_unselected_cells_show_no_test_metric(grid: Make, tmp_path: Path) -> None:
    searched = grid(variants=("none", "mdg"), weights={"mdg": (0.1, 0.01)}, seeds=(1,), select_seeds=(2,))
    run_sweep(Sweep((searched,), tmp_path / "sweep", 1), here)
    found = rows(tmp_path / "sweep")
    assert [row["role"] for row in found] == ["select"] * 4 + ["report"] * 2
    assert [bool(row["test:accuracy"]) for row in found] == [False] * 4 + [True] * 2


def test_another_thread_count_is_refused_and_a_foreign_folder_left_alone(grid: Make, tmp_path: Path) -> None:
    small = grid(variants=("none",), seeds=(1,))
    run_sweep(Sweep((small,), tmp_path / "sweep", 1), here)
    with pytest.raises(UsageError, match="begun with 1 thread a cell"):
        run_sweep(Sweep((small,), tmp_path / "sweep", 2), here)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="exists and is no sweep"):
        run_sweep(Sweep((small,), tmp_path / "mine", 1), here)


def test_a_fingerprint_is_of_what_decides_the_numbers(grid: Make, dataset: Path, tmp_path: Path) -> None:
    sweep = Sweep((grid(variants=("none",), seeds=(1, 2)),), tmp_path, 1)
    first, second = (sweep.fingerprint(cell) for cell in sweep.cells())
    assert first != second
    moved = tmp_path / "moved"
    moved.symlink_to(dataset)
    cell_room.data_digest.cache_clear()
    elsewhere = Sweep((grid(variants=("none",), seeds=(1, 2), datasets=(str(moved),)),), tmp_path, 1)
    assert elsewhere.fingerprint(elsewhere.cells()[0]) == first
