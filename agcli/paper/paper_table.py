"""A table of the paper with our results, for people and as records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from agcli.measures.seeds import claim_line
from agcli.paper.given_beside import given_beside
from agcli.paper.measured import REQUESTED, sweep_runs, timing_runs, unreported
from agcli.paper.published import PERCENT, published_table, size_text
from agcli.paper.recipes import legend
from agcli.paper.table_layout import Entry, Layout
from agcli.sweep.results import results_of
from agcli.tables.recorded_table import RecordedTable
from agcli.tables.table import Number, Table


def paper_table(
    name: str,
    results: pd.DataFrame,
    comparisons: Sequence[Mapping[str, Any]] = (),
    notes: Sequence[str] = (),
) -> RecordedTable:
    """Lay results out as a table of the paper.

    Args:
        results: a sweep's rows, of which cells that choose weights do not count; of Table 4 the rows of `ag timing`.
        comparisons: as `comparisons.flat` gives them; their stars are shown.
        notes: lines to show below the table, such as a recipe's notes.

    Raises:
        UsageError: the paper has no such table.
        DataError: runs of one setting share a seed.
    """
    published = published_table(name)
    from_sweep = published.unit == PERCENT
    layout = Layout(published, sweep_runs(results_of(results)) if from_sweep else timing_runs(results), comparisons)
    footnotes = {key: text for text, key in layout.footnotes.items()}
    table = Table(
        published.title,
        _columns(layout),
        list(_rows(layout)),
        groups=[(group.heading, len(group.columns) + from_sweep) for group in layout.groups],
        footnotes=footnotes,
        notes=[*notes, *_notes(layout), *(unreported(results) if from_sweep else ())],
    )
    return RecordedTable(name, published.unit, table, list(_records(layout, footnotes)))


def recipe_table(
    plan: Mapping[str, Any], results: pd.DataFrame, comparisons: Sequence[Mapping[str, Any]]
) -> RecordedTable:
    """The table of a sweep that was run as a recipe, with the recipe's notes; `plan` is the saved one."""
    recipe = plan["recipe"]
    notes = [*map(str, recipe.get("notes", ())), *given_beside(recipe["name"], recipe["scale"], plan["grids"])]
    return paper_table(recipe["name"], results, comparisons, notes)


def _columns(layout: Layout) -> list[str]:
    columns = ["Methods", "from"]
    for group in layout.groups:
        columns += [column.name for column in group.columns]
        columns += ["n"] if layout.published.unit == PERCENT else []  # percent are means over n seeds
    return columns


def _rows(layout: Layout) -> Iterator[list[object]]:
    """Our numbers of each row, then the paper's."""
    for line in layout.entries:
        for source, is_shown in (
            ("ours", any(entry.has_ours for entry in line)),
            ("paper", any(entry.has_paper for entry in line)),
        ):
            numbers = [number for entry in line for number in _numbers(entry, layout.published.unit, source)]
            if is_shown:
                yield [line[0].row.name, source, *numbers]


def _numbers(entry: Entry, unit: str, source: str) -> Iterator[object]:
    """The table cells of one group of columns; footnotes stand at the first."""
    footnotes = entry.ours if source == "ours" else entry.paper
    for pair in entry.pairs:
        if source == "ours":
            number = Number(number_text(pair.mean, unit), number_text(pair.sd, unit), pair.stars, pair.best, footnotes)
        else:
            number = Number(number_text(pair.paper, unit), footnotes=footnotes)
        yield number if number.text or number.footnotes else None
        footnotes = ()
    if unit == PERCENT:
        yield _seeds_text(entry) if source == "ours" else ""


def _seeds_text(entry: Entry) -> str:
    """`10`, or `8-10` where the numbers of an entry rest on different seeds."""
    if not entry.has_ours:
        return ""
    counts = [pair.n for pair in entry.pairs if pair.n] or [0]
    return "-".join(str(count) for count in dict.fromkeys((min(counts), max(counts))))


def number_text(value: float | None, unit: str) -> str:
    """Percent with two decimals as in the paper; seconds with three digits, from 100 on whole."""
    if value is None:
        return ""
    return f"{value:.2f}" if unit == PERCENT else f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _records(layout: Layout, footnotes: Mapping[int, str]) -> Iterator[dict[str, Any]]:
    entries = [entry for line in layout.entries for entry in line]
    settings = dict.fromkeys(name for entry in entries for pair in entry.pairs for name in pair.where)
    for entry in entries:
        notes = " ".join(footnotes[key] for key in (*entry.ours, *entry.paper))
        for column, pair in zip(entry.group.columns, entry.pairs, strict=True):
            if pair.mean is None and pair.paper is None and not entry.ours:
                continue
            yield {
                "table": layout.published.name,
                "row": entry.row.name,
                "group": entry.group.heading,
                "column": column.name,
                **{name: pair.where.get(name, "") for name in settings},
                "unit": layout.published.unit,
                "ours": None if pair.mean is None else round(pair.mean, 6),  # without the digits that 100 * 0.8389 adds
                "ours_sd": None if pair.sd is None else round(pair.sd, 6),
                "n": pair.n,
                "stars": pair.stars,
                "best": int(pair.best),
                "paper": pair.paper,
                "notes": notes,
            }


def _notes(layout: Layout) -> Iterator[str]:
    """Legend and cautions on the whole table."""
    published, runs = layout.published, layout.runs
    yield from legend(published.unit, each_size="size" in published.keys)
    if published.unit == PERCENT:
        counts = [pair.n for line in layout.entries for entry in line for pair in entry.pairs if pair.n]
        yield from filter(None, [claim_line(min(counts, default=0))])
        sizes = [size_text(size) for size in dict.fromkeys(runs["size"]) if size != "1"]
        if sizes and "size" not in published.keys:
            yield f"Ours were trained on a part of the data: {', '.join(sizes)}."
    for model, requested in dict(zip(runs["model"], runs[REQUESTED], strict=True)).items():
        if model != requested:
            yield f"{model} is {requested}, as it was asked for."
    yield from published.notes
    yield from (caution.text for caution in published.cautions if not caution.rows)
