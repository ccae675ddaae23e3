"""The rows of a sweep's results as tests read them: settings, and the cells of a setting over seeds.

Only the primary metric of each data set counts, which the column `metric` names.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from agcli.errors import DataError
from agcli.measures.seeds import Summary, summary

PLACE = ("model", "dataset", "size")
GUIDING = ("guide_mode", "layers")
"""Settings that only a guided run heeds."""
CHOICE = ("mdg", "pdg", "learning_rate")
"""Settings that a grid chooses."""
STATES = ("finished", "failed", "pending")


@dataclass(frozen=True)
class Setting:
    """What the two arms of a contrast, or the trials of a grid, have in common.

    Attributes:
        model: the encoder.
        dataset: the data.
        size: training examples: a share up to 1.0, or their number.
        guide_mode: the arithmetic of the guides.
        layers: guided layers.
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


@dataclass(frozen=True)
class Cells:
    """The cells of one setting, which differ in their seed only.

    A seed that collapsed to one class has a metric and takes part everywhere: leaving it out would flatter the arm.

    Attributes:
        mdg: weight of MDG.
        pdg: weight of PDG.
        learning_rate: the peak.
        metrics: (seed, primary metric) of the cells that finished.
        collapsed: seeds whose answers to all dev examples are one and the same class.
        diverged: seeds that failed because numbers ceased to be finite in training.
        failed: seeds without a metric because the run failed.
        pending: seeds that have not run.
        marks: (seed, fingerprint) of the finished cells, where the table has fingerprints.
    """

    mdg: float
    pdg: float
    learning_rate: float
    metrics: tuple[tuple[int, float], ...]
    collapsed: tuple[int, ...]
    diverged: tuple[int, ...]
    failed: tuple[int, ...]
    pending: tuple[int, ...]
    marks: tuple[tuple[int, str], ...] = ()

    @property
    def summary(self) -> Summary | None:
        """The metric over all seeds that finished; None where there is none."""
        return summary([value for _, value in self.metrics]) if self.metrics else None

    @property
    def best(self) -> float | None:
        """The best seed's metric; to be shown beside the mean only."""
        return max((value for _, value in self.metrics), default=None)


def read_results(path: Path) -> pd.DataFrame:
    """The rows of a sweep's `results.csv`, all as text.

    Raises:
        DataError: it is missing or no CSV file.
    """
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise DataError(f"not the results of a sweep ({error})", file=path) from None


def checked(results: pd.DataFrame) -> pd.DataFrame:
    """The table with text as text ("" where empty) and numbers as numbers (NaN where empty).

    A row without the name of its metric, as of a cell that did not finish, takes that of its data set. Results without
    a column `collapsed` count cells that collapsed to one class as diverged, which no cell that finished can have.

    Raises:
        DataError: a column is missing, a number is none, a state is unknown, or a data set has two primary metrics.
    """
    table = results.assign(**{name: "" for name in ("metric", "baseline") if name not in results})
    text = [*PLACE, *GUIDING, "variant", "role", "state", "metric", "baseline", *axes(table)]
    numbers = [*CHOICE, "seed", "diverged", *_columns(table, "collapsed", "dev:", "test:")]
    missing = [name for name in (*text, *numbers) if name not in table]
    if missing:
        raise DataError(f"not the results of a sweep: no column {', '.join(missing)}")
    for name in text:
        table[name] = ["" if pd.isna(value) else str(value) for value in table[name]]
    for name in numbers:
        table[name] = [_number(value, name) for value in table[name]]
    wrong = [value for value in table["seed"] if not 0 <= value < math.inf]
    if wrong:
        raise DataError("a cell's seed is no number from 0", column="seed", value=wrong[0])
    wrong_sizes = [text for text in table["size"] if not 0 < _number(text, "size") < math.inf]
    if wrong_sizes:
        raise DataError("a cell's training size is no number above 0", column="size", value=wrong_sizes[0])
    unknown = sorted(set(table["state"]) - set(STATES))
    if unknown:
        raise DataError("no state of a cell", column="state", value=unknown, allowed=STATES)
    # Shares and numbers in one column become 0.2 and 1500.0; indices beside `all` or a gap become 3.0.
    table["size"] = [text if _number(text, "size") <= 1 else f"{float(text):.0f}" for text in table["size"]]
    table["layers"] = [text.removesuffix(".0") for text in table["layers"]]
    table["metric"] = table["dataset"].map(_primary_metrics(table))
    table = table.fillna({"mdg": 0.0, "pdg": 0.0, "diverged": 0.0})
    if "collapsed" not in table:
        table["collapsed"] = table["diverged"].where(table["state"] == "finished", 0.0)
        table["diverged"] -= table["collapsed"]
    return table


