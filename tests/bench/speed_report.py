"""Timings -> throughputs, ratios, tables and CSV."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Timing:
    """One arm in one round.

    Attributes:
        round: 1-based.
        arm: the arm's name.
        examples: pairs trained on while the clock ran.
        seconds: wall time.
    """

    round: int
    arm: str
    examples: int
    seconds: float


@dataclass(frozen=True)
class Comparison:
    """Two arms and what is hoped of them: how many times faster than `slower` is `faster`.

    Attributes:
        text: in words.
        faster: arm whose throughput is divided.
        slower: arm whose throughput divides.
        goal: as printed beside the ratio; nothing asserts it.
    """

    text: str
    faster: str
    slower: str
    goal: str


@dataclass(frozen=True)
class Ratio:
    """A comparison's outcome.

    Attributes:
        comparison: in words.
        of_totals: ratio of total examples over total seconds.
        round_median: median over rounds of the ratio within each round.
        round_least: smallest ratio within a round.
        round_greatest: largest ratio within a round.
        goal: what was hoped for.
    """

    comparison: str
    of_totals: float
    round_median: float
    round_least: float
    round_greatest: float
    goal: str


def throughput(timings: Sequence[Timing], arm: str) -> float:
    """Total examples over total seconds of an arm."""
    chosen = [timing for timing in timings if timing.arm == arm]
    return sum(timing.examples for timing in chosen) / sum(timing.seconds for timing in chosen)


def ratio(timings: Sequence[Timing], comparison: Comparison) -> Ratio:
    """The throughput of one arm over another's: of totals, and within rounds, which cancels slow drift."""

    def quotient(chosen: Sequence[Timing]) -> float:
        return throughput(chosen, comparison.faster) / throughput(chosen, comparison.slower)

    rounds = sorted({timing.round for timing in timings})
    within = [quotient([timing for timing in timings if timing.round == each]) for each in rounds]
    return Ratio(comparison.text, quotient(timings), median(within), min(within), max(within), comparison.goal)


def tables(timings: Sequence[Timing], ratios: Sequence[Ratio], environment: Mapping[str, Any]) -> str:
    """Environment, throughputs and ratios as text."""
    lines = [f"{name}: {value}" for name, value in environment.items()]
    lines += ["", f"{'arm':<38}{'pairs':>8}{'seconds':>10}{'pairs/s':>10}"]
    for arm in dict.fromkeys(timing.arm for timing in timings):
        examples = sum(timing.examples for timing in timings if timing.arm == arm)
        seconds = sum(timing.seconds for timing in timings if timing.arm == arm)
        lines.append(f"{arm:<38}{examples:>8}{seconds:>10.2f}{examples / seconds:>10.2f}")
    lines += ["", f"{'ratio':<58}{'totals':>8}{'median':>8}{'rounds':>16}   goal"]
    for each in ratios:
        span = f"{each.round_least:.3f}-{each.round_greatest:.3f}"
        lines.append(f"{each.comparison:<58}{each.of_totals:>8.3f}{each.round_median:>8.3f}{span:>16}   {each.goal}")
    return "\n".join(lines)


def write(path: Path, timings: Sequence[Timing], ratios: Sequence[Ratio], environment: Mapping[str, Any]) -> None:
    """Every timing with its environment into `path`, the ratios into a file `...-ratios.csv` beside it."""
    _write_rows(path, [{**asdict(timing), **environment} for timing in timings])
    _write_rows(path.with_name(f"{path.stem}-ratios.csv"), [asdict(each) for each in ratios])


def _write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
