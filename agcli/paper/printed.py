"""The paper's tables and figures as printed: which rows, which groups of columns, which number where.

A row, a group and a column each say what they stand for in the words of a sweep's results (`variant`, `dataset`, ...),
so that measured numbers find their place. Of the figures only the numbers in the paper's text are known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from agcli.errors import UsageError, did_you_mean
from agcli.paper import _ROWS, tables

PERCENT, SECONDS = "percent", "seconds"
CLASSIFICATION = {"ACC": "accuracy", "Precision": "precision_macro", "Recall": "recall_macro", "F1": "f1_macro"}
RANKING = {"MRR": "RR", "R@1": "R@1", "R@3": "R@3", "R@5": "R@5", "R@20": "R@20"}
"""Heading in the paper -> metric of a run, in the paper's order; the first is the primary one."""
EPOCH = "epoch_seconds"
DATASETS = {"multinli": "MultiNLI", "mednli": "MedNLI", "cross-genre-ir": "Cross-genre-IR"}
VARIANTS = {"none": "no guide", "mdg": "MDG", "pdg": "PDG", "both": "MDG + PDG"}
_ABLATION = {"default": "both", "w/o-AG": "none", "w/o-MDG": "pdg", "w/o-PDG": "mdg"}
_SOTA = "SOTA"
_SOTA_NOTE = (
    "SOTA: the best methods by November 2021 to the best of the paper's knowledge, as it prints them; not run here."
)
_IN_BRACKETS = {"pmi": "PMI", "wordsim": "WordSim"}


@dataclass(frozen=True)
class Heading:
    """A row or a column: what it is called, which runs it holds, and what a row is called in the shipped file."""

    text: str
    where: Mapping[str, str]
    key: str = ""


@dataclass(frozen=True)
class Group:
    """Columns under one heading, all of one data set."""

    text: str
    where: Mapping[str, str]
    columns: tuple[Heading, ...]


