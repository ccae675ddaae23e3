"""Cells of a checked table of results that differ in their seed only: what they share, and their metric over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from agcli.errors import DataError
from agcli.guides.variants import Weight
from agcli.measures.seeds import Summary, summary
from agcli.sweep.results import GUIDING, PLACE, Split, axes, first_name, guides_in

SHORTFALLS = {
    "collapsed": "collapsed to one class",
    "diverged": "diverged",
    "failed": "failed",
    "pending": "not run yet",
}
"""Field of `SeedGroup` -> what is wrong with its seeds, in words."""


@dataclass(frozen=True)
class Setting:
    """Everything that compared cells, or the trials of a grid, have in common.

    Attributes:
        size: training examples: a share up to 1, or their number.
        options: (option, value) of each further axis of the sweep.
    """

    model: str
    dataset: str
    size: str
    guide_mode: str
    layers: str
    options: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        """`minilm on mnli, size 300, layer 3, dropout 0.1`."""
        size = f"{100 * float(self.size):g} %" if float(self.size) <= 1 else self.size
        layer = [f"layer {self.layers}"] if self.layers.isdecimal() else []
        options = [f"{option} {value}" for option, value in self.options]
        return ", ".join([f"{self.model} on {self.dataset}", f"size {size}", *layer, *options])


def setting_of(part: pd.DataFrame) -> Setting:
    """The setting of a group of rows."""
    row = part.iloc[0]
    return Setting(
        **{name: str(row[name]) for name in (*PLACE, *GUIDING)},
        options=tuple((name.removeprefix("set:"), str(row[name])) for name in axes(part)),
    )


@dataclass(frozen=True)
class SeedGroup:
    """The cells of one setting, which differ in their seed only.

    A seed that collapsed to one class has a metric and takes part everywhere: leaving it out would flatter the setting.

    Attributes:
        weights: guide -> weight; 0 where it is off.
        metrics: (seed, metric) of the cells that have it.
        collapsed: seeds whose answers to all dev examples are one and the same class.
        diverged: seeds that failed because numbers ceased to be finite in training.
        failed: seeds without a metric because the run failed.
        pending: seeds that have not run.
        lost: why a seed has no metric, one text a seed: `failed: the loss is nan`.
        fingerprints: (seed, fingerprint) of the finished cells, where the table has fingerprints.
    """

    weights: Mapping[str, Weight]
    learning_rate: float
    metrics: tuple[tuple[int, float], ...]
    collapsed: tuple[int, ...]
    diverged: tuple[int, ...]
    failed: tuple[int, ...]
    pending: tuple[int, ...]
    lost: tuple[str, ...]
    fingerprints: tuple[tuple[int, str], ...]

    @property
    def values(self) -> list[float]:
        """The metric of each seed that has it."""
        return [value for _, value in self.metrics]

    @property
    def summary(self) -> Summary | None:
        """Mean, spread and t-interval over the seeds that have the metric; None where there is none."""
        return summary(self.values) if self.metrics else None

    @property
    def best(self) -> float | None:
        """The best seed's metric; to be shown beside the mean only."""
        return max(self.values, default=None)


def over_seeds(
    part: pd.DataFrame, split: Split, metric: str = "", *, gaps: bool = False, repeats: bool = False
) -> SeedGroup:
    """Cells that differ in their seed only, with their metric on a split.

    Args:
        metric: another than the primary one.
        gaps: whether a finished cell may lack the metric; its seed is lost then.
        repeats: whether a seed may come twice with the same metric, which counts once; the cell that has a metric
            stands for a seed whose other cells have none.

    Raises:
        DataError: seeds come twice, or a finished cell lacks its metric, where that is not allowed.
    """
    row, column = part.iloc[0], f"{split}:{metric or first_name(part, 'metric')}"
    where = f"{row['model']} on {row['dataset']}, variant {row['variant']}"
    part = part.assign(value=part[column].where(part["state"] == "finished") if column in part else math.nan)
    if repeats:
        part = _each_seed_once(part, where)
    elif part["seed"].duplicated().any():
        raise DataError(
            f"{where}: two cells of one setting have the same seed, so that it is open which of them counts",
            hint="name what differs between them with --set, so that it becomes a column of the results",
        )
    finished, measured = part[part["state"] == "finished"], part[part["value"].notna()]
    if len(measured) < len(finished) and not gaps:
        raise DataError(f"{where}: a finished cell lacks its metric", column=column)
    return SeedGroup(
        weights={name: row[name] for name in guides_in(part)},
        learning_rate=float(row["learning_rate"]),
        metrics=tuple(zip(_seeds(measured), measured["value"].tolist(), strict=True)),
        collapsed=_seeds(part[part["collapsed"] == 1]),
        diverged=_seeds(part[part["diverged"] != 0]),
        failed=_seeds(part[part["state"] == "failed"]),
        pending=_seeds(part[part["state"] == "pending"]),
        lost=tuple(_why_lost(lost) for _, lost in part[part["value"].isna()].iterrows()),
        fingerprints=tuple(zip(_seeds(finished), finished["cell"], strict=True)) if "cell" in finished else (),
    )


def _each_seed_once(part: pd.DataFrame, where: str) -> pd.DataFrame:
    """The first cell of each seed, of those with a metric if there are any."""
    values = part.groupby("seed")["value"].nunique()
    for seed in values.index[values > 1]:
        raise DataError(
            f"{where}, seed {seed:g}: two cells that differ in no column which a picture shows have different figures",
            hint="draw the parts of the table that differ in other columns one at a time",
        )
    chosen = part.sort_values("value", key=lambda value: value.isna(), kind="stable").drop_duplicates("seed")
    return part.loc[part.index.isin(chosen.index)]


def _why_lost(cell: pd.Series[Any]) -> str:
    state = "not measured" if cell["state"] == "finished" else SHORTFALLS[cell["state"]]
    return f"{state}: {cell['reason']}" if cell["reason"] else state


def _seeds(part: pd.DataFrame) -> tuple[int, ...]:
    return tuple(int(seed) for seed in part["seed"])
