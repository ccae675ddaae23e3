"""Measured results in the layout of a table of the paper, each number beside the paper's.

Encoders, data and guides that the paper does not have get rows and groups of columns of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from agcli.guides.registry import GUIDES
from agcli.measures.seeds import claim_line
from agcli.paper.measured import TIMING_SETTINGS, sweep_settings, with_short_names
from agcli.paper.published import PERCENT, Group, Heading, PublishedTable, size_text
from agcli.sweep.cautions import counts_fallen_short
from agcli.sweep.results import differing, spelled
from agcli.sweep.seed_groups import over_seeds

_GUIDING = {*GUIDES, "learning_rate", "variant", "guide_mode", "layers", "set:guide_mode", "arm", "attention"}
"""Settings that may differ between the means of which the best is bold."""


@dataclass(frozen=True)
class NumberPair:
    """One number of ours and the paper's, in the table's unit.

    Attributes:
        where: model, data and settings, chosen weights and learning rate included.
        mean: ours, over n seeds.
        best: whether it is the best mean of this model on this data.
    """

    where: Mapping[str, str]
    paper: float | None
    mean: float | None = None
    sd: float | None = None
    n: int = 0
    stars: str = ""
    best: bool = False


@dataclass(frozen=True)
class Entry:
    """A row within a group of columns, and the footnotes that our numbers and the paper's need."""

    row: Heading
    group: Group
    pairs: list[NumberPair]
    ours: tuple[int, ...]
    paper: tuple[int, ...]

    @property
    def has_ours(self) -> bool:
        """Whether anything was run for it, with a number or without."""
        return bool(self.ours) or any(pair.mean is not None for pair in self.pairs)

    @property
    def has_paper(self) -> bool:
        """Whether the paper prints a number."""
        return any(pair.paper is not None for pair in self.pairs)