@dataclass(frozen=True)
class Printed:
    """A table or figure of the paper.

    Attributes:
        name: as in `RECIPES`.
        unit: of its numbers: percent or seconds.
        group_by: what tells its groups of columns apart, as columns of the results.
        row_by: what tells its rows apart.
        column_by: what tells the columns of a group apart: `metric` or `variant`.
        groups: of columns, in the paper's order.
        rows: in the paper's order.
        numbers: (row, group, column) -> the printed number.
        notes: what has to be said of the printed numbers.
    """

    name: str
    unit: str
    group_by: tuple[str, ...]
    row_by: tuple[str, ...]
    column_by: str
    groups: tuple[Group, ...]
    rows: tuple[Heading, ...]
    numbers: Mapping[tuple[str, str, str], float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def points(self) -> tuple[tuple[str, str, float], ...]:
        """Of a figure the printed numbers by (variant, layer or share)."""
        return tuple(
            (column.where["variant"], row.where[self.row_by[0]], self.numbers[row.text, group.text, column.text])
            for group in self.groups
            for column in group.columns
            for row in self.rows
            if (row.text, group.text, column.text) in self.numbers
        )

    @property
    def of(self) -> str:
        """What the printed numbers of a figure are of, as `BERT on MedNLI`."""
        where = self.groups[0].where
        return f"{_ROWS[where['model']]} on {DATASETS[where['dataset']]}"

    @property
    def keys(self) -> tuple[str, ...]:
        """What the runs behind one number agree in."""
        return tuple(dict.fromkeys((*self.group_by, *self.row_by, "variant")))

    def group(self, where: Mapping[str, str], ranking: bool) -> Group:
        """A group for data, or for data and a model, that the paper has not."""
        return Group(", ".join(where[name] for name in self.group_by), where, self.columns(ranking))

    def columns(self, ranking: bool) -> tuple[Heading, ...]:
        """The columns that a group of such data has in this table."""
        if self.unit == SECONDS:
            return (Heading("s per epoch", {"metric": EPOCH}),)
        metrics = RANKING if ranking else CLASSIFICATION
        if self.column_by == "metric":
            return _metric_columns(metrics)
        heading, metric = next(iter(metrics.items()))
        return tuple(
            Heading(f"{heading}, {text}", {"variant": variant, "metric": metric}) for variant, text in VARIANTS.items()
        )

    def row(self, where: Mapping[str, str]) -> str:
        """What a row that the paper has not is called; what else tells it from others is appended by the caller."""
        if self.name == "figure3":
            return "all layers" if where["layers"] == "all" else f"layer {where['layers']}"
        if self.name == "figure6":
            return size_text(where["size"])
        if self.name == "table3":
            return next(
                (_capital(row) for row, variant in _ABLATION.items() if variant == where["variant"]), where["variant"]
            )
        added = {"none": "", "both": "+AG", "mdg": "+MDG", "pdg": "+PDG"}.get(where["variant"], f"+{where['variant']}")
        return _ROWS.get(where["model"], where["model"]) + added


def printed(name: str) -> Printed:
    """A table or figure of the paper.

    Raises:
        UsageError: no such one.
    """
    forms = {
        "table1": _table1,
        "table2": _table2,
        "table3": _table3,
        "table4": _table4,
        "figure3": _figure3,
        "figure6": _figure6,
    }
    if name not in forms:
        raise UsageError(f"The paper has no {name!r}.{did_you_mean(name, forms)} Allowed: {', '.join(forms)}.")
    return forms[name](tables())


def size_text(size: str) -> str:
    """`0.2` -> `20 %`, `2000` -> `2000 examples`."""
    return f"{float(size):.4g} examples" if float(size) > 1 else f"{100 * float(size):.4g} %"


def is_ranking(metric: str) -> bool:
    """Whether data with this primary metric is ranked."""
    return metric in RANKING.values()


def _capital(row: str) -> str:
    """Table 3 prints `Default`."""
    return "Default" if row == "default" else row


def _metric_columns(metrics: Mapping[str, str]) -> tuple[Heading, ...]:
    return tuple(Heading(heading, {"metric": metric}) for heading, metric in metrics.items())


def _encoder_rows(shipped: Mapping[str, Any]) -> tuple[Heading, ...]:
    return tuple(
        Heading(
            row, {"model": row.removesuffix("+AG").lower(), "variant": "both" if row.endswith("+AG") else "none"}, row
        )
        for row in shipped
    )


def _metric_groups() -> tuple[Group, ...]:
    return tuple(
        Group(text, {"dataset": name}, _metric_columns(RANKING if name == "cross-genre-ir" else CLASSIFICATION))
        for name, text in DATASETS.items()
    )


def _metric_numbers(shipped: Mapping[str, Any], rows: Mapping[str, str]) -> dict[tuple[str, str, str], float]:
    """The numbers of Tables 1 and 2; metrics are shipped in the order of the headings."""
    return {
        (text, group.text, column.text): number
        for key, text in rows.items()
        for group in _metric_groups()
        for column, number in zip(group.columns, shipped[key][group.where["dataset"]].values(), strict=True)
    }


def _table1(paper: Mapping[str, Any]) -> Printed:
    shipped = paper["table1"]
    numbers = _metric_numbers(shipped, {row: row for row in shipped})
    for group in _metric_groups():
        best = zip(group.columns, paper["sota"][group.where["dataset"]], strict=True)
        numbers |= {(_SOTA, group.text, column.text): number for column, number in best if number is not None}
    rows = (Heading(_SOTA, {"model": "", "variant": ""}), *_encoder_rows(shipped))
    groups, row_by = _metric_groups(), ("model", "variant")
    return Printed("table1", PERCENT, ("dataset",), row_by, "metric", groups, rows, numbers, (_SOTA_NOTE,))


def _table2(paper: Mapping[str, Any]) -> Printed:
    shipped = paper["table2"]
    own = _encoder_rows({row: None for row in shipped if row.startswith("BERT")})
    others = {row: f"+[{_IN_BRACKETS.get(row, row.capitalize())}]" for row in shipped if not row.startswith("BERT")}
    rows = (*own, *(Heading(text, {"model": "bert", "variant": row}, row) for row, text in others.items()))
    numbers = _metric_numbers(shipped, {**{row.text: row.text for row in own}, **others})
    return Printed("table2", PERCENT, ("dataset",), ("model", "variant"), "metric", _metric_groups(), rows, numbers)


def _table3(paper: Mapping[str, Any]) -> Printed:
    groups, numbers = [], {}
    for key, shipped in paper["table3"].items():
        dataset, model = key.removesuffix(")").split(" (")
        columns = _metric_columns(RANKING if dataset == "cross-genre-ir" else CLASSIFICATION)
        group = Group(f"{DATASETS[dataset]}, {_ROWS[model]}", {"dataset": dataset, "model": model}, columns)
        groups.append(group)
        for row, values in shipped.items():
            for column, number in zip(columns, values, strict=True):
                numbers[_capital(row), group.text, column.text] = number
    rows = tuple(Heading(_capital(row), {"variant": variant}, row) for row, variant in _ABLATION.items())
    return Printed("table3", PERCENT, ("dataset", "model"), ("variant",), "metric", tuple(groups), rows, numbers)


def _table4(paper: Mapping[str, Any]) -> Printed:
    column = Heading("s per epoch", {"metric": EPOCH})
    groups = tuple(Group(text, {"dataset": name}, (column,)) for name, text in DATASETS.items())
    numbers = {
        (row, group.text, column.text): float(seconds)
        for row, shipped in paper["table4"].items()
        for group, seconds in zip(groups, shipped, strict=True)
    }
    rows = _encoder_rows(paper["table4"])
    return Printed("table4", SECONDS, ("dataset",), ("model", "variant"), "metric", groups, rows, numbers)


def _figure3(paper: Mapping[str, Any]) -> Printed:
    """`pdg@9` in the text is PDG at layer 9; `baseline` is the dashed line, to which differences are added."""
    empty = Printed("figure3", PERCENT, ("dataset", "model"), ("layers",), "variant", (), ())
    group = Group("MedNLI, BERT", {"dataset": "mednli", "model": "bert"}, empty.columns(ranking=False))
    shipped, found = paper["figure_text"]["layers_mednli_bert"], {}
    points = paper["figure_text"]["layers_mednli_bert_points"]
    added = {key: round(shipped["baseline"] + number, 2) for key, number in points.items()}
    told = ", ".join(f"{key.replace('@', ' at layer ')} {number:+.2f}" for key, number in points.items())
    note = f"Where the paper's text prints a difference from {shipped['baseline']}, the sum is shown: {told} points."
    for key, number in (shipped | added).items():
        variant, _, layer = key.partition("@")
        found[(variant, layer) if layer else ("none", "all")] = number
    layers = sorted({layer for _, layer in found}, key=lambda layer: -1 if layer == "all" else int(layer))
    rows = tuple(Heading(empty.row({"layers": layer}), {"layers": layer}) for layer in layers)
    return replace(_with_numbers(empty, group, rows, found), notes=(note,))


def _figure6(paper: Mapping[str, Any]) -> Printed:
    empty = Printed("figure6", PERCENT, ("dataset", "model"), ("size",), "variant", (), ())
    group = Group("MedNLI, BERT", {"dataset": "mednli", "model": "bert"}, empty.columns(ranking=False))
    found = {(variant, "0.2"): number for variant, number in paper["figure_text"]["sizes_mednli_bert_20pct"].items()}
    return _with_numbers(empty, group, (Heading("20 %", {"size": "0.2"}),), found)


def _with_numbers(
    empty: Printed, group: Group, rows: tuple[Heading, ...], found: Mapping[tuple[str, str], float]
) -> Printed:
    """A figure with the numbers of its text, by variant and what its rows are told apart by."""
    numbers = {
        (row.text, group.text, column.text): found[column.where["variant"], row.where[empty.row_by[0]]]
        for row in rows
        for column in group.columns
        if (column.where["variant"], row.where[empty.row_by[0]]) in found
    }
    return Printed(empty.name, empty.unit, empty.group_by, empty.row_by, empty.column_by, (group,), rows, numbers)
