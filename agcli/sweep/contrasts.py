"""Every guided setting of a sweep against the unguided one: paired over seeds, corrected over the whole family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from agcli.measures.seeds import SeedComparison, claim_line, compare_seeds, holm, stars, unpaired_line
from agcli.sweep.table import (
    CHOICE,
    GUIDING,
    PLACE,
    Cells,
    Setting,
    axes,
    cells_of,
    checked,
    groups,
    setting_of,
    split_of,
)


@dataclass(frozen=True)
class ContrastRow:
    """A guided setting against the unguided one, on the primary metric of the test set.

    Attributes:
        setting: where they were compared; `guide_mode` and `layers` are the guided arm's.
        variant: mdg, pdg or both.
        metric: the primary metric; "" where no cell of the data set has finished.
        unguided: the first arm; None where the sweep has no unguided cell to compare with.
        guided: the second arm.
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
    unguided: Cells | None
    guided: Cells
    contrast: SeedComparison | None
    converged: SeedComparison | None
    holm_p: float | None = None
    stars: str = ""
    untested: bool = False

    @property
    def lost(self) -> tuple[int, ...]:
        """Seeds that diverged in one of the arms and left no metric."""
        arms = [arm for arm in (self.unguided, self.guided) if arm is not None]
        return tuple(sorted({seed for arm in arms for seed in arm.diverged if seed in arm.failed}))

    @property
    def notes(self) -> tuple[str, ...]:
        """What must be said beside the numbers: few seeds, seeds without a partner, collapsed, failed, not yet run."""
        unguided, guided = f"{replace(self.setting, layers='').name}, unguided", f"{self.setting.name}, {self.variant}"
        said = [] if self.unguided else ["There are no unguided cells to compare with."]
        said.append(claim_line(self.contrast.n if self.contrast else 0))
        said.append(unpaired_line(self.contrast) if self.contrast else "")
        if self.untested:
            said.append("There is no test split, and dev chose the epochs: nothing is compared.")
        if self.lost:
            seeds = ", ".join(map(str, self.lost))
            said.append(
                f"{guided}: no metric where training diverged, seed {seeds}: survivors are compared; no claim can be "
                "made."
            )
        said += _shortfalls(unguided, self.unguided) if self.unguided else []
        return tuple(line for line in (*said, *_shortfalls(guided, self.guided)) if line)


def family(results: pd.DataFrame) -> list[ContrastRow]:
    """Every guided setting that is reported (`report`, `single`) against the unguided one, in order of appearance.

    A row for each model, data set, size, guided layer, further axis, variant, weights and learning rate. Holm's
    correction is over all rows.

    Raises:
        DataError: a column is missing, some finished cells of a setting lack their test metric, or two cells of a
            setting have the same seed, so that it is open which of them is the partner.
    """
    table = checked(results)
    reported = table[table["role"].isin(("report", "single"))]
    unguided = reported[reported["variant"] == "none"]
    guided = groups(reported[reported["variant"] != "none"], *GUIDING, "variant", *CHOICE)
    rows = [_compared(_partners(unguided, part), part, _is_tested(table, part)) for part in guided]
    corrected = holm([row.contrast.t_p if row.contrast else None for row in rows])
    return [replace(row, holm_p=p, stars=_stars(row, p)) for row, p in zip(rows, corrected, strict=True)]


def flat(rows: Sequence[ContrastRow]) -> list[dict[str, object]]:
    """Contrasts as rows of plain values, for tables, CSV files and pictures; what is not defined is None.

    `unguided_*` and `guided_*` means are over the paired seeds, so that they differ by `difference`; `*_best` is the
    best of all seeds that finished and belongs beside the mean.
    """
    return [_flat(row) for row in rows]


def _partners(unguided: pd.DataFrame, guided: pd.DataFrame) -> pd.DataFrame:
    """The unguided cells that a guided setting is compared with, perhaps none.

    Model, data, size and further axes agree, but for an axis that the unguided cells leave empty. What only guides
    heed, and the learning rate, which a grid chooses for each arm apart, agree where there are such cells.
    """
    row, found = guided.iloc[0], unguided
    for name in PLACE:
        found = found[found[name] == row[name]]
    for name in axes(unguided):
        found = found[found[name].isin([row[name], ""])]
    for name in (*axes(unguided), *GUIDING, "learning_rate"):
        same = found[found[name] == row[name]]
        found = same if len(same) else found
    return found