class Layout:
    """Rows, groups of columns and entries of a table; `comparisons` are flat ones, of which the stars are shown.

    Raises:
        DataError: runs of one setting share a seed.
    """

    def __init__(self, published: PublishedTable, runs: pd.DataFrame, comparisons: Sequence[Mapping[str, Any]]) -> None:
        self.published, self.runs = published, runs
        self.footnotes: dict[str, int] = {}
        self._settings = sweep_settings(runs) if published.unit == PERCENT else TIMING_SETTINGS
        apart = differing(runs, published.keys, self._settings)
        self._keys = [*published.keys, *apart]
        self._parts: dict[Any, pd.DataFrame] = dict(iter(runs.groupby(self._keys)))
        self._comparisons = with_short_names(comparisons, runs)
        self.groups = [self._without_unused(group) for group in (*published.groups, *self._other_groups())]
        self.entries = [[self._entry(row, group) for group in self.groups] for row in self._rows(apart)]
        if published.unit == PERCENT:
            self.entries = _with_best(self.entries)

    def _other_groups(self) -> Iterator[Group]:
        """Groups for data that the paper does not have."""
        group_by = list(self.published.group_by)
        known = [group.where for group in self.published.groups]
        for values, part in self.runs.groupby(group_by, sort=False):
            where = dict(zip(group_by, map(str, values), strict=True))
            if where not in known:
                yield self.published.group_for(where, part["metric"].iloc[0])

    def _without_unused(self, group: Group) -> Group:
        """A group of a figure without the variants of which neither the paper nor we have a number."""
        if self.published.column_by != "variant":
            return group
        used = {*self.runs["variant"], *(variant for variant, _, _ in self.published.points())}
        return replace(group, columns=tuple(column for column in group.columns if column.where["variant"] in used))

    def _rows(self, apart: Sequence[str]) -> list[Heading]:
        """The paper's rows and ours, each of ours behind the last one of its kind."""
        rows, names = list(self.published.rows), [*self.published.row_by, *apart]
        kind = names[0]  # the encoder; in Table 3 the variant
        for values in self.runs[names].drop_duplicates().itertuples(index=False):
            where = dict(zip(names, values, strict=True))
            if any(row.where == where for row in rows):
                continue
            settings = [_setting(key, where[key]) for key in apart if where[key]]
            alike = [place for place, row in enumerate(rows) if row.where[kind] == where[kind]]
            name = ", ".join([self.published.row_name(where), *settings])
            rows.insert(alike[-1] + 1 if alike else len(rows), Heading(name, where))
        if self.published.column_by == "variant":  # the rows of a figure are layers or sizes
            rows.sort(key=lambda row: -1.0 if row.where[kind] == "all" else float(row.where[kind]))
        return rows

    def _entry(self, row: Heading, group: Group) -> Entry:
        pairs, shortfalls = [], []
        for column in group.columns:
            where = {**row.where, **group.where, **column.where}
            part = self._parts.get(tuple(where.get(key) for key in self._keys))
            pair = NumberPair(where, self.published.numbers.get((row.name, group.heading, column.name)))
            pairs.append(pair if part is None else self._with_results(pair, part))
            place = [row.name, group.heading, *([column.name] if self.published.column_by == "variant" else [])]
            if part is not None:
                texts = counts_fallen_short(over_seeds(part, "test", gaps=True), len(part))
                shortfalls += [f"{', '.join(place)}: {text}." for text in texts]
        cautions = [
            f"The paper's {' and '.join(caution.rows)}, {group.heading}: {caution.text}"
            for caution in self.published.cautions
            if row.name in caution.rows and caution.dataset in (None, group.where["dataset"])
        ]
        return Entry(row, group, pairs, self._keys_of(shortfalls), self._keys_of(cautions if pairs[0].paper else ()))

    def _with_results(self, pair: NumberPair, part: pd.DataFrame) -> NumberPair:
        """The pair with mean and standard deviation of the runs behind it."""
        pair = replace(pair, where={**pair.where, **{name: part[name].iloc[0] for name in self._settings}})
        summary = over_seeds(part, "test", pair.where["metric"], gaps=True).summary
        if summary is None:
            return pair
        scale = 100.0 if self.published.unit == PERCENT else 1.0
        sd = None if summary.sd is None else scale * summary.sd
        claims = part["metric"].iloc[0] == pair.where["metric"] and not claim_line(summary.n)
        stars = self._stars(pair.where) if claims else ""
        return replace(pair, mean=scale * summary.mean, sd=sd, n=summary.n, stars=stars)

    def _stars(self, where: Mapping[str, str]) -> str:
        for row in self._comparisons:
            if all(spelled(row[key]) == where[key] for key in self._keys if key in row):
                return str(row.get("stars") or "")
        return ""

    def _keys_of(self, texts: Iterable[str]) -> tuple[int, ...]:
        """The footnotes of these texts; one that is new is added."""
        return tuple(self.footnotes.setdefault(text, len(self.footnotes) + 1) for text in dict.fromkeys(texts))


def _setting(name: str, value: str) -> str:
    return size_text(value) if name == "size" else f"{name.removeprefix('set:')} {value}"


def _with_best(entries: Sequence[Sequence[Entry]]) -> list[list[Entry]]:
    """Entries with the best mean of each model, data set and metric, ties as printed included, where there are two."""
    means: dict[frozenset[tuple[str, str]], list[float]] = {}
    for pair in (pair for line in entries for entry in line for pair in entry.pairs):
        if pair.mean is not None:
            means.setdefault(_compared_within(pair), []).append(round(pair.mean, 2))

    def with_best(pair: NumberPair) -> NumberPair:
        others = means.get(_compared_within(pair), ())
        return replace(pair, best=pair.mean is not None and len(others) > 1 and round(pair.mean, 2) == max(others))

    return [[replace(entry, pairs=list(map(with_best, entry.pairs))) for entry in line] for line in entries]


def _compared_within(pair: NumberPair) -> frozenset[tuple[str, str]]:
    return frozenset((name, value) for name, value in pair.where.items() if name not in _GUIDING)
