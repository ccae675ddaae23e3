"""The winner of each grid search, chosen on dev over the selecting seeds; other seeds are reported of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from agcli.errors import DataError, counted
from agcli.guides.variants import weight_order
from agcli.sweep.results import GUIDING, choice, first_name, groups, results_of
from agcli.sweep.seed_groups import SeedGroup, Setting, over_seeds, setting_of

DECIMALS = 12
"""Means are a tie at so many equal decimals: sums of the same accuracies in another order differ in their last bits."""


@dataclass(frozen=True)
class Winner:
    """The best trial of a grid search.

    Attributes:
        chosen: None where every trial lacks a seed.
        trials: all that were tried, the winner included, in the order of the results.
        tied: number of other trials with the winner's mean.
        out: number of trials that could not win because a seed failed or has not run.
        unguided_trials: how many trials the unguided baseline of this setting had; None where that is not known.
    """

    setting: Setting
    variant: str
    metric: str
    chosen: SeedGroup | None
    trials: tuple[SeedGroup, ...]
    tied: int
    out: int
    unguided_trials: int | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """Cautions about the choice: no winner, trials that were out, a baseline that had fewer trials."""
        count, notes = len(self.trials), []
        if self.chosen is None:
            notes.append(f"{self.variant} has no winner: every trial lacks a seed.")
        elif self.out:
            notes.append(f"{self.out} of {count} trials of {self.variant} could not win: a seed failed or has not run.")
        if self.unguided_trials is not None and self.unguided_trials < count:
            notes.append(
                f"The unguided baseline had {counted(self.unguided_trials, 'trial')}, {self.variant} had {count}."
            )
        return tuple(notes)


def winners(results: pd.DataFrame) -> list[Winner]:
    """The winner of every grid search among the `select` cells: one for each setting and variant, `none` included.

    Raises:
        DataError: as `winner`, or a column is missing.
    """
    table = results_of(results)
    tried = table[table["role"] == "select"]
    chosen = [winner(part) for part in groups(tried, *GUIDING, "variant")]
    # guide_mode and layers have no effect on the unguided baseline of a setting
    settings = [replace(row.setting, guide_mode="", layers="") for row in chosen]
    unguided = {
        setting: len(row.trials) for setting, row in zip(settings, chosen, strict=True) if row.variant == "none"
    }
    return [
        replace(row, unguided_trials=unguided.get(setting, 0)) for setting, row in zip(settings, chosen, strict=True)
    ]


def winner(results: pd.DataFrame) -> Winner:
    """The trial of one grid search (one setting, one variant) with the best mean on dev over its `select` seeds.

    Ties go to the weaker guides (the smaller sum of weights, then the smaller weights in the order of the guides), then
    to the lower learning rate. A trial with a seed that failed is out: its mean would be over the seeds that happened
    to go well.

    Raises:
        DataError: the `select` cells are of several grids or there is none; or a finished one lacks its dev metric.
    """
    table = results_of(results)
    table = table[table["role"] == "select"]
    if len(list(groups(table, *GUIDING, "variant"))) != 1:
        raise DataError(
            "a winner is chosen among the `select` cells of one setting and one variant, which these are not"
        )
    trials = tuple(over_seeds(part, "dev") for part in groups(table, *choice(table)))
    seeds = set(table["seed"])
    ranked = sorted((trial for trial in trials if {seed for seed, _ in trial.metrics} == seeds), key=_rank)
    return Winner(
        setting=setting_of(table),
        variant=str(table["variant"].iloc[0]),
        metric=first_name(table, "metric"),
        chosen=ranked[0] if ranked else None,
        trials=trials,
        tied=sum(_rank(trial)[0] == _rank(ranked[0])[0] for trial in ranked[1:]),
        out=len(trials) - len(ranked),
    )


def _rank(trial: SeedGroup) -> tuple[float, ...]:
    """Sort key of trials, the best first."""
    mean = sum(trial.values) / len(trial.values)
    weights = [weight_order(weight)[1] for weight in trial.weights.values()]
    return (-round(mean, DECIMALS), round(sum(weights), DECIMALS), *weights, trial.learning_rate)
