"""From measured steps to the rows of the table: medians, rates, ratios with intervals, shares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from agcli.models import find_entry
from agcli.timing.measuring import ArmTimes, GroupTimes
from agcli.timing.stopwatch import StepTime

CONFIDENCE = 0.95
LEAST_ROUNDS = 3
"""Rounds that an interval takes: with two, t has one degree of freedom and its quantile is 12.7."""
BACKWARD_AND_FORWARD = 3
"""Operations of a training step over those of its forward: the backward does each product twice."""


@dataclass(frozen=True)
class TimingRow:
    """One arm of one group. Empty (None): failed, or not to be had; `notes` says why.

    Attributes:
        model: as asked for.
        arm: its name, the same in every group: variant and, where several were asked for, attention as asked for.
        variant: `none`, `mdg`, `pdg`, `both`, or another recipe.
        attention: the implementation that ran; `auto` may take one for short batches and another for long ones.
        data: data set, shape or full-length rows.
        length: longest example in tokens.
        padding: `dynamic` or `max`.
        batch_size: examples in a batch.
        precision: arithmetic of matrix products.
        steps: measured steps.
        step_seconds: median.
        step_seconds_low: lower quartile.
        step_seconds_high: upper quartile.
        examples_per_second: all examples over all seconds.
        tokens_per_second: likewise, of real tokens.
        epoch_seconds: of a whole epoch of the data set or shape.
        epoch_kind: `measured`, or `projected` from examples per second.
        ratio: time over that of `none` on the same batches: geometric mean over rounds.
        ratio_low: 95 % interval of `ratio`, see `ratio_interval`.
        ratio_high: likewise.
        peak_memory_bytes: during measured steps; on a CPU the resident set, on a GPU its tensors.
        memory_ratio: that over that of `none`.
        matmul_share: see `matmul_share`.
        paper_seconds: the paper's seconds an epoch (Table 4, RTX 3090), where it timed this.
        notes: what the figures must be read with, separated by "; ".
    """

    model: str
    arm: str
    variant: str
    attention: str | None
    data: str
    length: int
    padding: str
    batch_size: int
    precision: str | None
    steps: int
    step_seconds: float | None = None
    step_seconds_low: float | None = None
    step_seconds_high: float | None = None
    examples_per_second: float | None = None
    tokens_per_second: float | None = None
    epoch_seconds: float | None = None
    epoch_kind: str | None = None
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    peak_memory_bytes: int | None = None
    memory_ratio: float | None = None
    matmul_share: float | None = None
    paper_seconds: float | None = None
    notes: str = ""


@dataclass(frozen=True)
class Ratio:
    """A ratio of times and its 95 % interval, where there are rounds enough for one."""

    value: float
    low: float | None
    high: float | None


def group_rows(times: GroupTimes, *, paper: bool = False) -> list[TimingRow]:
    """One row an arm, in the group's order."""
    base = next((arm for arm in times.arms if arm.spec.variant == "none" and arm.failure is None), None)
    return [_row(times, arm, base, paper) for arm in times.arms]


def ratio_interval(seconds: Sequence[float], base: Sequence[float]) -> Ratio:
    """How many times as long one arm takes as another.

    The geometric mean over rounds of the ratio within each round, in which the machine was the same for both, and a t
    interval of the mean of its logarithm.

    Args:
        seconds: of one arm in each round.
        base: of the other in the same rounds.
    """
    logs = np.log(np.asarray(seconds) / np.asarray(base))
    mean, rounds = float(logs.mean()), len(logs)
    if rounds < LEAST_ROUNDS:
        return Ratio(math.exp(mean), None, None)
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, rounds - 1) * logs.std(ddof=1) / math.sqrt(rounds))
    return Ratio(math.exp(mean), math.exp(mean - half), math.exp(mean + half))


