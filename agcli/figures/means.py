"""Runs of a sweep that differ in their seed only, as means for pictures, and the words that go with them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from agcli.errors import DataError
from agcli.figures.style import plain
from agcli.guides.registry import guide_columns, weights_text
from agcli.measures.seeds import FEWEST_SEEDS, claim_line, summary
from agcli.sweep.table import axes, checked

Row = Mapping[str, Any]

_MOST_LINES = 8
"""Lines on missing seeds under one picture; the rest is counted."""


@dataclass(frozen=True)
class SeedMean:
    """Runs of one setting that differ in their seed only, as one number in percent.

    Attributes:
        n: seeds with a number.
        value: their mean; None where n is 0.
        sd: standard deviation over them; None where n is 0 or 1.
        low: lower end of the mean's 95 % t-interval over seeds; None where n is 0 or 1, and where all seeds are equal,
            so that nothing can be estimated.
        high: its upper end.
        collapsed: seeds that give one class and yet have a number, which counts.
        missing: why seeds have no number, one text a seed.
    """

    n: int
    value: float | None
    sd: float | None
    low: float | None
    high: float | None
    collapsed: int
    missing: tuple[str, ...]


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


def seed_mean(runs: pd.DataFrame, split: Literal["dev", "test"]) -> SeedMean:
    """Mean and t-interval over the seeds of one setting.

    Raises:
        DataError: a seed has two different numbers, so that the runs differ in more than the seed.
    """
    known = runs.dropna(subset=[split]).drop_duplicates(["seed", split])
    if known["seed"].duplicated().any():
        row = known[known["seed"].duplicated()].iloc[0]
        setting = f"{row['model']} on {row['dataset']}, variant {row['variant']}, seed {row['seed']:g}"
        raise DataError(
            f"{setting}: two cells that differ in no column which a picture shows have different figures",
            hint="draw the parts of the table that differ in other columns one at a time",
        )
    missing = runs[~runs["seed"].isin(known["seed"])].drop_duplicates("seed")
    over_seeds = summary(known[split].tolist()) if len(known) else None
    has_interval = over_seeds is not None and bool(over_seeds.sd)
    return SeedMean(
        n=len(known),
        value=over_seeds.mean if over_seeds else None,
        sd=over_seeds.sd if over_seeds else None,
        low=over_seeds.low if over_seeds and has_interval else None,
        high=over_seeds.high if over_seeds and has_interval else None,
        collapsed=int((known["collapsed"] == 1).sum()),
        missing=tuple(_why(state, reason) for state, reason in zip(missing["state"], missing["reason"], strict=True)),
    )


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


def count(means: Iterable[SeedMean]) -> str:
    """`5 seeds`, or `3 to 5 seeds`."""
    known = sorted({mean.n for mean in means}) or [0]
    if known == [1]:
        return "1 seed"
    return f"{known[0]} seeds" if len(known) == 1 else f"{known[0]} to {known[-1]} seeds"


def count_and_interval(means: Sequence[SeedMean]) -> str:
    """As `count`, and that one seed, or equal ones, give no interval."""
    known = [mean for mean in means if mean.n]
    without = {"1 seed" if mean.n == 1 else "equal seeds" for mean in known if mean.low is None}
    if all(mean.low is None for mean in known):
        return count(means) + (", no interval" if without else "")
    return count(means) + (f"; {' and '.join(sorted(without))}: no interval" if without else "")


def shortfalls(means: Mapping[str, SeedMean]) -> list[str]:
    """Lines on means, by their names in the picture, that lack seeds or an interval, or hold collapsed ones."""
    return at_most(f"{name}: {text}" for name, mean in means.items() if (text := _shortfall(mean)))


def _shortfall(mean: SeedMean) -> str:
    parts = []
    if mean.sd == 0:
        parts.append(f"{mean.n} seeds are equal, so that an interval is not estimable")
    if mean.missing:
        seeds = f"{len(mean.missing)} of {mean.n + len(mean.missing)} seeds without a figure"
        parts.append(f"{seeds} ({'; '.join(dict.fromkeys(mean.missing))})")
    if mean.collapsed:
        parts.append(f"{mean.collapsed} of {count([mean])} collapsed to one class, and counted")
    return ", ".join(parts)


def at_most(lines: Iterable[str]) -> list[str]:
    """Lines for under a picture; where they are many, how many more there are in place of the last ones."""
    kept = list(lines)
    return kept if len(kept) <= _MOST_LINES else [*kept[: _MOST_LINES - 1], f"and {len(kept) - _MOST_LINES + 1} more"]


def no_claim(seeds: Iterable[int]) -> list[str]:
    """The line that so few seeds allow no claim, where a mean has too few; means without any do not count."""
    known = {n for n in seeds if n}
    if len(known) == 1:
        return [line for line in map(claim_line, known) if line]
    few = f"Where seeds are fewer than {FEWEST_SEEDS}, no claim can be made; those numbers only describe."
    return [few] if known and min(known) < FEWEST_SEEDS else []
