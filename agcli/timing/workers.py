"""One process a method, so that its memory is its own; the parent asks over a pipe, the child answers."""

from __future__ import annotations

from collections.abc import Iterator
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
    """First answer: what the method turned out to be."""

    precision: str
    attention: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class WarmUp:
    """Question: do steps that nobody counts."""

    steps: int


@dataclass(frozen=True)
class Train:
    """Question: do the next measured steps; answered by a `Block`."""

    steps: int


@dataclass(frozen=True)
class Block:
    """Measured steps, and the most memory that any measured step so far needed."""

    times: tuple[StepTime, ...]
    peak_memory_bytes: int
    memory_note: str


@dataclass(frozen=True, eq=False)
class CountFlops:
    """Question: how many operations one example's forward takes at these padded lengths."""

    lengths: frozenset[int]


def build_method(spec: MethodSpec) -> Method:
    """Build our engine or a baseline.

    Raises:
        AgError: as loading, attaching or the engine raise it.
    """
    makers = {"authors": authors_recipe, "hf-trainer": hugging_face_trainer, "hf-guided": hugging_face_trainer}
    return makers.get(spec.variant, engine_method)(spec)


def serve_method(pipe: Connection, threads: int, spec: MethodSpec) -> None:
    """Body of a method's process: build it, then do what is asked until the pipe closes."""
    prepare_child(threads)
    with suppress(EOFError, BrokenPipeError), quiet_transformers():
        try:
            method = build_method(spec)
            pipe.send(Ready(method.precision, method.attention, method.notes))
            for answer in _answers(method, pipe):
                pipe.send(answer)
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


def _answers(method: Method, pipe: Connection) -> Iterator[object]:
    """One answer a question. What is measured starts with the first epoch, whatever the warm-up went over."""
    memory = PeakMemory(method.device)
    measured = None
    while True:
        match pipe.recv():
            case WarmUp(steps):
                steps = max(steps, method.least_warmup)
                yield tuple(time_steps(method.steps(WARM_UP_EPOCH), steps, method.device))
            case Train(steps):
                if measured is None:
                    measured = method.steps()
                    memory.reset()
                times = tuple(time_steps(measured, steps, method.device))
                yield Block(times, memory.bytes, memory.note)
            case CountFlops(lengths):
                yield forward_flops(method.model, set(lengths))
