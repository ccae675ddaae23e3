"""Child processes that answer requests over a pipe and report their failures over it.

A child ends when its pipe closes or its parent has ended, in the middle of a step if need be.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import torch

from agcli.errors import AgError, InterruptedRunError
from agcli.runs.signals import StopRequest

_POLL_SECONDS = 0.2
"""Interval at which a waiting parent checks whether it is to stop."""
_END_SECONDS = 5.0
_SAVING_SECONDS = 60.0
"""Time for a terminated process to finish its step and save its state."""
_OOM_SCORE = Path("/proc/self/oom_score_adj")


@dataclass(frozen=True)
class Failure:
    """Why a child could not go on; `exit_code` is that of an `AgError`, None for a failure of the child alone."""

    reason: str
    exit_code: int | None = None
    hint: str | None = None

    def raise_if_user_error(self) -> None:
        """Raise the child's `AgError`, if it was one, in the parent."""
        if self.exit_code is not None:
            error = AgError(self.reason, hint=self.hint)
            error.exit_code = self.exit_code
            raise error


@contextmanager
def pinned_threads(threads: int) -> Iterator[None]:
    """Compute with so many threads in the block only."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def prepare_child(threads: int) -> None:
    """Let this process compute with `threads`, end with its parent, and be killed first where memory runs out."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    with suppress(OSError):
        _OOM_SCORE.write_text("700", encoding="ascii")


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGKILL)


def failure_of(error: Exception) -> Failure:
    """The error in a form that can be sent to the parent."""
    if isinstance(error, AgError):
        return Failure(str(error), error.exit_code, error.hint)
    if isinstance(error, torch.OutOfMemoryError):
        return Failure("out of GPU memory, of which the group's other methods hold their own part: time fewer at once")
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        return Failure("out of memory")
    return Failure(f"{type(error).__name__}: {error}".splitlines()[0])


class Child:
    """A process and the parent's end of its pipe.

    Args:
        body: runs in the process, with the pipe's other end and the parent's thread count as first arguments.
        arguments: further ones; sent to it.
        stop: is checked while waiting.
    """

    def __init__(self, body: Callable[..., None], *arguments: object, stop: StopRequest) -> None:
        spawn = multiprocessing.get_context("spawn")  # a fork would inherit memory, threads and a GPU's context
        self._stop = stop
        self._pipe, other = spawn.Pipe()
        self.process = spawn.Process(target=body, args=(other, torch.get_num_threads(), *arguments), daemon=True)
        try:
            with _sigint_blocked(), suppress(BrokenPipeError):  # it ended while its arguments were sent
                self.process.start()
        finally:
            other.close()

    def request(self, message: object) -> Any:
        """Send a message and wait for the answer."""
        self.send(message)
        return self.receive()

    def send(self, message: object) -> None:
        """Send a message whose answer is received later."""
        with suppress(OSError):  # it has ended; the answer is a `Failure`
            self._pipe.send(message)

    @property
    def wait_handles(self) -> list[Any]:
        """For `multiprocessing.connection.wait`: ready once there is an answer, or the process has ended."""
        return [self._pipe, self.process.sentinel]

    def is_ready(self) -> bool:
        """Whether `receive` would return at once."""
        return bool(wait(self.wait_handles, 0))

    def receive(self) -> Any:
        """The next answer, or the `Failure` that the process ended with.

        Raises:
            InterruptedRunError: SIGINT or SIGTERM while waiting.
        """
        ready: list[Any] = []
        while not ready:
            if self._stop.signal is not None:
                raise InterruptedRunError(f"interrupted by {self._stop.signal.name}.")
            ready = wait(self.wait_handles, _POLL_SECONDS)
        try:
            if self._pipe.poll():
                return self._pipe.recv()
        except (EOFError, ConnectionResetError):
            pass
        self.process.join(_END_SECONDS)
        return Failure(_exit_in_words(self.process.exitcode))

    def close_pipe(self) -> None:
        """Let the process end by itself once it is idle."""
        self._pipe.close()

    def close(self) -> None:
        """End the process, by force if need be."""
        self.close_pipe()
        if self.process.pid is None:
            return
        if self._stop.signal is None:
            self.process.join(_END_SECONDS)
        for end, seconds in ((self.process.terminate, _SAVING_SECONDS), (self.process.kill, _END_SECONDS)):
            if self.process.is_alive():
                end()
                self.process.join(seconds)


def _exit_in_words(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        name = signal.Signals(-exit_code).name
        return f"ended by {name}" + (", most likely for want of memory" if name == "SIGKILL" else "")
    return f"ended with exit code {exit_code}"


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Block SIGINT while a process starts: the child inherits that, and the parent handles what came meanwhile.

    Ctrl-C reaches the whole group of processes; the parent alone decides about it.
    """
    resource_tracker.ensure_running()  # its own start would unblock SIGINT again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
