"""A timing's saved rows as a table, and the words and units that its pictures share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from agcli.figures.style import plain

Row = Mapping[str, Any]

_NUMBERS = (
    *("step_seconds", "step_seconds_low", "step_seconds_high"),
    *("ratio", "ratio_low", "ratio_high"),
    "peak_memory_bytes",
)
_MILLISECONDS_BELOW = 1.0
"""Seconds; a picture whose longest step is shorter counts in milliseconds."""


def read_timing(rows: Sequence[Row]) -> pd.DataFrame:
    """Numbers as numbers (NaN where empty), text as text; `name` is the variant with its attention.

    An empty cell of a CSV file and pandas' NaN count as missing. `notes` are tuples.
    """
    table = pd.DataFrame(rows)
    for column in _NUMBERS:
        table[column] = pd.to_numeric(table[column])
    table = table.astype({"length": int, "batch_size": int}).fillna({"attention": "", "notes": ""})
    table["arm"] = [plain(method, 30) for method in table["arm"]]
    names = table["variant"] + (", " + table["attention"]).where(table["attention"] != "", "")
    table["name"] = [plain(name, 30) for name in names]
    table["notes"] = [tuple(notes.split("; ")) if notes else () for notes in table["notes"]]
    return table


def add_reasons(table: pd.DataFrame) -> pd.DataFrame:
    """Add `reason`, why a row has no time: those of its notes that no row with a time shares."""
    shared = {note for notes in table["notes"][table["step_seconds"].notna()] for note in notes}
    reasons = ["; ".join(note for note in notes if note not in shared) for notes in table["notes"]]
    return table.assign(reason=[f"no figure: {reason}" if reason else "no figure" for reason in reasons])


def shared_notes(table: pd.DataFrame) -> str:
    """The notes that every row with a time has, such as random weights: they belong under the picture."""
    timed = list(table["notes"][table["step_seconds"].notna()])
    return "; ".join(note for note in timed[0] if all(note in notes for notes in timed)) if timed else ""


def time_unit(table: pd.DataFrame) -> tuple[float, str]:
    """What seconds are multiplied by for a picture of these rows, and the unit that makes."""
    longest = table[["step_seconds", "step_seconds_high"]][table["step_seconds"].notna()].max().max()
    return (1e3, "ms") if longest < _MILLISECONDS_BELOW else (1.0, "s")


def whiskers(row: Any, factor: float) -> list[list[float]] | None:
    """Time from the median down and up to the quartiles, as `errorbar` takes them; None where one is missing."""
    ends = [row.step_seconds - row.step_seconds_low, row.step_seconds_high - row.step_seconds]
    return None if any(map(math.isnan, ends)) else [[max(end * factor, 0.0)] for end in ends]


def three_digits(value: float) -> str:
    """A number with three significant digits, never in powers of ten."""
    decimals = 2 - math.floor(math.log10(value)) if value > 0 else 2
    return f"{value:.{min(max(decimals, 0), 4)}f}"
