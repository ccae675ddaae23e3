"""A timing's saved rows as a table, and the words and units that its pictures share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from agcli.figures.style import plain

Row = Mapping[str, Any]

_NUMBERS = [f"{name}{end}" for name in ("step_seconds", "ratio") for end in ("", "_low", "_high")]
_MILLISECONDS_BELOW = 1.0
"""Seconds; a picture whose longest step is shorter counts in milliseconds."""


def read_timing(rows: Sequence[Row]) -> pd.DataFrame:
    """Numbers as numbers (NaN where empty), text as text, notes as tuples; rows of a CSV file read the same.

    `name` is the variant with its attention; `below` and `above` are seconds from the median to the quartiles.
    """
    table = pd.DataFrame(rows)
    for column in (*_NUMBERS, "peak_memory_bytes"):
        table[column] = pd.to_numeric(table[column])
    table["below"] = (table["step_seconds"] - table["step_seconds_low"]).clip(lower=0)
    table["above"] = (table["step_seconds_high"] - table["step_seconds"]).clip(lower=0)
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


def three_digits(value: float) -> str:
    """A number with three significant digits, never in powers of ten."""
    decimals = 2 - math.floor(math.log10(value)) if value > 0 else 2
    return f"{value:.{min(max(decimals, 0), 4)}f}"
