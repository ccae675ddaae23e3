"""From measured steps to the rows of the table: medians, rates, ratios with intervals, shares."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from agcli.timing.measure import GroupTimes, MethodTimes
from agcli.timing.plan import Group
from agcli.timing.stopwatch import StepTime

CONFIDENCE = 0.95
LEAST_ROUNDS = 3
"""Rounds that an interval takes: with two, t has one degree of freedom and its quantile is 12.7."""
Published = Callable[[str, str, str], tuple[float | None, str]]
"""(model, variant, data set) -> the paper's seconds an epoch, and a caveat about them or ""."""
BACKWARD_AND_FORWARD = 3
"""Operations of a training step over those of its forward: the backward does each product twice."""


@dataclass(frozen=True)
class TimingRow:
    """One method of one group; None where it failed or a figure cannot be computed.

    Attributes:
        arm: the method's name, the same in every group: variant and, where several are compared, attention.
        attention: what ran; `auto` may take one implementation for short batches and another for long ones.
        step_seconds: median; `_low` and `_high`: quartiles.
        examples_per_second: all examples over all seconds; `tokens_per_second` likewise, of real tokens.
        epoch_kind: `measured`, or `projected` from examples per second.
        ratio: time over that of `none` on the same batches, see `ratio_interval`.
        peak_memory_bytes: during measured steps; on a CPU the resident set, on a GPU its tensors.
        paper_seconds: the paper's seconds an epoch (Table 4, RTX 3090), where it timed this.
        notes: separated by "; ".
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


def group_rows(times: GroupTimes, published: Published | None = None) -> list[TimingRow]:
    """One row a method, in the group's order, with the paper's seconds an epoch where `published` knows them."""
    base = next((method for method in times.methods if method.spec.variant == "none" and method.failure is None), None)
    return [_row(times, method, base, published) for method in times.methods]


def ratio_interval(seconds: Sequence[float], base: Sequence[float]) -> tuple[float, float | None, float | None]:
    """How many times as long one method takes as another, and the 95 % interval; None where rounds are too few.

    The geometric mean over rounds of the ratio within each round, in which the machine was the same for both, and a t
    interval of the mean of its logarithm. `seconds` and `base` are those of the same rounds.
    """
    logs = np.log(np.asarray(seconds) / np.asarray(base))
    mean, rounds = float(logs.mean()), len(logs)
    if rounds < LEAST_ROUNDS:
        return math.exp(mean), None, None
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, rounds - 1) * logs.std(ddof=1) / math.sqrt(rounds))
    return math.exp(mean), math.exp(mean - half), math.exp(mean + half)


def matmul_share(steps: Sequence[StepTime], forward_flops: dict[int, int], product_rate: float) -> float:
    """The share of the machine's own matrix-product rate that training reaches.

    Counted are the products that a step of this model cannot do without, padding included: three times its forward's.
    Maps that are computed again in the backward, and the guides' own arithmetic, take time and are not counted, so
    that a guided method's share is lower by what guiding costs.
    """
    total = sum(step.work.examples * forward_flops[step.work.padded_length] for step in steps)
    return BACKWARD_AND_FORWARD * total / sum(step.seconds for step in steps) / product_rate


def _row(times: GroupTimes, method: MethodTimes, base: MethodTimes | None, published: Published | None) -> TimingRow:
    group, spec, steps = times.group, method.spec, method.steps
    notes = [*group.notes, *method.notes, *([method.failure] if method.failure else [])]
    figures: dict[str, float | int | str | None] = {}
    if steps and method.failure is None:
        figures = {**_speeds(group, steps), "peak_memory_bytes": method.peak_memory_bytes}
        figures |= {} if base is None else _ratios(method, base)
        rate = times.product_rates.get(method.precision or "")
        if rate and times.forward_flops:
            figures["matmul_share"] = matmul_share(steps, times.forward_flops, rate)
    if published is not None:
        figures["paper_seconds"], caution = published(group.model, spec.variant, group.data)
        notes += [f"paper: {caution}"] if caution else []
    if base is None:
        failed = any(other.spec.variant == "none" for other in times.methods)
        notes.append(f"no ratio: `none` {'failed' if failed else 'was not timed'}")
    return TimingRow(
        model=group.model,
        arm=spec.name,
        variant=spec.variant,
        attention=method.attention,
        data=group.data,
        length=group.length,
        padding="max" if spec.variant == "authors" else group.padding,
        batch_size=spec.workload.batch_size,
        precision=method.precision,
        steps=len(steps),
        notes="; ".join(note.replace("; ", ", ") for note in notes),
        **figures,  # type: ignore[arg-type]
    )


def _speeds(group: Group, steps: Sequence[StepTime]) -> dict[str, float | str | None]:
    seconds = np.array([step.seconds for step in steps])
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


def _ratios(method: MethodTimes, base: MethodTimes) -> dict[str, float | None]:
    """Time and memory over those of `none`."""
    rounds = [[sum(step.seconds for step in block) for block in times.blocks] for times in (method, base)]
    ratio, low, high = ratio_interval(*rounds)
    memory = None
    if method.peak_memory_bytes and base.peak_memory_bytes:
        memory = method.peak_memory_bytes / base.peak_memory_bytes
    return {"ratio": ratio, "ratio_low": low, "ratio_high": high, "memory_ratio": memory}
