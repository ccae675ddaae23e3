"""The runs behind the numbers of a table, under the names that the tables use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from agcli.guides.registry import GUIDES
from agcli.paper.encoders import short_names
from agcli.sweep.results import CHOICE, GUIDING, reported, spelled
from agcli.sweep.seed_groups import SeedGroup, over_seeds

EPOCH = "epoch_seconds"
ASKED = "asked_model"
"""The model as it was asked for; `model` is its short name where it has one."""
SWEEP_SETTINGS = (ASKED, *GUIDING, "size", *CHOICE)
TIMING_SETTINGS = (ASKED, "arm", "attention", "length", "padding", "batch_size", "precision")


def sweep_runs(results: pd.DataFrame) -> pd.DataFrame:
    """The reported cells of a checked table of results, with weights and learning rates as text.

    A data set goes by its folder's name, a model by its short name.
    """
    runs = reported(results).copy()
    for name in CHOICE:
        runs[name] = runs[name].map(spelled).astype(object)
    runs["dataset"] = [Path(name).name for name in runs["dataset"]]
    runs[ASKED] = runs["model"]
    runs["model"] = runs["model"].map(short_names(runs["model"]))
    runs["metric"] = runs["metric"].replace("", "accuracy")  # where no cell has finished
    return runs


def timing_runs(results: pd.DataFrame) -> pd.DataFrame:
    """Rows of `ag timing` in the form of a sweep's: seconds of an epoch as the one metric, no seeds."""
    runs = pd.DataFrame({name: results[name].map(spelled) for name in TIMING_SETTINGS if name != ASKED})
    runs["model"] = results["model"].map(short_names(results["model"]))
    runs[ASKED], runs["dataset"], runs["variant"] = results["model"], results["data"], results["variant"]
    runs[f"test:{EPOCH}"] = results[EPOCH]
    runs["seed"] = range(len(runs))
    no_guide = dict.fromkeys((*GUIDES, "learning_rate", "collapsed", "diverged"), 0.0)
    return runs.assign(state="finished", reason="", metric=EPOCH, **no_guide)


def group_of(part: pd.DataFrame, metric: str) -> SeedGroup:
    """The runs behind one number, with their metric on test.

    Raises:
        DataError: two have the same seed.
    """
    return over_seeds(part, "test", metric, gaps=True)


def shortfalls(part: pd.DataFrame) -> Iterator[str]:
    """Which of the runs behind a number failed, collapsed, or have not run."""
    group = group_of(part, part["metric"].iloc[0])
    for seeds, what in (
        (group.failed, "that failed, without a number"),
        (group.collapsed, "that collapsed to one class, kept in the mean"),
        (group.pending, "not run yet"),
    ):
        if seeds:
            yield f"seeds {what}: {len(seeds)} of {len(part)}"
    if (part["state"] == "finished").any() and not group.metrics:
        yield "no number on test"


def with_short_names(comparisons: Sequence[Mapping[str, Any]], runs: pd.DataFrame) -> list[dict[str, Any]]:
    """Comparisons with models and data sets named as in the runs."""
    names = dict(zip(runs[ASKED], runs["model"], strict=True))
    return [
        {**row, "model": names.get(str(row["model"]), row["model"]), "dataset": Path(str(row["dataset"])).name}
        for row in comparisons
    ]


def unreported(results: pd.DataFrame) -> Iterator[str]:
    """Settings that have cells to choose weights with, and none that is reported: the table does not show them."""
    names = ["model", "dataset", "variant"]
    shown = set(reported(results)[names].itertuples(index=False, name=None))
    for row in results.loc[results["role"] == "select", names].drop_duplicates().itertuples(index=False, name=None):
        if row not in shown:
            yield f"{', '.join(row)}: nothing is reported yet; its settings are still being chosen, or none could be."