def _is_tested(table: pd.DataFrame, guided: pd.DataFrame) -> bool:
    """Whether the data of a setting have a test split, or nothing of them has finished yet."""
    return split_of(table, guided["dataset"].iloc[0]) != "dev"


def _compared(unguided: pd.DataFrame, guided: pd.DataFrame, tested: bool) -> ContrastRow:
    """The contrast, not yet corrected."""
    split = "test" if tested else "dev"
    first, second = cells_of(unguided, split) if len(unguided) else None, cells_of(guided, split)
    found = _paired(first, second, set()) if tested else None
    collapsed = {*second.collapsed, *(first.collapsed if first else ())} & set(found.seeds if found else ())
    return ContrastRow(
        setting=setting_of(guided),
        variant=str(guided["variant"].iloc[0]),
        metric=str(guided["metric"].iloc[0]),
        unguided=first,
        guided=second,
        contrast=found,
        converged=_paired(first, second, collapsed) if collapsed else None,
        untested=not tested,
    )


def _paired(first: Cells | None, second: Cells, without: set[int]) -> SeedComparison | None:
    """The second arm minus the first over their common seeds but some; None where none is left."""
    if first is None:
        return None
    one, two = ({seed: value for seed, value in arm.metrics if seed not in without} for arm in (first, second))
    return compare_seeds(one, two) if one.keys() & two.keys() else None


def _stars(row: ContrastRow, p: float | None) -> str:
    """None where no claim can be made, for a star is one."""
    return "" if row.contrast is None or row.lost or claim_line(row.contrast.n) else stars(p)


def _shortfalls(name: str, cells: Cells) -> list[str]:
    seeds = {
        "collapsed to one class": cells.collapsed,
        "diverged": cells.diverged,
        "failed": cells.failed,
        "not run yet": cells.pending,
    }
    return [f"{name}, {what}: seed {', '.join(map(str, which))}." for what, which in seeds.items() if which]


def _flat(row: ContrastRow) -> dict[str, object]:
    place = row.setting
    options = {f"set:{name}": value for name, value in place.options}
    return {
        **{"model": place.model, "dataset": place.dataset, "size": place.size, **options},
        **{"guide_mode": place.guide_mode, "layers": place.layers, "variant": row.variant},
        **{"mdg": row.guided.mdg, "pdg": row.guided.pdg, "learning_rate": row.guided.learning_rate},
        "unguided_learning_rate": row.unguided.learning_rate if row.unguided else None,
        "metric": row.metric,
        **_numbers(row.contrast),
        **{"holm_p": row.holm_p, "stars": row.stars},
        "difference_converged": row.converged.difference if row.converged else None,
        **_counts("unguided", row.unguided),
        **_counts("guided", row.guided),
        "notes": " ".join(row.notes),
    }


def _numbers(found: SeedComparison | None) -> dict[str, object]:
    names = ("difference", "low", "high", "t_p", "wilcoxon_p", "wilcoxon_least_p", "effect_size", "unpaired")
    arms = {"unguided": found.first if found else None, "guided": found.second if found else None}
    return {
        "n": found.n if found else 0,
        **{f"{arm}_{name}": getattr(told, name, None) for arm, told in arms.items() for name in ("mean", "sd")},
        **{name: getattr(found, name, None) for name in names},
    }


def _counts(arm: str, cells: Cells | None) -> dict[str, object]:
    return {
        f"{arm}_best": cells.best if cells else None,
        f"{arm}_collapsed": len(cells.collapsed) if cells else 0,
        f"{arm}_diverged": len(cells.diverged) if cells else 0,
        f"{arm}_failed": len(cells.failed) if cells else 0,
        f"{arm}_pending": len(cells.pending) if cells else 0,
    }