def matmul_share(steps: Sequence[StepTime], forward_flops: dict[int, int], product_rate: float) -> float:
    """The share of the machine's own matrix-product rate that training reaches.

    What is counted are the products that a step of this model cannot do without, padding included: three times its
    forward's. Maps that are computed again in the backward, and the guides' own arithmetic, take time and are not
    counted, so that a guided arm's share is lower by what guiding costs.

    Args:
        steps: the measured steps.
        forward_flops: padded length -> operations of one example's forward.
        product_rate: operations a second of a plain product in the same precision, in a process of the same kind.
    """
    works = [step.work for step in steps]
    total = sum(work.examples * forward_flops[work.slots // work.examples] for work in works)
    return BACKWARD_AND_FORWARD * total / sum(step.seconds for step in steps) / product_rate


def _row(times: GroupTimes, arm: ArmTimes, base: ArmTimes | None, paper: bool) -> TimingRow:
    group, steps = times.group, [step for block in arm.blocks for step in block]
    notes = [*group.notes, *arm.notes, *([arm.failure] if arm.failure else [])]
    figures: dict[str, float | int | str | None] = {}
    if steps and arm.failure is None:
        figures = {**_speeds(times, steps), **_beside(arm, base), "peak_memory_bytes": arm.peak_memory_bytes}
        rate = times.product_rates.get(arm.precision or "")
        if rate and times.forward_flops:
            figures["matmul_share"] = matmul_share(steps, times.forward_flops, rate)
    if paper:
        figures["paper_seconds"], caution = _paper_seconds(group.model, arm.spec.variant, group.data)
        notes += caution
    if base is None:
        tried = any(each.spec.variant == "none" for each in times.arms)
        notes.append(f"no ratio: `none` {'failed' if tried else 'was not timed'}")
    return TimingRow(
        model=group.model,
        arm=arm.spec.name,
        variant=arm.spec.variant,
        attention=arm.attention,
        data=group.data,
        length=group.length,
        padding="max" if arm.spec.variant == "authors" else group.padding,
        batch_size=arm.spec.course.batch_size,
        precision=arm.precision,
        steps=len(steps),
        notes="; ".join(note.replace("; ", ", ") for note in notes),
        **figures,  # type: ignore[arg-type]
    )


def _speeds(times: GroupTimes, steps: Sequence[StepTime]) -> dict[str, float | str | None]:
    """What an arm's own steps tell."""
    group, seconds = times.group, np.array([step.seconds for step in steps])
    total = float(seconds.sum())
    low, median, high = (float(value) for value in np.percentile(seconds, (25, 50, 75)))
    rate = sum(step.work.examples for step in steps) / total
    epoch: dict[str, float | str | None] = {}
    if group.epochs is not None:
        epoch = {"epoch_seconds": total / group.epochs, "epoch_kind": "measured"}
    elif group.population is not None:
        epoch = {"epoch_seconds": group.population / rate, "epoch_kind": "projected"}
    return {
        "step_seconds": median,
        "step_seconds_low": low,
        "step_seconds_high": high,
        "examples_per_second": rate,
        "tokens_per_second": sum(step.work.tokens for step in steps) / total,
        **epoch,
    }


def _beside(arm: ArmTimes, base: ArmTimes | None) -> dict[str, float | None]:
    """What an arm costs beside `none`."""
    if base is None:
        return {}
    found = ratio_interval(*([sum(step.seconds for step in block) for block in each.blocks] for each in (arm, base)))
    memory: float | None = None
    if arm.peak_memory_bytes and base.peak_memory_bytes:
        memory = arm.peak_memory_bytes / base.peak_memory_bytes
    return {"ratio": found.value, "ratio_low": found.low, "ratio_high": found.high, "memory_ratio": memory}


def _paper_seconds(model: str, variant: str, data: str) -> tuple[float | None, list[str]]:
    """What the paper took and what is odd about that; it timed its encoders without guides and with both."""
    from agcli.paper import table4_caution, table4_seconds

    entry = find_entry(model)
    named, guided = entry.name if entry else model, variant != "none"
    seconds = table4_seconds(named, guided, data) if variant in ("none", "both", "authors") else None
    caution = table4_caution(named, guided, data) if seconds is not None else None
    return seconds, [f"paper: {caution}"] if caution else []
