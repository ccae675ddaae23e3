"""A sweep's saved rows, read for drawing: cells, and their means over seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from agcli.errors import DataError
from agcli.figures.style import plain

Row = Mapping[str, Any]
Part = Literal["dev", "test"]

_MOST_SAID = 8
"""Lines on seeds that came to nothing under one picture; the rest is counted."""


@dataclass(frozen=True)
class Cell:
    """What one row of results.csv says. A figure that the row lacks is None.

    Attributes:
        model: as asked for.
        dataset: likewise.
        variant: none, mdg, pdg or both.
        mdg: weight of MDG, 0 where it is off.
        pdg: weight of PDG, likewise.
        layers: guided layers, `all` or an index.
        size: training examples: a share where `sized_by_share`, else a number.
        sized_by_share: whether the size is a share of the training set.
        learning_rate: the peak.
        seed: of the run and of its data.
        role: select, report or single.
        axes: other options that the sweep varies, with their values.
        state: finished, failed or pending.
        collapsed: whether all dev examples are given one and the same class.
        reason: why there is no figure.
        metric: name of the data set's primary metric; empty where the run did not finish.
        dev: its value on the development set, 0 to 1.
        test: its value on the test set, 0 to 1.
        baseline: what costs no training, such as `majority class`; empty where the row names none.
        baseline_test: its value on the test set.
    """

    model: str
    dataset: str
    variant: str
    mdg: float
    pdg: float
    layers: str
    size: float
    sized_by_share: bool
    learning_rate: float
    seed: int
    role: str
    axes: tuple[tuple[str, str], ...]
    state: str
    collapsed: bool
    reason: str
    metric: str
    dev: float | None
    test: float | None
    baseline: str
    baseline_test: float | None

    @property
    def guided(self) -> bool:
        """Whether any guide is on."""
        return self.variant != "none"

    @property
    def setting(self) -> tuple[str, ...]:
        """What pictures of one sweep differ in beside model and data: values of the options that it varies."""
        return tuple(f"{name} {value}" for name, value in self.axes)

    @property
    def size_text(self) -> str:
        """`60 %` of the training set, or `1,500` pairs."""
        return f"{self.size * 100:g} %" if self.sized_by_share else f"{self.size:,.0f}"


@dataclass(frozen=True)
class Mean:
    """Cells of one setting that differ in their seed only, as one figure in percent.

    Attributes:
        n: seeds with a figure.
        value: their mean; None where n is 0.
        sd: standard deviation over them; None where n is 0 or 1.
        low: lower end of the mean's 95 % t-interval over seeds; None where n is 0 or 1, and where all seeds are equal,
            so that nothing can be estimated.
        high: its upper end.
        collapsed: seeds that give one class and yet have a figure; it counts.
        lost: why seeds have no figure, one text a seed.
    """

    n: int
    value: float | None
    sd: float | None
    low: float | None
    high: float | None
    collapsed: int
    lost: tuple[str, ...]


def read_cells(rows: Sequence[Row]) -> list[Cell]:
    """The cells of saved rows: numbers or the text of a CSV file; an empty text and pandas' NaN count as missing."""
    return [_read(row) for row in rows]


def _read(row: Row) -> Cell:
    metric = _text(row.get("metric"))
    size = _text(row["size"])
    return Cell(
        model=_text(row["model"]),
        dataset=_text(row["dataset"]),
        variant=_text(row["variant"]),
        mdg=number_of(row["mdg"]) or 0.0,
        pdg=number_of(row["pdg"]) or 0.0,
        layers=_text(row["layers"]).removesuffix(".0"),  # pandas makes a column of indices with gaps one of fractions
        size=float(size),
        sized_by_share=float(size) <= 1.0,
        learning_rate=number_of(row["learning_rate"]) or 0.0,
        seed=int(float(row["seed"])),
        role=_text(row["role"]),
        axes=tuple((name.removeprefix("set:"), _same(row[name])) for name in row if name.startswith("set:")),
        state=_text(row["state"]),
        # Rows without `collapsed` call a cell that finished diverged where it collapsed.
        collapsed=_text(row["state"]) == "finished" and bool(number_of(row.get("collapsed", row["diverged"]))),
        reason=_text(row["reason"]),
        metric=metric,
        dev=number_of(row.get(f"dev:{metric}")),
        test=number_of(row.get(f"test:{metric}")),
        baseline=_text(row.get("baseline")),
        baseline_test=number_of(row.get("test:baseline")),
    )


def number_of(value: Any) -> float | None:
    """A number, or the text of one; None for what counts as missing."""
    return None if value in (None, "") or math.isnan(float(value)) else float(value)


def _text(value: Any) -> str:
    return "" if value is None or value != value else str(value)  # nan is not itself


def _same(value: Any) -> str:
    """One text for `0.10`, `0.1` and 0.1."""
    try:
        return f"{float(value):g}" if not isinstance(value, bool) else str(value)
    except (TypeError, ValueError):
        return _text(value)


