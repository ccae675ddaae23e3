"""A timing's saved rows, read for drawing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agcli.figures.style import plain

Row = Mapping[str, Any]

_MILLISECONDS_BELOW = 1.0
"""Seconds; a picture whose longest step is shorter counts in milliseconds."""


@dataclass(frozen=True)
class Arm:
    """What one row says. A figure that the row lacks is None.

    Attributes:
        model: as asked for.
        arm: its name, the same at every length.
        variant: guides, or another recipe.
        attention: the implementation that ran, where one is named.
        length: longest example in tokens.
        batch_size: examples in a batch.
        seconds: median of a step.
        seconds_low: lower quartile.
        seconds_high: upper quartile.
        ratio: time over that of `none`.
        ratio_low: its 95 % interval.
        ratio_high: likewise.
        peak_bytes: peak memory.
        notes: what the figures must be read with, or why there are none.
    """

    model: str
    arm: str
    variant: str
    attention: str | None
    length: int
    batch_size: int
    seconds: float | None
    seconds_low: float | None
    seconds_high: float | None
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    peak_bytes: float | None
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        """Variant and attention."""
        return plain(f"{self.variant}, {self.attention}" if self.attention else self.variant, 30)

    @property
    def whiskers(self) -> tuple[float, float] | None:
        """Seconds from the median down and up to the quartiles."""
        if self.seconds is None or self.seconds_low is None or self.seconds_high is None:
            return None
        return max(self.seconds - self.seconds_low, 0.0), max(self.seconds_high - self.seconds, 0.0)


def read_arms(rows: Sequence[Row]) -> list[Arm]:
    """The arms of saved rows; an empty cell of a CSV file and pandas' NaN count as missing."""

    def number(value: Any) -> float | None:
        return None if value in (None, "") or math.isnan(float(value)) else float(value)

    return [
        Arm(
            model=str(row["model"]),
            arm=plain(str(row["arm"]), 30),
            variant=str(row["variant"]),
            attention=str(row["attention"]) if isinstance(row["attention"], str) and row["attention"] else None,
            length=int(row["length"]),
            batch_size=int(row["batch_size"]),
            seconds=number(row["step_seconds"]),
            seconds_low=number(row["step_seconds_low"]),
            seconds_high=number(row["step_seconds_high"]),
            ratio=number(row["ratio"]),
            ratio_low=number(row["ratio_low"]),
            ratio_high=number(row["ratio_high"]),
            peak_bytes=number(row["peak_memory_bytes"]),
            notes=tuple(str(row["notes"]).split("; ")) if isinstance(row["notes"], str) and row["notes"] else (),
        )
        for row in rows
    ]


def why_missing(arm: Arm, arms: Sequence[Arm]) -> str:
    """The notes of an arm without figures that no arm with figures shares: the reason among them."""
    told = {note for each in arms if each.seconds is not None for note in each.notes}
    reason = "; ".join(note for note in arm.notes if note not in told)
    return f"no figure: {reason}" if reason else "no figure"


def said_of_all(arms: Sequence[Arm]) -> str:
    """The notes that every arm with figures has, such as random weights: they belong under the picture."""
    measured = [arm for arm in arms if arm.seconds is not None]
    return (
        "; ".join(note for note in measured[0].notes if all(note in arm.notes for arm in measured)) if measured else ""
    )


def time_unit(arms: Sequence[Arm]) -> tuple[float, str]:
    """What seconds are multiplied by for a picture of these arms, and the unit that makes."""
    known = [max(arm.seconds, arm.seconds_high or 0.0) for arm in arms if arm.seconds is not None]
    return (1e3, "ms") if known and max(known) < _MILLISECONDS_BELOW else (1.0, "s")


def three_digits(value: float) -> str:
    """A figure with three significant digits, never in powers of ten."""
    decimals = 2 - math.floor(math.log10(value)) if value > 0 else 2
    return f"{value:.{min(max(decimals, 0), 4)}f}"
