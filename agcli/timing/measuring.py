"""The arms of a group in turns: A B C, then C B A, so that a machine that slows down slows all of them alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TypeVar

from agcli.errors import RunError
from agcli.runs import signals as interruption
from agcli.runs.processes import Child, Failure
from agcli.timing.arm import ArmSpec
from agcli.timing.children import Block, CountFlops, Ready, Train, WarmUp, serve_arm, serve_rate
from agcli.timing.plan import Group
from agcli.timing.stopwatch import StepTime

T = TypeVar("T")


@dataclass
class ArmTimes:
    """What was measured of one arm.

    Attributes:
        spec: the arm.
        precision: arithmetic that ran.
        attention: attention that ran.
        blocks: the steps of each round.
        peak_memory_bytes: over all measured steps.
        notes: what its figures must be read with.
        failure: why there are none.
    """

    spec: ArmSpec
    precision: str | None = None
    attention: str | None = None
    blocks: list[tuple[StepTime, ...]] = field(default_factory=list)
    peak_memory_bytes: int | None = None
    notes: tuple[str, ...] = ()
    failure: str | None = None


@dataclass(frozen=True, eq=False)
class GroupTimes:
    """What was measured of a group.

    Attributes:
        group: it.
        arms: in its order.
        forward_flops: padded length -> operations of one example's forward; None where they cannot be counted.
        product_rates: precision -> operations a second of a plain matrix product on this machine.
    """

    group: Group
    arms: tuple[ArmTimes, ...]
    forward_flops: dict[int, int] | None
    product_rates: dict[str, float]


class TimingWatch:
    """What a caller may want to see of a timing as it goes. This one looks away."""

    def planned(self, groups: Sequence[Group]) -> None:
        """So much is to be done."""

    def doing(self, what: str) -> None:
        """Something begins."""

    def block(self, steps: int) -> None:
        """An arm has done so many measured steps."""

    def failed(self, arm: str, reason: str) -> None:
        """An arm has dropped out; the others go on."""


def measure(groups: Sequence[Group], watch: TimingWatch | None = None) -> Iterator[GroupTimes]:
    """Measure one group after the other; each is handed out when it is done.

    Raises:
        AgError: an arm that cannot be built as asked, such as an attention that this machine lacks.
        RunError: a group in which no arm could be timed.
        InterruptedRunError: SIGINT or SIGTERM; every process has ended.
    """
    watch = watch or TimingWatch()
    watch.planned(groups)
    rates: dict[str, float] = {}
    with interruption.watched() as stop:
        for group in groups:
            yield _measure_group(group, rates, watch, stop)


def turns(arms: Sequence[T], rounds: int) -> list[list[T]]:
    """The order of each round: forwards, backwards, forwards, ..."""
    return [list(arms) if number % 2 == 0 else list(reversed(arms)) for number in range(rounds)]


def _measure_group(
    group: Group, rates: dict[str, float], watch: TimingWatch, stop: interruption.Interruption
) -> GroupTimes:
    """All arms of a group are alive together; one at a time works."""
    found = [ArmTimes(spec) for spec in group.arms]
    with ExitStack() as stack:
        watch.doing(f"{group.name}: loading")
        children = [_start(stack, stop, spec) for spec in group.arms]
        stack.callback(_hang_up, children)  # at the end first, so that they take their leave together
        pairs = list(zip(found, children, strict=True))
        for arm, child in pairs:
            _note_ready(arm, child, watch)
        for precision in {arm.precision for arm in found if arm.precision} - rates.keys():
            watch.doing(f"matrix products in {precision}")
            _note_rate(precision, rates, stop)
        for arm, child in pairs:
            if arm.failure is None:
                watch.doing(f"{group.name}: {arm.spec.name}, warm-up")
                _failed(arm, child.ask(WarmUp(group.warmup)), watch)
        for number, turn in enumerate(turns(pairs, len(group.blocks))):
            for arm, child in turn:
                if arm.failure is None:
                    watch.doing(f"{group.name}: {arm.spec.name}, round {number + 1} of {len(group.blocks)}")
                    _note_block(arm, child.ask(Train(group.blocks[number])), watch)
        flops = _count_flops(pairs, watch)
    if all(arm.failure is not None for arm in found):
        raise RunError(f"{group.name}: no arm could be timed ({found[0].spec.name}: {found[0].failure}).")
    return GroupTimes(group, tuple(found), flops, dict(rates))


def _start(stack: ExitStack, stop: interruption.Interruption, spec: ArmSpec) -> Child:
    child = Child(serve_arm, spec, stop=stop)
    stack.callback(child.close)
    return child


def _hang_up(children: Sequence[Child]) -> None:
    for child in children:
        child.hang_up()


def _failed(arm: ArmTimes, answer: object, watch: TimingWatch) -> bool:
    """Whether an arm has dropped out; what is the user's to mend ends the whole timing instead."""
    if not isinstance(answer, Failure):
        return False
    answer.raise_if_ours()
    arm.failure, arm.blocks, arm.peak_memory_bytes = answer.reason, [], None
    watch.failed(arm.spec.name, answer.reason)
    return True


def _note_ready(arm: ArmTimes, child: Child, watch: TimingWatch) -> None:
    answer = child.answer()
    if not _failed(arm, answer, watch) and isinstance(answer, Ready):
        arm.precision, arm.attention, arm.notes = answer.precision, answer.attention, answer.notes


def _note_block(arm: ArmTimes, answer: object, watch: TimingWatch) -> None:
    if not _failed(arm, answer, watch) and isinstance(answer, Block):
        arm.blocks.append(answer.times)
        arm.peak_memory_bytes = answer.peak_memory_bytes
        if answer.memory_note and answer.memory_note not in arm.notes:
            arm.notes = (*arm.notes, answer.memory_note)
        watch.block(len(answer.times))


def _note_rate(precision: str, rates: dict[str, float], stop: interruption.Interruption) -> None:
    """Measure the machine once a precision; a failure leaves the share empty."""
    child = Child(serve_rate, precision, stop=stop)
    try:
        answer = child.answer()
    finally:
        child.close()
    if isinstance(answer, float):
        rates[precision] = answer


def _count_flops(pairs: Sequence[tuple[ArmTimes, Child]], watch: TimingWatch) -> dict[int, int] | None:
    """Ask any arm that is left: the architecture is the same in all of them."""
    alive = [(arm, child) for arm, child in pairs if arm.failure is None]
    if not alive:
        return None
    watch.doing("counting operations")
    works = [time.work for arm, _ in alive for block in arm.blocks for time in block]
    answer = alive[0][1].ask(CountFlops(frozenset(work.slots // work.examples for work in works)))
    return answer if isinstance(answer, dict) else None
