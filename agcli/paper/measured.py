"""Measured results as the paper's tables need them: settings as text, one spelling for each, and how cells stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from agcli.errors import DataError
from agcli.paper.names import row_names
from agcli.paper.printed import EPOCH

CHOSEN = ("mdg", "pdg", "learning_rate")
"""Settings that a search chooses; runs that differ in one of them are never averaged."""
SETTINGS = ("guide_mode", "layers", "size", *CHOSEN)
TIMED_SETTINGS = ("arm", "attention", "length", "padding", "batch_size", "precision")
ASKED = "asked_model"
"""The model as it was asked for; `model` is its short name where it has one."""
ALL_SETTINGS = (ASKED, *SETTINGS, *TIMED_SETTINGS)


def reported(results: pd.DataFrame) -> pd.DataFrame:
    """The cells of a sweep that are reported; a data set is known by its folder's name, a model by its short name.

    A cell that did not finish names no metric: it gets that of its data set.

    Raises:
        DataError: a column is missing.
    """
    needed = ("model", "dataset", "variant", "role", "state", "diverged", "seed", "metric", *SETTINGS)
    _check_columns(results, needed)
    runs = results[results["role"].isin(("report", "single"))].copy()
    for column in (*needed, *axes(results)):
        runs[column] = [text(value) for value in runs[column]]
    runs["dataset"] = [Path(name).name for name in runs["dataset"]]
    runs[ASKED], names = runs["model"], row_names(runs["model"])
    runs["model"] = [names[model] for model in runs["model"]]
    known = {dataset: metric for dataset, metric in zip(runs["dataset"], runs["metric"], strict=True) if metric}
    runs["metric"] = [known.get(dataset, "accuracy") for dataset in runs["dataset"]]
    return runs


def matched(contrasts: Sequence[Mapping[str, Any]], runs: pd.DataFrame) -> list[dict[str, Any]]:
    """Contrasts with models and data sets spelt as in the runs."""
    names = dict(zip(runs[ASKED], runs["model"], strict=True))
    return [
        {**row, "model": names.get(str(row["model"]), row["model"]), "dataset": Path(str(row["dataset"])).name}
        for row in contrasts
    ]


def unreported(results: pd.DataFrame) -> Iterator[str]:
    """Settings that have cells to choose weights with, and none that is reported: a table would pass over them."""
    names = ["model", "dataset", "variant"]
    done = {tuple(row) for row in results.loc[results["role"] != "select", names].to_numpy()}
    for row in results.loc[results["role"] == "select", names].drop_duplicates().to_numpy():
        if tuple(row) not in done:
            yield f"{', '.join(row)}: nothing is reported yet; its settings are still being chosen, or none could be."


def timed(results: pd.DataFrame) -> pd.DataFrame:
    """Rows of `ag timing` in the form of a sweep's: seconds of an epoch as the one metric, no seeds.

    Raises:
        DataError: a column is missing.
    """
    _check_columns(results, ("model", "variant", "data", EPOCH, *TIMED_SETTINGS))
    names = row_names(results["model"])
    return pd.DataFrame(
        {
            **{name: [text(value) for value in results[name]] for name in TIMED_SETTINGS},
            **{
                "model": [names[model] for model in results["model"]],
                ASKED: results["model"],
                "dataset": results["data"],
                "variant": results["variant"],
            },
            **{"state": "finished", "diverged": "0", "seed": "", "metric": EPOCH, f"test:{EPOCH}": results[EPOCH]},
        }
    )


def text(value: Any) -> str:
    """One spelling for `0.10`, `0.1` and 0.1, for `7` and 7.0; empty for what is missing."""
    if pd.isna(value) or value == "":
        return ""
    try:
        return f"{float(str(value)):.10g}"
    except ValueError:
        return str(value)


def axes(results: pd.DataFrame) -> list[str]:
    """Columns of options that somebody varied."""
    return [str(name) for name in results if str(name).startswith("set:")]


def told_apart_by(runs: pd.DataFrame, keys: Sequence[str]) -> list[str]:
    """Settings in which runs differ that agree in `keys`: averaged they would say nothing.

    Axes that somebody asked for come first: weights that a search chose for each of their values need no word then.
    """
    apart: list[str] = []
    for name in (*axes(runs), *ALL_SETTINGS):
        if name in runs and name not in keys and (runs.groupby([*keys, *apart])[name].nunique() > 1).any():
            apart.append(name)
    return apart


def values_of(part: pd.DataFrame, metric: str) -> list[float]:
    """The metric on test of every cell that finished, those that collapsed to one class too.

    Raises:
        DataError: cells of one setting share a seed, so that one of them would count twice.
    """
    seeds = part["seed"][part["seed"] != ""]
    if seeds.duplicated().any():
        where = ", ".join(str(part[name].iloc[0]) for name in ("model", "dataset", "variant"))
        raise DataError(f"{where}: two cells of one setting have the same seed; what differs between them?")
    column = f"test:{metric}"
    finished = part[part["state"] == "finished"]
    return [] if column not in part else pd.to_numeric(finished[column]).dropna().tolist()


def shortfalls(part: pd.DataFrame) -> Iterator[str]:
    """What is to be said of the cells behind a number: those that failed, collapsed, or have not run."""
    planned, states = len(part), part["state"]
    # Results without a column `collapsed` count what collapsed as diverged, which no cell that finished can have.
    collapsed = part.get("collapsed", part["diverged"]).map(text) == "1"
    for count, what in (
        ((states == "failed").sum(), "that failed, without a number"),
        ((collapsed & (states == "finished")).sum(), "that collapsed to one class, kept in the mean"),
        ((states == "pending").sum(), "not run yet"),
    ):
        if count:
            yield f"seeds {what}: {count} of {planned}"
    if (states == "finished").any() and not values_of(part, part["metric"].iloc[0]):
        yield "no number on test"


def _check_columns(results: pd.DataFrame, needed: Sequence[str]) -> None:
    missing = [name for name in needed if name not in results]
    if missing:
        raise DataError(f"these are no results that can be laid out: no column {', '.join(missing)}")
