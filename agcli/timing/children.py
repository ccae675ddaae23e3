"""One process an arm, so that its memory is its own; the parent asks over a pipe, the child answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection

from agcli.models import quiet_transformers
from agcli.runs.processes import failure_of, settle
from agcli.timing.arm import Arm, ArmSpec
from agcli.timing.arms import make_arm
from agcli.timing.course import WARM_UP_EPOCH
from agcli.timing.stopwatch import PeakMemory, StepTime, forward_flops, product_rate, time_steps


@dataclass(frozen=True)
class Ready:
    """An arm is built: what it turned out to be."""

    precision: str
    attention: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class WarmUp:
    """Ask for steps that nobody counts."""

    steps: int


@dataclass(frozen=True)
class Train:
    """Ask for the next measured steps."""

    steps: int


@dataclass(frozen=True)
class Block:
    """Steps done, and the most memory that any measured step so far needed."""

    times: tuple[StepTime, ...]
    peak_memory_bytes: int
    memory_note: str


@dataclass(frozen=True, eq=False)
class CountFlops:
    """Ask for the operations of one example's forward at these padded lengths."""

    lengths: frozenset[int]


def serve_arm(pipe: Connection, threads: int, spec: ArmSpec) -> None:
    """Body of an arm's process: build it, then do what is asked until the pipe closes."""
    settle(threads)
    with suppress(EOFError, BrokenPipeError), quiet_transformers():
        try:
            arm = make_arm(spec)
            pipe.send(Ready(arm.precision, arm.attention, arm.notes))
            for answer in _answers(arm, pipe):
                pipe.send(answer)
        except (EOFError, BrokenPipeError):
            raise
        except Exception as error:
            pipe.send(failure_of(error))


def serve_rate(pipe: Connection, threads: int, precision: str) -> None:
    """Body of the process that measures the machine's matrix products as an arm would find them."""
    settle(threads)
    with suppress(EOFError, BrokenPipeError):
        try:
            pipe.send(product_rate(precision))
        except RuntimeError as error:
            pipe.send(failure_of(error))


def _answers(arm: Arm, pipe: Connection) -> Iterator[object]:
    """One answer a question. What is measured starts with the first epoch, whatever the warm-up went over."""
    memory = PeakMemory(arm.device)
    measured = None
    while True:
        match pipe.recv():
            case WarmUp(steps):
                steps = max(steps, arm.least_warmup)
                yield tuple(time_steps(arm.steps(WARM_UP_EPOCH), steps, arm.device))
            case Train(steps):
                if measured is None:
                    measured = arm.steps()
                    memory.reset()
                times = tuple(time_steps(measured, steps, arm.device))
                yield Block(times, memory.bytes, memory.note)
            case CountFlops(lengths):
                yield forward_flops(arm.model, set(lengths))
