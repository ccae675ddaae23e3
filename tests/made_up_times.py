"""Times that nobody measured: what the arithmetic and the display of a timing are tested on."""

from __future__ import annotations

from collections.abc import Sequence

from agcli.timing.measuring import ArmTimes, GroupTimes
from agcli.timing.plan import Group
from agcli.timing.stopwatch import StepTime, Work

TOKENS, SLOTS = 60, 80
"""Of every made-up step."""


def blocks(seconds: Sequence[Sequence[float]], examples: int = 4) -> list[tuple[StepTime, ...]]:
    """One block for each inner list, one step for each of its numbers."""
    return [tuple(StepTime(each, Work(examples, TOKENS, SLOTS)) for each in block) for block in seconds]


def made_up(group: Group, seconds: Sequence[Sequence[Sequence[float]] | str]) -> GroupTimes:
    """Times of a group's arms in its order; a text in place of an arm's blocks is why it failed."""
    arms = []
    for place, (spec, each) in enumerate(zip(group.arms, seconds, strict=True), start=1):
        if isinstance(each, str):
            arms.append(ArmTimes(spec, failure=each))
        else:
            memory = place * 1_000_000_000
            arms.append(ArmTimes(spec, "fp32", "reference", blocks(each), peak_memory_bytes=memory))
    return GroupTimes(group, tuple(arms), {20: 1_000_000}, {"fp32": 1e9})
