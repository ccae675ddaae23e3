"""Times that nobody measured: what the arithmetic and the display of a timing are tested on."""

from __future__ import annotations

from collections.abc import Sequence

from agcli.timing.measure import GroupTimes, MethodTimes
from agcli.timing.plan import Group
from agcli.timing.stopwatch import StepTime
from agcli.timing.workload import Work

TOKENS, SLOTS = 60, 80
"""Of every made-up step."""


def blocks(seconds: Sequence[Sequence[float]], examples: int = 4) -> list[tuple[StepTime, ...]]:
    """One block for each inner list, one step for each of its numbers."""
    return [tuple(StepTime(each, Work(examples, TOKENS, SLOTS)) for each in block) for block in seconds]


def made_up(group: Group, seconds: Sequence[Sequence[Sequence[float]] | str]) -> GroupTimes:
    """Times of a group's methods in its order; a text in place of a method's blocks is why it failed."""
    methods = []
    for place, (spec, each) in enumerate(zip(group.methods, seconds, strict=True), start=1):
        if isinstance(each, str):
            methods.append(MethodTimes(spec, failure=each))
        else:
            memory = place * 1_000_000_000
            methods.append(MethodTimes(spec, "fp32", "reference", blocks(each), peak_memory_bytes=memory))
    return GroupTimes(group, tuple(methods), {20: 1_000_000}, {"fp32": 1e9})
