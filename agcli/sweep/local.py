"""Cells in parallel processes of this machine: cores or GPUs are shared, threads pinned, a dead worker replaced."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait

import torch

from agcli.errors import InterruptedRunError
from agcli.runs.processes import Child, prepare_child
from agcli.runs.signals import StopRequest
from agcli.sweep.cell import POLL_SECONDS, CellJob, OnStart, Outcome, check_stop, run_cell


def run_local(
    jobs: Sequence[CellJob], workers: int, stop: StopRequest, on_start: OnStart = lambda job: None
) -> Iterator[Outcome]:
    """Run cells in `workers` processes, yielding each as it ends.

    A worker that dies takes its cell along and no other: the cell counts as failed, and a new worker takes over.

    Raises:
        InterruptedRunError: SIGINT or SIGTERM here; cells that run are ended, and go on next time.
    """
    waiting, devices = list(jobs), _devices()
    busy: dict[int, tuple[Child, CellJob]] = {}
    idle: dict[int, Child] = {}
    try:
        while waiting or busy:
            while waiting and len(busy) < workers:
                slot = next(number for number in range(workers) if number not in busy)
                device = devices[slot % len(devices)] if devices else None
                child, job = idle.pop(slot, None) or Child(serve_cells, device, stop=stop), waiting.pop(0)
                busy[slot] = child, job
                child.send(job)
                on_start(job)
            wait([each for child, _ in busy.values() for each in child.wait_handles], POLL_SECONDS)
            check_stop(stop)
            for slot, (child, job) in list(busy.items()):
                if not child.is_ready():
                    continue
                del busy[slot]
                answer = child.receive()
                if isinstance(answer, Outcome):
                    idle[slot] = child
                    yield answer
                else:
                    child.close()
                    yield Outcome(job.fingerprint, "failed", f"the worker {answer.reason}")
    finally:
        for child in [*idle.values(), *(child for child, _ in busy.values())]:
            child.close()


def _devices() -> list[str]:
    """The GPUs that this process may use, as the driver names them."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    return [each.strip() for each in given.split(",")][:count] if given else [str(each) for each in range(count)]


def serve_cells(pipe: Connection, threads: int, device: str | None) -> None:
    """Body of a worker: run the cells it is sent until the pipe closes; where there are GPUs, on this one."""
    if device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = device  # in effect, since CUDA starts with its first use
    prepare_child(threads)
    with suppress(EOFError, ConnectionError, InterruptedRunError):  # the parent reports the signal
        while True:
            pipe.send(run_cell(pipe.recv()))
