"""One process for each method, so that its memory is its own; the parent sends commands over a pipe."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection

from agcli.models import quiet_transformers
from agcli.runs.processes import failure_of, prepare_child
from agcli.timing.baselines import authors_recipe, hugging_face_trainer
from agcli.timing.methods import Method, MethodSpec, engine_method
from agcli.timing.stopwatch import PeakMemory, StepTime, forward_flops, product_rate, time_steps
from agcli.timing.workload import WARM_UP_EPOCH


@dataclass(frozen=True)
class Ready:
    """First message of a method's process: what was built."""

    precision: str
    attention: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class WarmUp:
    """Command: do steps that are not counted."""

    steps: int


@dataclass(frozen=True)
class Train:
    """Command: do the next measured steps; answered by a `Block`."""

    steps: int


@dataclass(frozen=True)
class Block:
    """Measured steps, and the peak memory over all measured steps so far."""

    times: tuple[StepTime, ...]
    peak_memory_bytes: int
    memory_note: str


@dataclass(frozen=True, eq=False)
class CountFlops:
    """Command: count the operations of one example's forward at each of these padded lengths."""

    lengths: frozenset[int]


def build_method(spec: MethodSpec) -> Method:
    """Build our engine or a baseline."""
    makers = {"authors": authors_recipe, "hf-trainer": hugging_face_trainer, "hf-guided": hugging_face_trainer}
    return makers.get(spec.variant, engine_method)(spec)


def serve_method(pipe: Connection, threads: int, spec: MethodSpec) -> None:
    """Body of a method's process: build it, then answer commands until the pipe closes."""
    prepare_child(threads)
    with suppress(EOFError, BrokenPipeError), quiet_transformers():
        try:
            method = build_method(spec)
            pipe.send(Ready(method.precision, method.attention, method.notes))
            _answer_commands(method, pipe)
        except (EOFError, BrokenPipeError):
            raise
        except Exception as error:
            pipe.send(failure_of(error))


def serve_rate(pipe: Connection, threads: int, precision: str) -> None:
    """Body of the process that measures the machine's matrix products as a method would find them."""
    prepare_child(threads)
    with suppress(EOFError, BrokenPipeError):
        try:
            pipe.send(product_rate(precision))
        except RuntimeError as error:
            pipe.send(failure_of(error))


def _answer_commands(method: Method, pipe: Connection) -> None:
    """Measured steps start with the first epoch, whatever the warm-up went over."""
    memory = PeakMemory(method.device)
    measured = None
    while True:
        match pipe.recv():
            case WarmUp(steps):
                steps = max(steps, method.least_warmup)
                pipe.send(tuple(time_steps(method.steps(WARM_UP_EPOCH), steps, method.device)))
            case Train(steps):
                if measured is None:
                    measured = method.steps()
                    memory.reset()
                times = tuple(time_steps(measured, steps, method.device))
                pipe.send(Block(times, memory.bytes, memory.note))
            case CountFlops(lengths):
                pipe.send(forward_flops(method.model, lengths))
