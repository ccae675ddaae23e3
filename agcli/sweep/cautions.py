"""The lines that numbers over seeds must be read with, for reports, tables and pictures alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pandas as pd

from agcli.errors import counted
from agcli.measures.seeds import FEWEST_SEEDS, claim_line
from agcli.sweep.results import reported
from agcli.sweep.seed_groups import SHORTFALLS, SeedGroup, setting_of


def few_seeds(counts: Iterable[float]) -> list[str]:
    """The line that so few seeds allow no claim, where a mean has too few; means without any do not count."""
    known = {int(n) for n in counts if n}
    if len(known) == 1:
        return [line for line in map(claim_line, known) if line]
    few = f"Where seeds are fewer than {FEWEST_SEEDS}, no claim can be made; those numbers only describe."
    return [few] if known and min(known) < FEWEST_SEEDS else []


def seeds_fallen_short(name: str, group: SeedGroup) -> list[str]:
    """`minilm on mnli, mdg, not run yet: seed 5, 6.`, a line for each kind of shortfall."""
    seeds = {words: getattr(group, field) for field, words in SHORTFALLS.items()}
    return [f"{name}, {words}: seed {', '.join(map(str, which))}." for words, which in seeds.items() if which]


def counts_fallen_short(group: SeedGroup, total: int) -> Iterator[str]:
    """`seeds not run yet: 2 of 5`, for a footnote to a number on test."""
    endings = {"failed": "that {}, without a number", "collapsed": "that {}, kept in the mean", "pending": "{}"}
    for field, ending in endings.items():
        if seeds := getattr(group, field):
            yield f"seeds {ending.format(SHORTFALLS[field])}: {len(seeds)} of {total}"
    if len(group.failed) + len(group.pending) < total and not group.metrics:
        yield "no number on test"


def mean_fallen_short(mean: Any, reasons: Iterable[str]) -> list[str]:
    """The shortfalls of a mean with `n`, `sd`, `missing` and `collapsed`, and why seeds are missing."""
    parts = []
    if mean.sd == 0:
        parts.append(f"{mean.n} seeds are equal, so that an interval is not estimable")
    if mean.missing:
        seeds = f"{len(mean.missing)} of {mean.n + len(mean.missing)} seeds without a figure"
        parts.append(f"{seeds} ({'; '.join(reasons)})")
    if mean.collapsed:
        parts.append(f"{mean.collapsed} of {counted(mean.n, 'seed')} {SHORTFALLS['collapsed']}, and counted")
    return parts


def mixed_arithmetic(table: pd.DataFrame) -> Iterator[str]:
    """That cells ran with other precision or on other devices, where the sweep does not vary the precision."""
    if {"precision", "device"} <= set(table) and "set:precision" not in table:
        finished = table[table["state"] == "finished"]
        arithmetic = sorted({f"{row.precision} on {row.device}" for row in finished.itertuples()})
        if len(arithmetic) > 1:
            yield (
                f"Cells ran in different arithmetic ({'; '.join(arithmetic)}): a difference between arms may come "
                "of that."
            )


def against_baseline(table: pd.DataFrame, means: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Means that are not above the majority class or the first stage, or that these are not in the results."""
    finished = reported(table[table["state"] == "finished"])
    if len(finished) and (finished["baseline"] == "").all():
        yield "No majority class or first stage in these results: the sweep's own command adds it and trains nothing."
    for row in means:
        mean, baseline = row["mean"], row["baseline_mean"]
        if mean is None or baseline is None or mean > baseline:
            continue
        points = f"{100 * (baseline - mean):.2f} points below" if round(baseline - mean, 6) else "no better than"
        so = "re-ranking loses to the order it was given" if row["metric"] == "RR" else "nothing useful was learnt"
        yield (
            f"{setting_of(pd.DataFrame([row])).name}, {row['variant']}: {row['metric']} {100 * mean:.2f} is {points} "
            f"the {row['baseline']} ({100 * baseline:.2f}): {so}, and a difference between such arms says little."
        )