def mean_of(cells: Iterable[Cell], part: Part) -> Mean:
    """Mean and t-interval over the seeds of one setting.

    Raises:
        DataError: a seed has two different figures, so that the cells differ in more than the seed.
    """
    from agcli.measures.seeds import summary

    by_seed: dict[int, Cell] = {}
    for cell in cells:
        before = by_seed.setdefault(cell.seed, cell)
        if getattr(before, part) is None:
            by_seed[cell.seed] = cell
        elif getattr(cell, part) not in (None, getattr(before, part)):
            setting = f"{cell.model} on {cell.dataset}, variant {cell.variant}, seed {cell.seed}"
            raise DataError(
                f"{setting}: two cells that differ in no column which a picture shows have different figures",
                hint="draw the parts of the table that differ in other columns one at a time",
            )
    figures = [figure for cell in by_seed.values() if (figure := getattr(cell, part)) is not None]
    found = summary([100 * figure for figure in figures]) if figures else None
    spread = found if found and found.sd else None
    return Mean(
        n=len(figures),
        value=None if found is None else found.mean,
        sd=None if found is None else found.sd,
        low=None if spread is None else spread.low,
        high=None if spread is None else spread.high,
        collapsed=sum(cell.collapsed for cell in by_seed.values() if getattr(cell, part) is not None),
        lost=tuple(_why(cell) for cell in by_seed.values() if getattr(cell, part) is None),
    )


def _why(cell: Cell) -> str:
    said = {"pending": "not run yet", "finished": "not measured"}.get(cell.state, cell.state)
    return plain(f"{said}: {cell.reason}" if cell.reason else said, 90)


def count(means: Iterable[Mean]) -> str:
    """`5 seeds`, or `3 to 5 seeds`."""
    known = sorted({mean.n for mean in means}) or [0]
    if known == [1]:
        return "1 seed"
    return f"{known[0]} seeds" if len(known) == 1 else f"{known[0]} to {known[-1]} seeds"


def count_and_interval(means: Sequence[Mean]) -> str:
    """As `count`, and that one seed, or equal ones, give no interval."""
    known = [mean for mean in means if mean.n]
    without = {"1 seed" if mean.n == 1 else "equal seeds" for mean in known if mean.low is None}
    if all(mean.low is None for mean in known):
        return count(means) + (", no interval" if without else "")
    return count(means) + (f"; {' and '.join(sorted(without))}: no interval" if without else "")


def shortfalls(means: Mapping[str, Mean]) -> list[str]:
    """What is to be said of means that lack seeds or an interval, or hold collapsed ones.

    Args:
        means: by what they are called in the picture.
    """
    return at_most(f"{name}: {text}" for name, mean in means.items() if (text := _shortfall(mean)))


def at_most(lines: Iterable[str]) -> list[str]:
    """Lines for under a picture; where they are many, how many more there are in place of the last ones."""
    said = list(lines)
    return said if len(said) <= _MOST_SAID else [*said[: _MOST_SAID - 1], f"and {len(said) - _MOST_SAID + 1} more"]


def _shortfall(mean: Mean) -> str:
    parts = []
    if mean.sd == 0:
        parts.append(f"{mean.n} seeds are equal, so that an interval is not estimable")
    if mean.lost:
        seeds = f"{len(mean.lost)} of {mean.n + len(mean.lost)} seeds without a figure"
        parts.append(f"{seeds} ({'; '.join(dict.fromkeys(mean.lost))})")
    if mean.collapsed:
        parts.append(f"{mean.collapsed} of {count([mean])} collapsed to one class, and counted")
    return ", ".join(parts)


def no_claim(seeds: Iterable[int]) -> list[str]:
    """The line that so few seeds allow no claim, where a mean has too few; means without any do not count."""
    from agcli.measures.seeds import FEWEST_SEEDS, claim_line

    known = {n for n in seeds if n}
    if len(known) == 1:
        return [line for line in map(claim_line, known) if line]
    few = f"Where seeds are fewer than {FEWEST_SEEDS}, no claim can be made; those numbers only describe."
    return [few] if known and min(known) < FEWEST_SEEDS else []


def metric_of(cells: Iterable[Cell]) -> str:
    """The primary metric, which only finished cells name."""
    return next((cell.metric for cell in cells if cell.metric), "metric")


def baseline_name(cells: Iterable[Cell]) -> str:
    """`majority class` or `first stage`, which only finished cells name."""
    return next((cell.baseline for cell in cells if cell.baseline), "")


def weights_of(cells: Iterable[Cell]) -> dict[str, str]:
    """Variant -> `, α = 0.01, β = 0.001`; where its weights differ, that they were chosen."""
    found: dict[str, set[tuple[float, float]]] = {}
    for cell in cells:
        found.setdefault(cell.variant, set()).add((cell.mdg, cell.pdg))
    return {variant: _weights(weights) for variant, weights in found.items()}


def _weights(weights: set[tuple[float, float]]) -> str:
    if len(weights) > 1:
        return ", weights chosen on dev"
    ((mdg, pdg),) = weights
    return "".join(f", {sign} = {weight:g}" for sign, weight in (("α", mdg), ("β", pdg)) if weight)
