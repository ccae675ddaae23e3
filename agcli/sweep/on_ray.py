"""Cells on a Ray cluster, one cell a task.

The machines share nothing but the installed package: data (and a model that is a folder) are sent with the tasks, and
the files of a cell come back to the caller, who writes them into the cell's folder.
"""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

from agcli.data.catalogue import find_dataset
from agcli.errors import MissingExtraError, RunError, UsageError
from agcli.runs.atomic import write_folder
from agcli.runs.paths import expanded
from agcli.runs.signals import StopRequest
from agcli.sweep.cell import POLL_SECONDS, CellJob, OnStart, Outcome, check_stop, run_cell

POLLS_PER_NODE_CHECK = 50
"""The cluster's machines are checked once in so many polls."""
CONNECT_SECONDS = 10.0
RETRIES = 2
"""How often Ray runs a cell anew whose worker died."""
Files = dict[str, bytes]
"""Path within a folder -> content."""


def run_on_ray(
    jobs: Sequence[CellJob],
    stop: StopRequest,
    *,
    address: str | None = None,
    gpus: float = 0.0,
    on_start: OnStart = lambda job: None,
) -> Iterator[Outcome]:
    """Run cells as Ray tasks, yielding each as it ends and its files are written.

    Args:
        address: of a cluster; None: the one this machine belongs to, or a fresh local one.
        gpus: GPUs of a cell; a part such as 0.5 lets two share one.

    Raises:
        MissingExtraError: Ray is not installed.
        RunError: no cluster at that address.
        UsageError: no machine of the cluster has room for a cell, or none any more.
        InterruptedRunError: SIGINT or SIGTERM; cells that run are called off.
    """
    ray = join(address, jobs[0].threads, gpus)
    shipped: dict[str, Any] = {}
    remote = ray.remote(run_shipped)
    tasks: dict[Any, CellJob] = {}
    try:
        for job in jobs:
            given = {name: _shipped(ray, path, shipped) for name, path in _folders(job).items()}
            options = {"num_cpus": job.threads, "num_gpus": gpus, "max_retries": RETRIES}
            tasks[remote.options(**options).remote(job, *given.values(), names=tuple(given))] = job
            on_start(job)
        for poll in count(1):
            if not tasks:
                break
            done, _ = ray.wait(list(tasks), timeout=POLL_SECONDS)
            if not poll % POLLS_PER_NODE_CHECK:  # a machine may have left the cluster
                _check_room(ray, jobs[0].threads, gpus)
            check_stop(stop)
            for task in done:
                yield _collected(ray, task, tasks.pop(task))
    finally:
        for task in tasks:
            ray.cancel(task, force=True)


def run_shipped(job: CellJob, *contents: Files, names: tuple[str, ...]) -> tuple[Outcome, Files]:
    """Body of a task: unpack the folders that were sent, run the cell, and return its files."""
    with tempfile.TemporaryDirectory() as folder:
        options = dict(job.options)
        for name, files in zip(names, contents, strict=True):
            place = Path(folder) / "given" / name / Path(str(options[name])).name
            _unpack(files, place)
            options[name] = str(place)
        shared = _session_folder() or Path(folder)
        here = replace(job, options=options, folder=str(Path(folder) / "cell"), tokenised=str(shared / "ag-tokenised"))
        outcome = run_cell(here)
        kept = bool(options.get("keep_checkpoints"))
        return outcome, _packed(Path(here.folder), checkpoints=kept) if Path(here.folder).is_dir() else {}


def _session_folder() -> Path | None:
    """Ray's folder for its session on this machine, shared by its workers; None for a Ray too old to name it."""
    import ray

    context = ray.get_runtime_context()
    try:
        return Path(context.get_temp_dir()) / str(context.get_session_name())
    except AttributeError:
        return None


def _ray() -> Any:
    try:
        import ray
    except ModuleNotFoundError:
        raise MissingExtraError("ray", "ray", "--engine ray") from None
    return ray


def join(address: str | None, threads: int, gpus: float) -> Any:
    """Join the cluster, or start one on this machine, where a cell has room; returns the module `ray`.

    Raises:
        MissingExtraError: Ray is not installed.
        RunError: no cluster at that address.
        UsageError: a cell fits on none of its machines, so that it would wait for ever; or Ray has no client.
    """
    ray = _ray()
    if not ray.is_initialized():
        _connect(ray, address)
    _check_room(ray, threads, gpus)
    return ray


def _connect(ray: Any, address: str | None) -> None:
    named = os.environ.get("RAY_ADDRESS") if address in (None, "auto") else address
    origin = f"RAY_ADDRESS={named}" if named and named != address else f"--address {address}"
    if str(named).startswith("ray://") and find_spec("grpc") is None:  # Ray would raise whatever its import raises
        hint = 'pip install "ray[client]"'
        raise UsageError(f"{origin}: this Ray is installed without its client.", hint=hint)
    try:
        _check_reachable(named)
        try:
            ray.init(address=address, log_to_driver=False, include_dashboard=False, logging_level="error")
        except ValueError:  # options of a new cluster are refused where there is one to join
            ray.init(address=address, log_to_driver=False, logging_level="error")
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        hint = "ray start --head starts one; without --address and RAY_ADDRESS the sweep starts its own"
        raise RunError(f"{origin}: no Ray cluster there ({reason}).", hint=hint) from None


def _check_reachable(address: str | None) -> None:
    """Check that HOST:PORT or ray://HOST:PORT accepts connections: Ray itself would try for minutes.

    Raises:
        OSError: no connection within `CONNECT_SECONDS`.
    """
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()


def _check_room(ray: Any, threads: int, gpus: float) -> None:
    """Check that one machine of the cluster has the cores and GPUs of a cell."""
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if any(each.get("CPU", 0) >= threads and each.get("GPU", 0) >= gpus for each in machines):
        return
    cores, cards = (max((each.get(kind, 0) for each in machines), default=0) for kind in ("CPU", "GPU"))
    raise UsageError(
        f"--engine ray: a cell takes --threads {threads} and --gpus {gpus:g} of one machine; of the "
        f"cluster's {len(machines)} the largest has {cores:g} cores, and the most GPUs of one are {cards:g}.",
        hint="give fewer, or start the machine first where the cluster adds machines by itself",
    )


def _folders(job: CellJob) -> dict[str, Path]:
    """The folders that a cell needs: its data, and its model where that is a folder here."""
    dataset, model = find_dataset(str(job.options["dataset"]), Path.cwd()), expanded(str(job.options["model"]))
    return {"dataset": dataset, **({"model": model} if model.is_dir() else {})}


def _shipped(ray: Any, folder: Path, shipped: dict[str, Any]) -> Any:
    """A reference to a folder's files, sent to the cluster once."""
    if str(folder) not in shipped:
        shipped[str(folder)] = ray.put(_packed(folder))
    return shipped[str(folder)]


def _collected(ray: Any, task: Any, job: CellJob) -> Outcome:
    """The outcome of a task, whose files are written into the cell's folder."""
    outcome: Outcome
    try:
        outcome, files = ray.get(task)
    except ray.exceptions.RayError as error:
        reason = f"Ray: {type(error).__name__}: {str(error).strip().splitlines()[0]}"
        return Outcome(job.fingerprint, "failed", reason)
    if files:
        write_folder(Path(job.folder), lambda aside: _unpack(files, aside))
    return outcome


def _packed(folder: Path, checkpoints: bool = False) -> Files:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and (checkpoints or "checkpoints" not in path.relative_to(folder).parts)
    }


def _unpack(files: Mapping[str, bytes], folder: Path) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
