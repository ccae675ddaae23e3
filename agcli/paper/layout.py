"""Measured results laid out as a table of the paper, the paper's number beside each.

What the paper has not (another encoder, other data, a guide on its own) gets rows and groups of columns of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from agcli.measures.seeds import claim_line, summary
from agcli.paper import cautions, measured
from agcli.paper.printed import PERCENT, SECONDS, Group, Heading, Printed, is_ranking, printed, size_text

_GUIDING = {*measured.CHOSEN, "variant", "guide_mode", "layers", "set:guide_mode", "arm", "attention"}
"""Settings that may differ between the means of which the best is bold."""


@dataclass(frozen=True)
class Cell:
    """One number of ours and the paper's.

    Attributes:
        mean: over seeds, in percent, or seconds; None where there is none.
        sd: standard deviation over seeds; None below two.
        n: seeds in the mean.
        stars: of the corrected comparison with no guide.
        best: whether it is the best mean of this model on this data.
        paper: the printed number, if there is one.
        where: what it was measured on and with, chosen weights and learning rate included.
    """

    mean: float | None
    sd: float | None
    n: int
    stars: str
    best: bool
    paper: float | None
    where: Mapping[str, str]


@dataclass(frozen=True)
class Entry:
    """A row within a group of columns: a cell for each, and which footnotes (from 1) ours and the paper's need."""

    cells: tuple[Cell, ...]
    ours: tuple[int, ...]
    paper: tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """A row of the table: one entry for each group."""

    text: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class LaidOutTable:
    """A table as the paper has it, ready to be written in any form.

    Attributes:
        name: as in `RECIPES`.
        title: above the table.
        unit: percent or seconds.
        groups: of columns.
        rows: from the top.
        footnotes: what single entries refer to.
        notes: what is said of the whole table.
    """

    name: str
    title: str
    unit: str
    groups: tuple[Group, ...]
    rows: tuple[Row, ...]
    footnotes: tuple[str, ...]
    notes: tuple[str, ...]


def paper_table(
    name: str,
    results: pd.DataFrame,
    contrasts: Sequence[Mapping[str, Any]] = (),
    *,
    title: str = "",
    notes: Sequence[str] = (),
) -> LaidOutTable:
    """Lay results out as a table of the paper.

    Args:
        name: a recipe's.
        results: a sweep's rows; of Table 4 the rows of `ag timing`. Cells that choose weights are not looked at.
        contrasts: comparisons with the unguided runs as plain rows; their stars are shown.
        title: above the table.
        notes: what else belongs under it, such as a recipe's notes.

    Raises:
        UsageError: the paper has no such table.
        DataError: a column is missing, or runs of one setting share a seed.
    """
    form = printed(name)
    runs = measured.timed(results) if form.unit == SECONDS else measured.reported(results)
    apart = measured.told_apart_by(runs, form.keys)
    groups = tuple(_used(form, runs, group) for group in (*form.groups, *_other_groups(form, runs)))
    filling = _Filling(form, runs, [*form.keys, *apart], measured.matched(contrasts, runs))
    rows = [Row(row.text, tuple(filling.entry(row, group) for group in groups)) for row in _rows(form, runs, apart)]
    return LaidOutTable(
        name=name,
        title=title or name,
        unit=form.unit,
        groups=groups,
        rows=tuple(_with_best(rows) if form.unit == PERCENT else rows),
        footnotes=tuple(filling.footnotes),
        notes=(*notes, *_legend(form, runs, rows), *(measured.unreported(results) if form.unit == PERCENT else ())),
    )


def _other_groups(form: Printed, runs: pd.DataFrame) -> Iterator[Group]:
    """Groups for data that the paper has not."""
    known = [tuple(group.where[name] for name in form.group_by) for group in form.groups]
    for values, part in runs.groupby(list(form.group_by), sort=False):
        if values not in known:
            where = dict(zip(form.group_by, map(str, values), strict=True))
            yield form.group(where, is_ranking(part["metric"].iloc[0]))


def _used(form: Printed, runs: pd.DataFrame, group: Group) -> Group:
    """A group of a figure without the variants that neither the paper nor anybody here has."""
    if form.column_by != "variant":
        return group
    known = {*runs["variant"], *(variant for variant, _, _ in form.points)}
    return replace(group, columns=tuple(each for each in group.columns if each.where["variant"] in known))


def _rows(form: Printed, runs: pd.DataFrame, apart: Sequence[str]) -> list[Heading]:
    """The paper's rows and ours, each of ours behind the last one of its kind."""
    rows, names = list(form.rows), [*form.row_by, *apart]
    kind = form.row_by[0]  # the encoder; in Table 3 the variant
    for values in runs[names].drop_duplicates().itertuples(index=False):
        where = dict(zip(names, values, strict=True))
        if any(row.where == where for row in rows):
            continue
        told = [form.row(where), *(_said(name, where[name]) for name in apart if where[name])]
        alike = [place for place, row in enumerate(rows) if row.where[kind] == where[kind]]
        rows.insert(alike[-1] + 1 if alike else len(rows), Heading(", ".join(told), where))
    if form.column_by == "variant":  # of the figures, whose rows are layers or sizes
        rows.sort(key=lambda row: -1.0 if row.where[kind] == "all" else float(row.where[kind]))
    return rows


def _said(name: str, value: str) -> str:
    return size_text(value) if name == "size" else f"{name.removeprefix('set:')} {value}"


