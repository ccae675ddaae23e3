"""Runs of a sweep that differ in their seed only, as means for pictures, and the words that go with them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

import pandas as pd

from agcli.errors import DataError, counted
from agcli.figures.style import plain
from agcli.guides.registry import guide_columns, weights_text
from agcli.measures.seeds import FEWEST_SEEDS, claim_line, summary
from agcli.sweep.table import axes, checked

Row = Mapping[str, Any]

_NUMBERS = ("mean", "sd", "low", "high")
_MOST_LINES = 8
"""Lines on missing seeds under one picture; the rest is counted."""


def read_runs(rows: Sequence[Row]) -> pd.DataFrame:
    """The checked results of a sweep, with what pictures need beside them.

    `dev` and `test` are the primary metric in percent, `baseline_test` that of what costs no training, `size` is a
    number, and `setting` names the values of options that the sweep varies. Missing numbers are NaN.

    Raises:
        DataError: not the results of a sweep.
    """
    table = checked(pd.DataFrame(rows))
    for name in axes(table):
        table[name] = [_one_spelling(value) for value in table[name]]
    for guide in guide_columns(map(str, table)):
        table[guide] = pd.to_numeric(table[guide]).fillna(0.0)
    records = table.to_dict("records")
    for split in ("dev", "test"):
        table[split] = [100 * float(row.get(f"{split}:{row['metric']}", math.nan)) for row in records]
    table["baseline_test"] = [100 * float(row.get("test:baseline", math.nan)) for row in records]
    table["setting"] = [", ".join(f"{name[4:]} {row[name]}" for name in axes(table)) for row in records]
    table["size"] = table["size"].astype(float)
    table["reason"] = table["reason"].fillna("").astype(str)
    return table


def _one_spelling(value: str) -> str:
    """One text for `0.10` and `0.1`."""
    try:
        return f"{float(value):g}"
    except ValueError:
        return value


def heading(runs: pd.DataFrame, apart: str) -> str:
    """Model and data, and what sets this picture apart from others of the same sweep."""
    first = runs.iloc[0]
    return ", ".join(part for part in (f"{first['model']} on {first['dataset']}", apart, first["setting"]) if part)


def size_text(runs: pd.DataFrame) -> str:
    """`training size 60 %`, or `training size 1,500` for a number of examples."""
    size = float(runs["size"].iloc[0])
    return f"training size {100 * size:g} %" if size <= 1 else f"training size {size:,.0f}"


def seed_means(runs: pd.DataFrame, by: Sequence[str], split: Literal["dev", "test"]) -> pd.DataFrame:
    """The mean over seeds for every group of runs that agree in the columns `by`, in order of appearance, in percent.

    The columns beside these: `n`, seeds with a number; `mean`; `sd`; `low` and `high`, the mean's 95 %
    t-interval over seeds, NaN where all seeds are equal, so that nothing can be estimated; `collapsed`, seeds that give
    one class and yet have a number, which counts; `missing`, why other seeds have none, a text each.

    Raises:
        DataError: a seed has two different numbers, so that the runs differ in more than the seed.
    """
    rows = [part[[*by]].iloc[0].to_dict() | _seed_mean(part, split) for _, part in runs.groupby([*by], sort=False)]
    means = pd.DataFrame(rows, columns=[*by, "n", *_NUMBERS, "collapsed", "missing"])
    return means.astype(dict.fromkeys(_NUMBERS, float))


def _seed_mean(runs: pd.DataFrame, split: str) -> dict[str, Any]:
    known = runs.dropna(subset=[split]).drop_duplicates(["seed", split])
    twice = known[known["seed"].duplicated()]
    if len(twice):
        first = twice.iloc[0]
        setting = f"{first['model']} on {first['dataset']}, variant {first['variant']}, seed {first['seed']:g}"
        raise DataError(
            f"{setting}: two cells that differ in no column which a picture shows have different figures",
            hint="draw the parts of the table that differ in other columns one at a time",
        )
    row: dict[str, Any] = asdict(summary(known[split].tolist())) if len(known) else {"n": 0}
    if row.get("sd") == 0:
        row |= {"low": None, "high": None}
    missing = runs[~runs["seed"].isin(known["seed"])].drop_duplicates("seed")
    reasons = [_why(state, reason) for state, reason in zip(missing["state"], missing["reason"], strict=True)]
    return row | {"collapsed": int((known["collapsed"] == 1).sum()), "missing": reasons}


def _why(state: str, reason: str) -> str:
    text = {"pending": "not run yet", "finished": "not measured"}.get(state, state)
    return plain(f"{text}: {reason}" if reason else text, 90)


def metric_of(runs: pd.DataFrame) -> str:
    """The primary metric, which only finished runs name."""
    return str(runs["metric"].iloc[0]) or "metric"


def weights_of(runs: pd.DataFrame) -> str:
    """`α = 0.01, β = 0.001` of a variant; where its weights differ, that they were chosen."""
    weights = runs[guide_columns(map(str, runs))].drop_duplicates()
    if len(weights) > 1:
        return "weights chosen on dev"
    return ", ".join(weights_text({str(name): float(weight) for name, weight in weights.iloc[0].items()}, "symbol"))


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
    rows: list[Any] = list(means.itertuples())
    lines = []
    for mean in rows:
        parts = []
        if mean.sd == 0:
            parts.append(f"{mean.n} seeds are equal, so that an interval is not estimable")
        if mean.missing:
            seeds = f"{len(mean.missing)} of {mean.n + len(mean.missing)} seeds without a figure"
            parts.append(f"{seeds} ({'; '.join(dict.fromkeys(mean.missing))})")
        if mean.collapsed:
            parts.append(f"{mean.collapsed} of {counted(mean.n, 'seed')} collapsed to one class, and counted")
        lines += [f"{mean.name}: {', '.join(parts)}"] if parts else []
    return at_most(lines)


def at_most(lines: Sequence[str]) -> list[str]:
    """Lines for under a picture; where they are many, how many more there are in place of the last ones."""
    if len(lines) <= _MOST_LINES:
        return list(lines)
    return [*lines[: _MOST_LINES - 1], f"and {len(lines) - _MOST_LINES + 1} more"]


def no_claim(seeds: Iterable[int]) -> list[str]:
    """The line that so few seeds allow no claim, where a mean has too few; means without any do not count."""
    known = {int(n) for n in seeds if n}
    if len(known) == 1:
        return [line for line in map(claim_line, known) if line]
    few = f"Where seeds are fewer than {FEWEST_SEEDS}, no claim can be made; those numbers only describe."
    return [few] if known and min(known) < FEWEST_SEEDS else []
