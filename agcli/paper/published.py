"""The paper's numbers: its tables, the numbers of its figures that its text names, its settings.

Source: Wang et al. 2022, arXiv 2204.02922; every number in `published.json` was compared with the paper's text. Some
look wrong: a table's `cautions` name them and the reason.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agcli.errors import UsageError, did_you_mean
from agcli.guides.variants import variant_names, variant_title
from agcli.models.zoo import find_entry
from agcli.runs.paths import expanded

if TYPE_CHECKING:
    import pandas as pd

PERCENT, SECONDS = "percent", "seconds"
TABLE4_HARDWARE = (
    "GeForce RTX 3090 (the paper chose its batch sizes by that GPU's memory: 64, ALBERT 56, every pair padded to 256 "
    "tokens; how many GPUs and which precision it does not say)"
)
"""The probable hardware of Table 4 (section 3.3 of the paper)."""


@dataclass(frozen=True)
class Heading:
    """The name of a row or column, and the runs in it: column of the results -> value."""

    name: str
    where: Mapping[str, str]


@dataclass(frozen=True)
class Group:
    """Columns under one heading, all of one data set."""

    heading: str
    where: Mapping[str, str]
    columns: tuple[Heading, ...]


@dataclass(frozen=True)
class Caution:
    """A reason to doubt numbers of a table.

    Attributes:
        dataset: the data set it is about; None: all.
        rows: names of the rows it is about; none named: all.
    """

    dataset: str | None
    rows: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class PublishedTable:
    """A table of the paper, or a figure as far as its numbers are known.

    Attributes:
        group_by: columns of the results in which groups of columns differ.
        row_by: columns of the results in which rows differ.
        column_by: the one in which the columns of a group differ: `metric` or `variant`.
        numbers: (row, heading of the group, column) -> the printed number.
        subject: of a figure, its encoder and data.
    """

    name: str
    title: str
    unit: str
    group_by: tuple[str, ...]
    row_by: tuple[str, ...]
    column_by: str
    groups: tuple[Group, ...]
    rows: tuple[Heading, ...]
    numbers: Mapping[tuple[str, str, str], float]
    notes: tuple[str, ...]
    cautions: tuple[Caution, ...]
    subject: str = ""

    @property
    def keys(self) -> tuple[str, ...]:
        """Columns of the results in which the runs behind one number agree."""
        return tuple(dict.fromkeys((*self.group_by, *self.row_by, "variant")))

    def group_for(self, where: Mapping[str, str], metric: str) -> Group:
        """A group for data with this primary metric, or for such data and a model, that the paper does not have."""
        kinds = shipped()["columns"]
        kind = next((kind for kind, metrics in kinds.items() if metric in metrics.values()), "classification")
        return Group(", ".join(where.values()), where, _columns(kind, self.column_by))

    def row_name(self, where: Mapping[str, str]) -> str:
        """The name of a row that the paper does not have."""
        if "layers" in self.row_by:
            return "all layers" if where["layers"] == "all" else f"layer {where['layers']}"
        if "size" in self.row_by:
            return size_text(where["size"])
        variant = where["variant"]
        title = variant_title(variant)
        if "model" not in self.row_by:
            return next((row.name for row in self.rows if row.where["variant"] == variant), title)
        suffix = {"none": "", "both": "+AG"}.get(variant, f"+{title}")
        return encoder_titles().get(where["model"], where["model"]) + suffix

    def points(self) -> tuple[tuple[str, str, float], ...]:
        """Of a figure the printed numbers by (variant, layer or share)."""
        return tuple(
            (column.where["variant"], row.where[self.row_by[0]], self.numbers[row.name, group.heading, column.name])
            for group in self.groups
            for column in group.columns
            for row in self.rows
            if (row.name, group.heading, column.name) in self.numbers
        )


def short_name(model: str) -> str:
    """The zoo's short name for a short name, a hub id or a folder; a name that the zoo does not know stays as it is.

    As where models are loaded, a hub id must be the very one (`somebody/biobert-v1.1` is another model), and a folder
    goes by its own name: `models/biobert-v1.1` is `biobert`.
    """
    entry = find_entry(model)
    is_folder = model.startswith((".", "/", "~")) or model.count("/") > 1 or Path(model).is_dir()
    if entry is None and is_folder:
        entry = find_entry(expanded(model).resolve().name)
    return entry.name if entry else model


def shipped() -> dict[str, Any]:
    """`published.json`, a fresh copy."""
    loaded: dict[str, Any] = json.loads(Path(__file__).with_name("published.json").read_text(encoding="utf-8"))
    return loaded


def published_table(name: str) -> PublishedTable:
    """A table or figure of the paper.

    Raises:
        UsageError: no such one.
    """
    tables = shipped()["tables"]
    if name not in tables:
        raise UsageError(f"The paper has no {name!r}.{did_you_mean(name, tables)} Allowed: {', '.join(tables)}.")
    table = tables[name]
    groups = tuple(_group(each, table["group_by"], table["column_by"]) for each in table["groups"])
    rows = tuple(Heading(row["name"], {key: row[key] for key in table["row_by"]}) for row in table["rows"])
    return PublishedTable(
        name=name,
        title=table["title"],
        unit=table["unit"],
        group_by=tuple(table["group_by"]),
        row_by=tuple(table["row_by"]),
        column_by=table["column_by"],
        groups=groups,
        rows=rows,
        numbers=_numbers(table["rows"], groups),
        notes=tuple(table["notes"]),
        cautions=tuple(Caution(each["dataset"], tuple(each["rows"]), each["text"]) for each in table["cautions"]),
        subject=table.get("subject", ""),
    )


def encoder_titles() -> dict[str, str]:
    """Name in the zoo -> the paper's name of that encoder."""
    return {row["model"]: row["name"] for row in shipped()["tables"]["table1"]["rows"] if row["variant"] == "none"}