class _Filling:
    """The runs by their place in the table, and the footnotes that they and the paper's numbers turn out to need."""

    def __init__(
        self, form: Printed, runs: pd.DataFrame, keys: Sequence[str], contrasts: Sequence[Mapping[str, Any]]
    ) -> None:
        self._form, self._keys, self._contrasts = form, keys, contrasts
        self._parts: dict[Any, pd.DataFrame] = dict(iter(runs.groupby(list(keys))))
        self.footnotes: list[str] = []

    def entry(self, row: Heading, group: Group) -> Entry:
        """The numbers of a row in a group."""
        cells, told = [], []
        for column in group.columns:
            where = {**row.where, **group.where, **column.where}
            part = self._parts.get(tuple(where.get(key) for key in self._keys))
            number = self._form.numbers.get((row.text, group.text, column.text))
            cells.append(self._cell(part, where, number))
            place = [row.text, group.text, *([column.text] if self._form.column_by == "variant" else [])]
            told += [f"{', '.join(place)}: {line}." for line in measured.shortfalls(part)] if part is not None else []
        doubts = [
            f"The paper's {' and '.join(each.rows)}, {group.text}: {each.text}"
            for each in cautions(self._form.name)
            if row.key in each.rows and each.dataset in (None, group.where["dataset"]) and cells[0].paper is not None
        ]
        return Entry(tuple(cells), self._marks(told), self._marks(doubts))

    def _cell(self, part: pd.DataFrame | None, where: Mapping[str, str], number: float | None) -> Cell:
        """Mean and spread of the runs behind a cell, if there are any."""
        empty = Cell(None, None, 0, "", False, number, where)
        if part is None:
            return empty
        measured_on = {**where, **{name: part[name].iloc[0] for name in measured.ALL_SETTINGS if name in part}}
        values = measured.values_of(part, where["metric"])
        if not values:
            return replace(empty, where=measured_on)
        told, scale = summary(values), 100.0 if self._form.unit == PERCENT else 1.0
        return replace(
            empty,
            mean=scale * told.mean,
            sd=None if told.sd is None else scale * told.sd,
            n=told.n,
            stars=self._stars(part, where, told.n),
            where=measured_on,
        )

    def _stars(self, part: pd.DataFrame, where: Mapping[str, str], n: int) -> str:
        """Stars of the comparison with no guide: on the primary metric, and where n allows a claim."""
        if part["metric"].iloc[0] != where["metric"] or claim_line(n):
            return ""
        for row in self._contrasts:
            if all(measured.text(row[key]) == where[key] for key in self._keys if key in row):
                return str(row.get("stars") or "")
        return ""

    def _marks(self, lines: Sequence[str]) -> tuple[int, ...]:
        """Places of these footnotes; one that is new is added."""
        self.footnotes += [line for line in dict.fromkeys(lines) if line not in self.footnotes]
        return tuple(self.footnotes.index(line) + 1 for line in dict.fromkeys(lines))


def _with_best(rows: Sequence[Row]) -> Iterator[Row]:
    """Mark the best mean of each model, data set and metric, ties as printed included; a mean alone is no best."""
    means: dict[tuple[tuple[str, str], ...], list[float]] = {}
    for cell in (cell for row in rows for entry in row.entries for cell in entry.cells):
        if cell.mean is not None:
            means.setdefault(_compared_within(cell), []).append(round(cell.mean, 2))
    for row in rows:
        yield replace(
            row,
            entries=tuple(
                replace(entry, cells=tuple(replace(cell, best=_is_best(cell, means)) for cell in entry.cells))
                for entry in row.entries
            ),
        )


def _compared_within(cell: Cell) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, value) for name, value in cell.where.items() if name not in _GUIDING))


def _is_best(cell: Cell, means: Mapping[tuple[tuple[str, str], ...], Sequence[float]]) -> bool:
    rivals = means.get(_compared_within(cell), ())
    return cell.mean is not None and len(rivals) > 1 and round(cell.mean, 2) == max(rivals)


def _legend(form: Printed, runs: pd.DataFrame, rows: Sequence[Row]) -> Iterator[str]:
    """How the table is to be read, and what holds for all of it."""
    if form.unit == SECONDS:
        yield "Ours: seconds of an epoch here. Paper: Wang et al. 2022, Table 4."
    else:
        yield (
            "Ours: mean ± standard deviation over n seeds, in percent, on test; precision, recall and F1 are means "
            "over classes (of what the paper's are, it does not say). Bold: our best mean of a model on a data set"
            f"{', at each size' if 'size' in form.keys else ''}."
        )
        yield (
            "Stars, on the data set's primary metric only (accuracy, MRR): * p < 0.05, ** p < 0.01, paired t-test over "
            "seeds against no guide, better or worse, Holm-corrected over all comparisons of the sweep."
        )
        yield (
            "Paper: Wang et al. 2022 as printed. Over how many runs its numbers and t-tests are taken, and with what "
            "spread, it does not say; its stars are not repeated."
        )
        fewest = min((cell.n for row in rows for entry in row.entries for cell in entry.cells if cell.n), default=0)
        yield from filter(None, [claim_line(fewest)])
        sizes = [size_text(size) for size in dict.fromkeys(runs["size"]) if size != "1"]
        if sizes and "size" not in form.keys:
            yield f"Ours were trained on a part of the data: {', '.join(sizes)}."
    for model, asked in dict(zip(runs["model"], runs[measured.ASKED], strict=True)).items():
        if model != asked:
            yield f"{model} is {asked}, as it was asked for."
    yield from form.notes
    yield from (each.text for each in cautions(form.name) if not each.rows)