def _number(value: Any, column: str) -> float:
    try:
        return float("nan") if value is None or value == "" else float(value)
    except ValueError:
        raise DataError("the results hold what is no number", column=column, value=value) from None


def _primary_metrics(table: pd.DataFrame) -> dict[str, str]:
    """Data set -> its primary metric; "" where none of its cells has finished."""
    found = dict.fromkeys(table["dataset"], "")
    for dataset, metric in zip(table["dataset"], table["metric"], strict=True):
        if metric and found[dataset] not in ("", metric):
            raise DataError(f"{dataset} has two primary metrics, {found[dataset]} and {metric}", column="metric")
        found[dataset] = metric or found[dataset]
    return found


def axes(table: pd.DataFrame) -> list[str]:
    """The columns of further axes."""
    return _columns(table, "set:")


def _columns(table: pd.DataFrame, *starts: str) -> list[str]:
    return [name for name in map(str, table) if name.startswith(starts)]


def groups(table: pd.DataFrame, *columns: str) -> Iterator[pd.DataFrame]:
    """Rows that agree in model, data, size, further axes and these columns, in order of appearance."""
    for _, part in table.groupby([*PLACE, *axes(table), *columns], sort=False, dropna=False):
        yield part


def split_of(table: pd.DataFrame, dataset: str) -> str:
    """The split that data are reported on: `test`, else `dev`; "" as long as no cell of them has finished."""
    finished = table[(table["dataset"] == dataset) & (table["state"] == "finished") & (table["role"] != "select")]
    if not len(finished):
        return ""
    column = f"test:{finished['metric'].iloc[0]}"
    return "test" if column in finished and finished[column].notna().any() else "dev"


def setting_of(part: pd.DataFrame) -> Setting:
    """What the rows of a group have in common."""
    row = part.iloc[0]
    return Setting(
        **{name: str(row[name]) for name in (*PLACE, *GUIDING)},
        options=tuple((name.removeprefix("set:"), str(row[name])) for name in axes(part)),
    )


def cells_of(part: pd.DataFrame, split: str) -> Cells:
    """Cells that differ in their seed, with their metric on `dev` or `test`.

    Raises:
        DataError: two have the same seed, or a finished one lacks its metric.
    """
    row = part.iloc[0]
    where = f"{row['model']} on {row['dataset']}, variant {row['variant']}"
    if part["seed"].duplicated().any():
        raise DataError(
            f"{where}: two cells of one setting have the same seed, so that it is open which of them counts",
            hint="name what differs between them with --set, so that it becomes a column of the results",
        )
    finished, column = part[part["state"] == "finished"], f"{split}:{row['metric']}"
    if len(finished) and (column not in part or finished[column].isna().any()):
        raise DataError(f"{where}: a finished cell lacks its metric", column=column)
    metrics = zip(_seeds(finished), finished[column].tolist(), strict=True) if len(finished) else ()
    return Cells(
        mdg=float(row["mdg"]),
        pdg=float(row["pdg"]),
        learning_rate=float(row["learning_rate"]),
        metrics=tuple(metrics),
        collapsed=_seeds(part[part["collapsed"] == 1]),
        diverged=_seeds(part[part["diverged"] != 0]),
        failed=_seeds(part[part["state"] == "failed"]),
        pending=_seeds(part[part["state"] == "pending"]),
        marks=tuple(zip(_seeds(finished), finished["cell"], strict=True)) if "cell" in finished else (),
    )


def _seeds(part: pd.DataFrame) -> tuple[int, ...]:
    return tuple(int(seed) for seed in part["seed"])
