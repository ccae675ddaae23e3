"""Measure the methods of a group in turns: A B C, then C B A, so that a machine that slows down slows all alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import TypeVar

from agcli.errors import RunError
from agcli.runs import signals as interruption
from agcli.runs.processes import Child, Failure
from agcli.timing.methods import MethodSpec
from agcli.timing.plan import Group
from agcli.timing.stopwatch import StepTime
from agcli.timing.workers import Block, CountFlops, Train, WarmUp, serve_method, serve_rate

T = TypeVar("T")


@dataclass
class MethodTimes:
    """Measurements of one method, by round; or why there are none."""

    spec: MethodSpec
    precision: str | None = None
    attention: str | None = None
    blocks: list[tuple[StepTime, ...]] = field(default_factory=list)
    peak_memory_bytes: int | None = None
    notes: tuple[str, ...] = ()
    failure: str | None = None

    def add(self, block: Block) -> None:
        """Add one round."""
        self.blocks.append(block.times)
        self.peak_memory_bytes = block.peak_memory_bytes
        if block.memory_note and block.memory_note not in self.notes:
            self.notes = (*self.notes, block.memory_note)

    @property
    def steps(self) -> list[StepTime]:
        """The steps of all rounds."""
        return [step for block in self.blocks for step in block]


@dataclass(frozen=True, eq=False)
class GroupTimes:
    """Measurements of a group, its methods in the group's order.

    Attributes:
        forward_flops: padded length -> operations of one example's forward; None where they cannot be counted.
        product_rates: precision -> operations a second of a plain matrix product on this machine.
    """

    group: Group
    methods: tuple[MethodTimes, ...]
    forward_flops: dict[int, int] | None
    product_rates: dict[str, float]


class TimingCallback:
    """Hooks of a timing, all of them empty here."""

    def planned(self, groups: Sequence[Group]) -> None:
        """The groups are known."""

    def doing(self, what: str) -> None:
        """A stage begins."""

    def block(self, steps: int) -> None:
        """A method has done so many measured steps."""

    def failed(self, method: str, reason: str) -> None:
        """A method has dropped out; the others go on."""


def measure(groups: Sequence[Group], callback: TimingCallback | None = None) -> Iterator[GroupTimes]:
    """Measure one group after the other.

    Raises:
        AgError: a method that cannot be built, such as an attention that this machine lacks.
        RunError: a group in which no method could be timed.
        InterruptedRunError: SIGINT or SIGTERM; every process has ended.
    """
    callback = callback or TimingCallback()
    callback.planned(groups)
    rates: dict[str, float] = {}
    with interruption.stop_on_signals() as stop:
        for group in groups:
            yield _measure_group(group, rates, callback, stop)


def turns(methods: Sequence[T], rounds: int) -> list[list[T]]:
    """The order of each round: forwards, backwards, forwards, ..."""
    return [list(methods) if number % 2 == 0 else list(reversed(methods)) for number in range(rounds)]


def _measure_group(
    group: Group, rates: dict[str, float], callback: TimingCallback, stop: interruption.StopRequest
) -> GroupTimes:
    """All processes of a group are alive together; one at a time works."""
    measured = [MethodTimes(spec) for spec in group.methods]
    with ExitStack() as stack:
        callback.doing(f"{group.name}: loading")
        children = [stack.enter_context(closing(Child(serve_method, spec, stop=stop))) for spec in group.methods]
        for child in children:
            stack.callback(child.close_pipe)  # all of them before any is closed, so that they end together
        pairs = list(zip(measured, children, strict=True))
        for method, child in pairs:
            ready = child.receive()
            if not _failed(method, ready, callback):
                method.precision, method.attention, method.notes = ready.precision, ready.attention, ready.notes
        for precision in {method.precision for method in measured if method.precision} - rates.keys():
            callback.doing(f"matrix products in {precision}")
            with closing(Child(serve_rate, precision, stop=stop)) as child:
                rate = child.receive()
            if isinstance(rate, float):  # a failure leaves the share empty
                rates[precision] = rate
        _warm_up_and_train(group, pairs, callback)
        flops = _count_flops(pairs, callback)
    if all(method.failure is not None for method in measured):
        raise RunError(f"{group.name}: no method could be timed ({measured[0].spec.name}: {measured[0].failure}).")
    return GroupTimes(group, tuple(measured), flops, dict(rates))


def _warm_up_and_train(group: Group, pairs: Sequence[tuple[MethodTimes, Child]], callback: TimingCallback) -> None:
    for method, child in pairs:
        if method.failure is None:
            callback.doing(f"{group.name}: {method.spec.name}, warm-up")
            _failed(method, child.request(WarmUp(group.warmup)), callback)
    rounds = len(group.blocks)
    for number, turn in enumerate(turns(pairs, rounds)):
        for method, child in turn:
            if method.failure is None:
                callback.doing(f"{group.name}: {method.spec.name}, round {number + 1} of {rounds}")
                block = child.request(Train(group.blocks[number]))
                if not _failed(method, block, callback):
                    method.add(block)
                    callback.block(len(block.times))


def _failed(method: MethodTimes, answer: object, callback: TimingCallback) -> bool:
    """Whether a method has failed, which leaves the others going; an `AgError` ends the whole timing instead."""
    if not isinstance(answer, Failure):
        return False
    answer.raise_if_user_error()
    method.failure, method.blocks, method.peak_memory_bytes = answer.reason, [], None
    callback.failed(method.spec.name, answer.reason)
    return True


def _count_flops(pairs: Sequence[tuple[MethodTimes, Child]], callback: TimingCallback) -> dict[int, int] | None:
    """Counted by any method that is left: the architecture is the same in all of them."""
    alive = [(method, child) for method, child in pairs if method.failure is None]
    if not alive:
        return None
    callback.doing("counting operations")
    lengths = frozenset(step.work.padded_length for method, _ in alive for step in method.steps)
    answer = alive[0][1].request(CountFlops(lengths))
    return answer if isinstance(answer, dict) else None
