"""Every guided setting of a sweep against the unguided one: paired over seeds, corrected over the whole family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from agcli.measures.seeds import SeedComparison, claim_line, compare_seeds, holm, stars, unpaired_line
from agcli.sweep.cautions import seeds_fallen_short
from agcli.sweep.results import GUIDING, PLACE, Split, axes, choice, first_name, groups, reported, results_of, split_of
from agcli.sweep.seed_groups import SHORTFALLS, SeedGroup, Setting, over_seeds, setting_of


@dataclass(frozen=True)
class Comparison:
    """A guided setting against the unguided one, on the primary metric of the test set.

    Attributes:
        setting: `guide_mode` and `layers` are those of the guided cells.
        metric: "" where no cell of the data set has finished.
        unguided: None where the sweep has no unguided cell to compare with.
        contrast: guided minus unguided over the seeds at which both finished; None where there is none.
        converged: the same over the seeds at which neither collapsed to one class, to be read beside it; None where no
            compared seed collapsed, or none is left.
        holm_p: `contrast.t_p`, corrected over the whole family.
        stars: of the corrected value; none below `FEWEST_SEEDS` seeds, or where diverged seeds have no metric.
        untested: whether the data have no test split.
    """

    setting: Setting
    variant: str
    metric: str
    unguided: SeedGroup | None
    guided: SeedGroup
    contrast: SeedComparison | None
    converged: SeedComparison | None
    untested: bool
    holm_p: float | None = None
    stars: str = ""

    @property
    def name(self) -> str:
        """`minilm on mnli, size 300, mdg`."""
        return f"{self.setting.name}, {self.variant}"

    @property
    def diverged(self) -> tuple[int, ...]:
        """Seeds that diverged on one of the sides and left no metric."""
        sides = [side for side in (self.unguided, self.guided) if side is not None]
        return tuple(sorted({seed for side in sides for seed in side.diverged if seed in side.failed}))

    @property
    def notes(self) -> tuple[str, ...]:
        """Cautions: few seeds, seeds without a partner, collapsed, failed, not yet run."""
        notes = [] if self.unguided else ["There are no unguided cells to compare with."]
        notes.append(claim_line(self.contrast.n if self.contrast else 0))
        notes.append(unpaired_line(self.contrast) if self.contrast else "")
        if self.untested:
            notes.append("There is no test split, and dev chose the epochs: nothing is compared.")
        if self.diverged:
            seeds = ", ".join(map(str, self.diverged))
            notes.append(
                f"{self.name}: no metric where training diverged, seed {seeds}: survivors are compared; no claim can "
                "be made."
            )
        if self.unguided:
            notes += seeds_fallen_short(f"{replace(self.setting, layers='').name}, unguided", self.unguided)
        return tuple(note for note in (*notes, *seeds_fallen_short(self.name, self.guided)) if note)


def family(results: pd.DataFrame) -> list[Comparison]:
    """Every guided setting that is reported (`report`, `single`) against the unguided one, in order of appearance.

    A row for each model, data set, size, guided layer, further axis, variant, weights and learning rate. Holm's
    correction is over all rows.

    Raises:
        DataError: a column is missing, some finished cells of a setting lack their test metric, or two cells of a
            setting have the same seed, so that it is open which of them is the partner.
    """
    table = results_of(results)
    cells = reported(table)
    unguided = cells[cells["variant"] == "none"]
    rows = [
        _compared(_partners(unguided, guided), guided, split_of(table, guided["dataset"].iloc[0]) != "dev")
        for guided in groups(cells[cells["variant"] != "none"], *GUIDING, "variant", *choice(table))
    ]
    corrected = holm([row.contrast.t_p if row.contrast else None for row in rows])
    return [replace(row, holm_p=p, stars=_stars(row, p)) for row, p in zip(rows, corrected, strict=True)]


def _partners(unguided: pd.DataFrame, guided: pd.DataFrame) -> pd.DataFrame:
    """The unguided cells that a guided setting is compared with, perhaps none.

    Model, data, size and further axes agree, but for an axis that the unguided cells leave empty. Guide mode
    and layers, and the learning rate, which a grid chooses for each side, agree where there are such cells.
    """
    row, partners = guided.iloc[0], unguided
    for name in PLACE:
        partners = partners[partners[name] == row[name]]
    for name in axes(unguided):
        partners = partners[partners[name].isin([row[name], ""])]
    for name in (*axes(unguided), *GUIDING, "learning_rate"):
        same = partners[partners[name] == row[name]]
        partners = same if len(same) else partners
    return partners


def _compared(unguided: pd.DataFrame, guided: pd.DataFrame, tested: bool) -> Comparison:
    """The comparison, not yet corrected."""
    split: Split = "test" if tested else "dev"
    first = over_seeds(unguided, split) if len(unguided) else None
    second = over_seeds(guided, split)
    difference = _paired(first, second, set()) if tested else None
    seeds = difference.seeds if difference else ()
    collapsed = {*second.collapsed, *(first.collapsed if first else ())}.intersection(seeds)
    return Comparison(
        setting=setting_of(guided),
        variant=str(guided["variant"].iloc[0]),
        metric=first_name(guided, "metric"),
        unguided=first,
        guided=second,
        contrast=difference,
        converged=_paired(first, second, collapsed) if collapsed else None,
        untested=not tested,
    )


def _paired(first: SeedGroup | None, second: SeedGroup, without: set[int]) -> SeedComparison | None:
    """The second side minus the first over their common seeds but some; None where none is left."""
    if first is None:
        return None
    one, two = ({seed: value for seed, value in side.metrics if seed not in without} for side in (first, second))
    return compare_seeds(one, two) if one.keys() & two.keys() else None


def _stars(row: Comparison, p: float | None) -> str:
    """None where no claim can be made, for a star is one."""
    return "" if row.contrast is None or row.diverged or claim_line(row.contrast.n) else stars(p)


def flat(rows: Sequence[Comparison]) -> list[dict[str, object]]:
    """Comparisons as rows of plain values, for tables, CSV files and pictures; what is not defined is None.

    `unguided_*` and `guided_*` means are over the paired seeds, so that they differ by `difference`; `*_best` is the
    best of all seeds that finished and belongs beside the mean.
    """
    return [_flat(row) for row in rows]


def _flat(row: Comparison) -> dict[str, object]:
    place, difference = row.setting, row.contrast
    means = {"unguided": getattr(difference, "first", None), "guided": getattr(difference, "second", None)}
    tests = ("difference", "low", "high", "t_p", "wilcoxon_p", "wilcoxon_least_p", "effect_size", "unpaired")
    return {
        **{"model": place.model, "dataset": place.dataset, "size": place.size},
        **{f"set:{name}": value for name, value in place.options},
        **{"guide_mode": place.guide_mode, "layers": place.layers, "variant": row.variant},
        **row.guided.weights,
        "learning_rate": row.guided.learning_rate,
        "unguided_learning_rate": row.unguided.learning_rate if row.unguided else None,
        "metric": row.metric,
        "n": difference.n if difference else 0,
        **{f"{side}_{name}": getattr(mean, name, None) for side, mean in means.items() for name in ("mean", "sd")},
        **{name: getattr(difference, name, None) for name in tests},
        **{"holm_p": row.holm_p, "stars": row.stars},
        "difference_converged": row.converged.difference if row.converged else None,
        **_counts("unguided", row.unguided),
        **_counts("guided", row.guided),
        "notes": " ".join(row.notes),
    }


def _counts(side: str, group: SeedGroup | None) -> dict[str, object]:
    return {
        f"{side}_best": group.best if group else None,
        **{f"{side}_{state}": len(getattr(group, state)) if group else 0 for state in SHORTFALLS},
    }
