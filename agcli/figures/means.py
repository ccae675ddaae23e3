"""Means over seeds for pictures of a sweep, and the words that go with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from agcli.errors import counted
from agcli.figures.style import plain
from agcli.measures.seeds import summary
from agcli.sweep.cautions import mean_fallen_short
from agcli.sweep.results import Split
from agcli.sweep.seed_groups import over_seeds, setting_of

Rows = pd.DataFrame | Sequence[Mapping[str, Any]]
"""A sweep's results, checked or as saved."""

_NUMBERS = ("mean", "sd", "low", "high")
_MOST_LINES, _REASON = 8, 90
"""Most lines on missing seeds under one picture; most characters of a reason."""


def seed_means(runs: pd.DataFrame, by: Sequence[str], split: Split) -> pd.DataFrame:
    """The primary metric over seeds, in percent, for every group of runs that agree in the columns `by`.

    The columns beside these: `n`, seeds with a number; `mean`; `sd`; `low` and `high`, the mean's 95 % t-interval,
    NaN where all seeds are equal, so that nothing can be estimated; `collapsed`, how many seeds give one class and yet
    count; `missing`, why other seeds have no number.

    Raises:
        DataError: a seed has two different numbers, so that the runs differ in more than the seed.
    """
    rows = []
    for _, part in runs.groupby([*by], sort=False):
        group = over_seeds(part, split, gaps=True, repeats=True)
        row: dict[str, Any] = asdict(summary([100 * value for value in group.values])) if group.values else {"n": 0}
        if row.get("sd") == 0:
            row |= {"low": None, "high": None}
        counts = {"collapsed": len(group.collapsed), "missing": group.lost}
        rows.append(part[[*by]].iloc[0].to_dict() | row | counts)
    means = pd.DataFrame(rows, columns=[*by, "n", *_NUMBERS, "collapsed", "missing"])
    return means.astype(dict.fromkeys(_NUMBERS, float))


def heading(runs: pd.DataFrame, apart: str) -> str:
    """Model, data, further options, and the text that sets this picture apart from others of the same sweep."""
    setting = setting_of(runs)
    options = [f"{option} {value}" for option, value in setting.options]
    return ", ".join(filter(None, (f"{setting.model} on {setting.dataset}", apart, *options)))


def size_text(runs: pd.DataFrame) -> str:
    """`training size 60 %`, or `training size 1,500` for a number of examples."""
    size = float(runs["size"].iloc[0])
    return f"training size {100 * size:g} %" if size <= 1 else f"training size {size:,.0f}"


def count(means: pd.DataFrame) -> str:
    """`5 seeds`, or `3 to 5 seeds`."""
    fewest, most = int(means["n"].min()), int(means["n"].max())
    return f"{fewest} to {most} seeds" if fewest != most else counted(most, "seed")


def count_and_interval(means: pd.DataFrame) -> str:
    """As `count`, and that one seed, or equal ones, give no interval."""
    known = means[means["n"] > 0]
    without = known["n"][known["low"].isna()]
    kinds = sorted({"1 seed" if n == 1 else "equal seeds" for n in without})
    if not kinds:
        return count(means)
    return count(means) + (", no interval" if len(without) == len(known) else f"; {' and '.join(kinds)}: no interval")


def shortfalls(means: pd.DataFrame) -> list[str]:
    """Lines on means, each with a `name`, that lack seeds or an interval, or hold collapsed ones."""
    lines = []
    rows: list[Any] = list(means.itertuples())
    for mean in rows:
        reasons = dict.fromkeys(plain(reason, _REASON) for reason in mean.missing)
        parts = mean_fallen_short(mean, reasons)
        lines += [f"{mean.name}: {', '.join(parts)}"] if parts else []
    return at_most(lines)


def at_most(lines: Sequence[str]) -> list[str]:
    """Lines for a caption; of many the first ones, and the number of the others."""
    if len(lines) <= _MOST_LINES:
        return list(lines)
    return [*lines[: _MOST_LINES - 1], f"and {len(lines) - _MOST_LINES + 1} more"]
