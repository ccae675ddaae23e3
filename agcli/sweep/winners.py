"""The winner of each grid search, chosen on dev over the selecting seeds; other seeds are reported of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from agcli.errors import DataError, counted
from agcli.sweep.results import CHOICE, GUIDING, first_name, groups, results_of
from agcli.sweep.seed_groups import SeedGroup, Setting, over_seeds, setting_of

# Sums of the same accuracies in another order differ in their last bits: means are a tie at 12 equal decimals.
DECIMALS = 12


@dataclass(frozen=True)
class Winner:
    """The best trial of a grid search.

    Attributes:
        metric: the primary metric, here on dev.
        chosen: the winner; None where every trial lacks a seed.
        trials: all that were tried, the winner included, in the order of the results.
        tied: other trials with the winner's mean.
        out: trials that could not win because a seed failed or has not run.
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
    unguided = {_unguided_setting(row): len(row.trials) for row in chosen if row.variant == "none"}
    return [replace(row, unguided_trials=unguided.get(_unguided_setting(row), 0)) for row in chosen]


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
    trials = tuple(over_seeds(part, "dev") for part in groups(table, *CHOICE))
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
    """What trials are sorted by, the best first."""
    mean, weights = sum(trial.values) / len(trial.values), trial.weights.values()
    return (-round(mean, DECIMALS), round(sum(weights), DECIMALS), *weights, trial.learning_rate)


def _unguided_setting(row: Winner) -> Setting:
    """The setting without what only guided cells heed, which the unguided baseline shares."""
    return replace(row.setting, guide_mode="", layers="")
