"""Schedules of a guide's weight over training; no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["constant", "linear", "warmup", "off"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_SHARES = {"linear": (0.0, 0.999), "warmup": (0.001, 1.0), "off": (0.001, 1.0)}
"""Of training, the least and the greatest that each may name."""


@dataclass(frozen=True)
class Schedule:
    """`weight(t) = w · factor(t)`, t the share of training done.

    `linear`: 1 until `until`, then straight to 0 at the end. `warmup`: straight from 0 to 1 at `until`. `off`: 1, and 0
    from `until` on.

    Source: `linear` is that of Deshpande & Narasimhan's released code, which holds the weight for 20,000 steps.
    """

    kind: Kind = "constant"
    until: float = 0.0

    def factor(self, progress: float) -> float:
        """The factor after this share of training, from 0 to 1."""
        match self.kind:
            case "linear":
                return min(1.0, max(0.0, (1.0 - progress) / (1.0 - self.until))) if progress > self.until else 1.0
            case "warmup":
                return min(1.0, progress / self.until)
            case "off":
                return float(progress < self.until)
            case _:
                return 1.0

    def __str__(self) -> str:
        return self.kind if self.kind == "constant" else f"{self.kind}:{self.until:.10g}"


def parse_schedule(text: str) -> Schedule:
    """`constant`, `linear:0.5`, `warmup:0.1`, `off:0.3`.

    Raises:
        ValueError: not of that form.
    """
    kind, _, until = text.partition(":")
    try:
        share = float(until) if until else 0.0
    except ValueError:
        share = -1.0
    lowest, highest = _SHARES.get(kind, (0.0, 0.0))
    if kind not in KINDS or bool(until) == (kind == "constant") or not lowest <= share <= highest:
        raise ValueError(
            f"{text!r} is no schedule; allowed: constant, linear:H, warmup:H and off:H with a share H of training, "
            + ", ".join(f"{lowest:g} to {highest:g} of {name}" for name, (lowest, highest) in _SHARES.items())
            + "."
        )
    return Schedule(kind, share)
