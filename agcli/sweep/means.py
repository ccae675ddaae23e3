"""Means of a sweep's settings over seeds, each beside what costs no training: the majority class or the first stage."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from agcli.sweep.table import CHOICE, GUIDING, axes, cells_of, groups, setting_of, split_of


def mean_rows(table: pd.DataFrame) -> list[dict[str, object]]:
    """A plain row for each setting and variant that is reported, on its primary metric; dev where there is no test.

    Args:
        table: results as `table.checked` gives them.
    """
    reported = table[table["role"] != "select"]
    return [_mean_row(part, split_of(table, part["dataset"].iloc[0])) for part in _settings(reported)]


def _settings(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    return groups(table, *GUIDING, "variant", *CHOICE)


def _mean_row(part: pd.DataFrame, split: str) -> dict[str, object]:
    """Mean, spread and counts; `split` is empty and there is no mean as long as no cell of the data has finished."""
    row = part.iloc[0]
    cells = cells_of(part, split) if split else None
    found = cells.summary if cells else None
    baseline = part[f"{split}:baseline"].mean() if f"{split}:baseline" in part else float("nan")
    return {
        **{name: row[name] for name in ("model", "dataset", "size", "layers", "guide_mode")},
        **{name: row[name] for name in axes(part)},
        **{name: row[name] for name in ("variant", "mdg", "pdg", "learning_rate")},
        "metric": row["metric"],
        "split": split or None,
        "n": found.n if found else 0,
        **{name: getattr(found, name, None) for name in ("mean", "sd", "low", "high")},
        "best": cells.best if cells else None,
        "baseline": max(part["baseline"]) or None,
        "baseline_mean": None if pd.isna(baseline) else float(baseline),
        **{flag: int((part[flag] == 1).sum()) for flag in ("collapsed", "diverged")},
        **{state: int((part["state"] == state).sum()) for state in ("failed", "pending")},
    }


def below_baseline(table: pd.DataFrame) -> Iterator[str]:
    """What is to be said of each arm whose mean is not above that of the majority class or of the first stage."""
    reported = table[table["role"] != "select"]
    finished = reported[reported["state"] == "finished"]
    if len(finished) and (finished["baseline"] == "").all():
        yield "No majority class or first stage in these results: the sweep's own command adds it and trains nothing."
    for part, row in zip(_settings(reported), mean_rows(table), strict=True):
        mean, baseline = row["mean"], row["baseline_mean"]
        if not isinstance(mean, float) or not isinstance(baseline, float) or mean > baseline:
            continue
        points = f"{100 * (baseline - mean):.2f} points below" if round(baseline - mean, 6) else "no better than"
        so = "re-ranking loses to the order it was given" if row["metric"] == "RR" else "nothing useful was learnt"
        yield (
            f"{setting_of(part).name}, {row['variant']}: {row['metric']} {100 * mean:.2f} is {points} the "
            f"{row['baseline']} ({100 * baseline:.2f}): {so}, and a difference between such arms says little."
        )
