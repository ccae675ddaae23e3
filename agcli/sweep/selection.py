"""The winner of each grid, chosen on dev over the seeds that select; what is reported of it comes from other seeds."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from agcli.errors import DataError, counted
from agcli.sweep.table import CHOICE, GUIDING, Cells, Setting, cells_of, checked, groups, setting_of

# Sums of the same accuracies in another order differ in their last bits: means are a tie at 12 equal decimals.
DECIMALS = 12


@dataclass(frozen=True)
class Winner:
    """What won a grid.

    Attributes:
        setting: where it was chosen.
        variant: none, mdg, pdg or both.
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
    chosen: Cells | None
    trials: tuple[Cells, ...]
    tied: int
    out: int
    unguided_trials: int | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What must be said of the choice: no winner, trials that were out, a baseline that had fewer trials."""
        count, said = len(self.trials), []
        if self.chosen is None:
            said.append(f"{self.variant} has no winner: every trial lacks a seed.")
        elif self.out:
            said.append(f"{self.out} of {count} trials of {self.variant} could not win: a seed failed or has not run.")
        if self.unguided_trials is not None and self.unguided_trials < count:
            said.append(
                f"The unguided baseline had {counted(self.unguided_trials, 'trial')}, {self.variant} had {count}."
            )
        return tuple(said)


def winners(results: pd.DataFrame) -> list[Winner]:
    """The winner of every grid among the `select` cells: one for each setting and variant, the unguided one included.

    Raises:
        DataError: as `winner`, or a column is missing.
    """
    table = checked(results)
    tried = table[table["role"] == "select"]
    found = [winner(part) for part in groups(tried, *GUIDING, "variant")]
    unguided = {_compared_with(each): len(each.trials) for each in found if each.variant == "none"}
    return [replace(each, unguided_trials=unguided.get(_compared_with(each), 0)) for each in found]


def winner(results: pd.DataFrame) -> Winner:
    """The trial of one grid (one setting, one variant) with the best mean on dev over its `select` seeds.

    Ties go to the weaker guide (the smaller sum of weights, then the smaller weight of MDG), then to the lower learning
    rate. A trial with a seed that failed is out: its mean would be over the seeds that happened to go well.

    Raises:
        DataError: the `select` cells are of several grids or there is none; or a finished one lacks its dev metric.
    """
    table = checked(results)
    table = table[table["role"] == "select"]
    if len(list(groups(table, *GUIDING, "variant"))) != 1:
        raise DataError(
            "a winner is chosen among the `select` cells of one setting and one variant, which these are not"
        )
    trials = tuple(cells_of(part, "dev") for part in groups(table, *CHOICE))
    seeds = set(table["seed"])
    ranked = sorted((cells for cells in trials if {seed for seed, _ in cells.metrics} == seeds), key=_rank)
    return Winner(
        setting=setting_of(table),
        variant=str(table["variant"].iloc[0]),
        metric=str(table["metric"].iloc[0]),
        chosen=ranked[0] if ranked else None,
        trials=trials,
        tied=sum(_rank(cells)[0] == _rank(ranked[0])[0] for cells in ranked[1:]),
        out=len(trials) - len(ranked),
    )


def _rank(cells: Cells) -> tuple[float, ...]:
    """What trials are sorted by, the best first."""
    mean = sum(value for _, value in cells.metrics) / len(cells.metrics)
    return (-round(mean, DECIMALS), round(cells.mdg + cells.pdg, DECIMALS), cells.mdg, cells.learning_rate)


def _compared_with(found: Winner) -> Setting:
    """The setting without what only guides heed, which the unguided baseline shares."""
    return replace(found.setting, guide_mode="", layers="")