def size_text(size: str) -> str:
    """`0.2` -> `20 %`, `20000` -> `20000 examples`."""
    return f"{float(size):.0f} examples" if float(size) > 1 else f"{100 * float(size):.4g} %"


def _group(group: Mapping[str, str], group_by: list[str], column_by: str) -> Group:
    return Group(group["heading"], {key: group[key] for key in group_by}, _columns(group["columns"], column_by))


def _columns(kind: str, column_by: str) -> tuple[Heading, ...]:
    """The columns of a group: every metric, or the primary metric of every variant."""
    metrics = shipped()["columns"][kind]
    if column_by == "metric":
        return tuple(Heading(heading, {"metric": metric}) for heading, metric in metrics.items())
    heading, metric = next(iter(metrics.items()))
    return tuple(
        Heading(f"{heading}, {variant_title(variant)}", {"variant": variant, "metric": metric})
        for variant in variant_names()
    )


def _numbers(rows: list[Mapping[str, Any]], groups: tuple[Group, ...]) -> dict[tuple[str, str, str], float]:
    numbers = {}
    for row in rows:
        for group, values in zip(groups, row["numbers"], strict=True):
            for column, number in zip(group.columns, values, strict=False):  # guides added later have no numbers
                if number is not None:
                    numbers[row["name"], group.heading, column.name] = float(number)
    return numbers


def figure_points(
    name: str, results: pd.DataFrame
) -> tuple[str, frozenset[str], frozenset[str], tuple[tuple[str, str, float], ...]]:
    """Numbers that the paper prints of a figure, for drawing beside ours.

    Args:
        results: those of a sweep.

    Returns:
        The paper's encoder and data, in words; the models and the data sets in `results` that are these; the numbers.
    """
    published = published_table(name)
    where = published.groups[0].where
    models = frozenset(model for model in results["model"].unique() if short_name(model) == where["model"])
    datasets = frozenset(dataset for dataset in results["dataset"].unique() if Path(dataset).name == where["dataset"])
    return published.subject, models, datasets, published.points()


def epoch_seconds(model: str, variant: str, dataset: str) -> tuple[float | None, str]:
    """As `table4_number`, for a model by its short name, hub id or folder."""
    return table4_number(short_name(model), variant, dataset)


def table4_number(model: str, variant: str, dataset: str) -> tuple[float | None, str]:
    """The paper's seconds of an epoch (Table 4), and a caution or ""; it timed encoders without guides and with both.

    Args:
        model: a name of the zoo.
        dataset: `multinli`, `mednli` or `cross-genre-ir`; a part of one of them is another data set.

    Returns:
        Units: seconds, as printed (whole seconds); None for what the paper did not time.
    """
    table, title = published_table("table4"), encoder_titles().get(model)
    group = next((group for group in table.groups if group.where["dataset"] == dataset), None)
    if group is None or title is None or variant not in ("none", "both", "authors"):
        return None, ""
    row = title if variant == "none" else f"{title}+AG"
    # A caution on the whole table, which names no row, is not repeated at every number.
    cautions = [each.text for each in table.cautions if row in each.rows and each.dataset == dataset]
    return table.numbers[row, group.heading, group.columns[0].name], " ".join(cautions)
