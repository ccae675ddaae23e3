"""The runs behind the numbers of a table, under the paper's names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from agcli.paper.published import short_name
from agcli.sweep.results import GUIDING, choice, reported, spelled

EPOCH = "epoch_seconds"
REQUESTED = "asked_model"
"""The model as it was requested; `model` is its short name where it has one."""
TIMING_SETTINGS = (REQUESTED, "arm", "attention", "length", "padding", "batch_size", "precision")


def sweep_settings(runs: pd.DataFrame) -> tuple[str, ...]:
    """Columns of a sweep's runs in which those behind one number may differ."""
    return (REQUESTED, *GUIDING, "size", *choice(runs))


def sweep_runs(results: pd.DataFrame) -> pd.DataFrame:
    """The reported cells of a checked table of results, with weights and learning rates as text.

    A data set goes by its folder's name, a model by its short name.
    """
    runs = reported(results).copy()
    for name in choice(runs):
        runs[name] = runs[name].map(spelled).astype(object)
    runs["dataset"] = [Path(name).name for name in runs["dataset"]]
    runs[REQUESTED] = runs["model"]
    runs["model"] = runs["model"].map(_short_names(runs["model"]))
    runs["metric"] = runs["metric"].replace("", "accuracy")  # where no cell has finished
    return runs


def timing_runs(results: pd.DataFrame) -> pd.DataFrame:
    """Rows of `ag timing` in the form of a sweep's: seconds of an epoch as the one metric, no seeds."""
    runs = pd.DataFrame({name: results[name].map(spelled) for name in TIMING_SETTINGS if name != REQUESTED})
    runs["model"] = results["model"].map(_short_names(results["model"]))
    runs[REQUESTED], runs["dataset"], runs["variant"] = results["model"], results["data"], results["variant"]
    runs[f"test:{EPOCH}"] = results[EPOCH]
    runs["seed"] = range(len(runs))
    zeros = dict.fromkeys(("learning_rate", "collapsed", "diverged"), 0.0)
    return runs.assign(state="finished", reason="", metric=EPOCH, **zeros)


def _short_names(models: Iterable[str]) -> dict[str, str]:
    """Model as requested -> its short name.

    Where several are one encoder, one has the name and the others stay as they are: rows are never merged.
    """
    names: dict[str, str] = {}
    for model in sorted(dict.fromkeys(models), key=lambda each: short_name(each) != each):  # short names come first
        name = short_name(model)
        names[model] = model if name in names.values() else name
    return names


def with_short_names(comparisons: Sequence[Mapping[str, Any]], runs: pd.DataFrame) -> list[dict[str, Any]]:
    """Comparisons with models and data sets named as in the runs."""
    names = dict(zip(runs[REQUESTED], runs["model"], strict=True))
    return [
        {**row, "model": names.get(str(row["model"]), row["model"]), "dataset": Path(str(row["dataset"])).name}
        for row in comparisons
    ]


def unreported(results: pd.DataFrame) -> Iterator[str]:
    """Lines on settings that have cells to choose weights with, and none that is reported."""
    names = ["model", "dataset", "variant"]
    shown = set(reported(results)[names].itertuples(index=False, name=None))
    for row in results.loc[results["role"] == "select", names].drop_duplicates().itertuples(index=False, name=None):
        if row not in shown:
            yield f"{', '.join(row)}: nothing is reported yet; its settings are still being chosen, or none could be."
