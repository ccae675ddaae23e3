"""The one reader of a sweep's results: `results.csv`, or rows in memory, as a checked table.

In the checked table empty text is "" and an empty number NaN, equal numbers have one spelling, every guide that a row
has, and those that a run has by default, have a column of weights (`guides.variants.Weight`), and every row names the
primary metric of its data set.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from agcli.errors import DataError
from agcli.guides.registry import GUIDES
from agcli.guides.variants import Weight, read_weight, stated_guides

Split = Literal["dev", "test"]
PLACE = ("model", "dataset", "size")
GUIDING = ("guide_mode", "layers")
"""Settings that have no effect on an unguided cell."""
STATES = ("finished", "failed", "pending")

_TEXT = (*PLACE, *GUIDING, "variant", "role", "state")
_ADDED_TEXT = ("metric", "baseline", "reason")
"""Columns that older results lack."""
_NUMBERS = ("learning_rate", "seed", "diverged")


def read_results(path: Path) -> pd.DataFrame:
    """The checked table of a sweep's `results.csv`.

    Raises:
        DataError: it is missing or no CSV file, or as `results_of`.
    """
    try:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise DataError(f"not the results of a sweep ({error})", file=path) from None
    return results_of(rows)


def results_of(rows: pd.DataFrame | Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The checked table of rows, whose values may be text as in a CSV file; a checked table stays as it is.

    A guide without a column has weight 0. A row without the name of its metric, as of a cell that did not finish, takes
    that of its data set. Results without a column `collapsed` count cells that collapsed to one class as diverged,
    which no cell that finished can be.

    Raises:
        DataError: a column is missing, a number is none, a state is unknown, or a data set has two primary metrics.
    """
    table = pd.DataFrame(rows).copy()
    missing = [name for name in (*_TEXT, *_NUMBERS) if name not in table]
    if missing:
        raise DataError(f"not the results of a sweep: no column {', '.join(missing)}")
    for name in (*_TEXT, *_ADDED_TEXT):
        table[name] = [_text(value) for value in table[name]] if name in table else ""
    for name in ("size", "layers", *axes(table)):  # shares beside counts, indices beside `all` become fractions
        table[name] = [spelled(value) for value in table[name]]
    for name in (*_NUMBERS, *_columns(table, "collapsed", "dev:", "test:")):
        table[name] = [_number(value, name) for value in table[name]]
    for name in stated_guides(name for name in GUIDES if name in table):
        table[name] = [_weight(value, name) for value in table[name]] if name in table else 0.0
    _check_values(table)
    table["metric"] = table["dataset"].map(_primary_metrics(table))
    table = table.fillna({"diverged": 0.0, "collapsed": 0.0})
    if "collapsed" not in table:
        table["collapsed"] = table["diverged"].where(table["state"] == "finished", 0.0)
        table["diverged"] -= table["collapsed"]
    return table


def spelled(value: Any) -> str:
    """One spelling for `0.10`, `0.1` and 0.1, for `7` and 7.0; empty for what is missing."""
    text = _text(value)
    try:
        return f"{float(text):.10g}"
    except ValueError:
        return text


def _text(value: Any) -> str:
    return "" if pd.isna(value) else str(value)


def _number(value: Any, column: str) -> float:
    try:
        return math.nan if value is None or value == "" else float(value)
    except ValueError:
        raise DataError("the results hold what is no number", column=column, value=value) from None


def _weight(value: Any, guide: str) -> Weight:
    """A number, 0 where it is missing, or text such as `share:0.05`."""
    if (isinstance(value, str) and "," in value) or str(value).startswith("share:"):
        try:
            return read_weight(guide, value)
        except ValueError as error:
            raise DataError(f"the results hold what is no weight ({error})", column=guide, value=value) from None
    number = _number(value, guide)
    return 0.0 if math.isnan(number) else number


def _check_values(table: pd.DataFrame) -> None:
    wrong_seeds = [seed for seed in table["seed"] if not 0 <= seed < math.inf]
    if wrong_seeds:
        raise DataError("a cell's seed is no number from 0", column="seed", value=wrong_seeds[0])
    wrong_sizes = [size for size in table["size"] if not 0 < _number(size, "size") < math.inf]
    if wrong_sizes:
        raise DataError("a cell's training size is no number above 0", column="size", value=wrong_sizes[0])
    unknown = sorted(set(table["state"]) - set(STATES))
    if unknown:
        raise DataError("no state of a cell", column="state", value=unknown, allowed=STATES)


def _primary_metrics(table: pd.DataFrame) -> dict[str, str]:
    """Data set -> its primary metric; "" where none of its cells has finished."""
    metrics = dict.fromkeys(table["dataset"], "")
    for dataset, metric in zip(table["dataset"], table["metric"], strict=True):
        if metric and metrics[dataset] not in ("", metric):
            raise DataError(f"{dataset} has two primary metrics, {metrics[dataset]} and {metric}", column="metric")
        metrics[dataset] = metric or metrics[dataset]
    return metrics


def axes(table: pd.DataFrame) -> list[str]:
    """The columns of further options that the sweep varies: `set:dropout`."""
    return _columns(table, "set:")


def _columns(table: pd.DataFrame, *starts: str) -> list[str]:
    return [name for name in map(str, table) if name.startswith(starts)]


def reported(table: pd.DataFrame) -> pd.DataFrame:
    """The cells whose metrics are reported: all but those that choose settings."""
    return table[table["role"] != "select"]


def first_name(table: pd.DataFrame, column: Literal["metric", "baseline"]) -> str:
    """The primary metric, or the baseline that costs no training (`majority class`); only finished cells name them."""
    return next((name for name in table[column] if name), "")


def split_of(table: pd.DataFrame, dataset: str) -> Split | None:
    """The split that data are reported on: test, else dev; None as long as no cell of them has finished."""
    finished = reported(table[(table["dataset"] == dataset) & (table["state"] == "finished")])
    if finished.empty:
        return None
    column = f"test:{first_name(finished, 'metric')}"
    return "test" if column in finished and finished[column].notna().any() else "dev"


def guides_in(table: pd.DataFrame) -> list[str]:
    """The guides that a checked table has a column of."""
    return [name for name in GUIDES if name in table]


def choice(table: pd.DataFrame) -> list[str]:
    """The settings that a grid search chooses."""
    return [*guides_in(table), "learning_rate"]


def weights_of(table: pd.DataFrame) -> dict[str, Weight] | None:
    """Guide -> weight, where all rows have the same ones; None where they differ, as where a search chose them."""
    weights = table[guides_in(table)].drop_duplicates()
    return {name: weights[name].iloc[0] for name in guides_in(weights)} if len(weights) == 1 else None


def groups(table: pd.DataFrame, *columns: str) -> Iterator[pd.DataFrame]:
    """Rows that agree in model, data, size, further axes and these columns, in order of appearance."""
    for _, part in table.groupby([*PLACE, *axes(table), *columns], sort=False, dropna=False):
        yield part


def differing(table: pd.DataFrame, keys: Sequence[str], settings: Sequence[str] | None = None) -> list[str]:
    """Axes, and then settings, in which rows differ that agree in `keys`, and in those named before.

    Settings are those of guiding and of a grid search, where none are named. Axes come first: weights that a search
    chose for each of their values need no mention then.
    """
    apart: list[str] = []
    settings = (*GUIDING, *choice(table)) if settings is None else settings
    for name in (*axes(table), *settings):
        known = name in table and name not in keys
        if known and (table.groupby([*keys, *apart], dropna=False)[name].nunique() > 1).any():
            apart.append(name)
    return apart
