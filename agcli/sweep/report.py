"""The report of a sweep, from its saved results alone: means, comparisons, winners, power, tables and pictures.

Everything goes into `report/` of the sweep's folder: `means.csv`, `contrasts.csv`, `report.json`, `report.md`, the
pictures, and for a recipe the table as the paper lays it out, in CSV, JSON, Markdown and LaTeX.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from agcli.errors import DataError
from agcli.measures.bootstrap import Estimate
from agcli.measures.classification import Floats
from agcli.measures.crossed_bootstrap import crossed_bootstrap, power, power_line
from agcli.measures.ranking import MEASURES
from agcli.measures.seeds import FEWEST_SEEDS, SeedComparison
from agcli.ranking.saved_rankings import open_ranking
from agcli.runs.atomic import write_text, writing
from agcli.runs.folder import RunFolder
from agcli.sweep.cautions import against_baseline, mixed_arithmetic
from agcli.sweep.comparisons import Comparison, family, flat
from agcli.sweep.report_tables import mean_rows, report_tables
from agcli.sweep.results import read_results
from agcli.sweep.sweep import read_plan
from agcli.sweep.winners import winners
from agcli.tables.csv_json import json_text, records_csv
from agcli.tables.markdown import markdown
from agcli.tables.recorded_table import RecordedTable
from agcli.tables.table import Table
from agcli.tasks.classification import load_predictions

Draw = Callable[[Path, pd.DataFrame, Sequence[Mapping[str, Any]], str], Sequence[Path]]
"""(folder, results, flat comparisons, name of the recipe or "") -> the pictures written there."""
LayOut = Callable[[Mapping[str, Any], pd.DataFrame, Sequence[Mapping[str, Any]]], RecordedTable]
"""(the sweep's saved plan, results, flat comparisons) -> the table of its recipe."""


@dataclass(frozen=True, eq=False)
class Report:
    """The results of a sweep as tables, rows and pictures.

    Attributes:
        lines: cautions about the numbers, power, and the recipe's notes.
        contrasts: one plain row for each comparison, raw and corrected p-values included.
        means: one plain row for each setting and variant.
        paper_table: of a recipe the table laid out as the paper's, our numbers beside the paper's.
    """

    tables: tuple[Table, ...]
    lines: tuple[str, ...]
    contrasts: tuple[dict[str, object], ...]
    means: tuple[dict[str, object], ...]
    pictures: tuple[str, ...]
    paper_table: RecordedTable | None = None

    def as_json(self) -> dict[str, Any]:
        """Everything, for machines."""
        return {
            **{"means": list(self.means), "contrasts": list(self.contrasts), "lines": list(self.lines)},
            "paper_table": self.paper_table.records if self.paper_table else [],
            "pictures": list(self.pictures),
        }


def write_report(folder: Path, draw: Draw | None = None, lay_out: LayOut | None = None) -> Report:
    """Read a sweep's results, compare, draw, and write it all to `report/`; nothing is trained.

    Args:
        draw: draws the pictures; None: there are none.
        lay_out: lays a recipe's results out as the paper's table; None: there is none.

    Raises:
        DataError: no sweep there, or results that cannot be read.
        RunError: the disk refuses.
    """
    plan = read_plan(folder)
    if plan is None:
        raise DataError("no sweep here (it has no sweep.json)", file=folder, hint="`ag ablate --output` makes sweeps")
    table = read_results(folder / "results.csv")
    comparisons, chosen, means = family(table), winners(table), mean_rows(table)
    contrasts, recipe = flat(comparisons), plan.get("recipe")
    lines = [note for comparison in comparisons for note in comparison.notes]
    lines += [note for winner in chosen for note in winner.notes]
    lines += [*mixed_arithmetic(table), *against_baseline(table, means), *_over_examples(folder, comparisons)]
    place = folder / "report"
    with writing(place):
        place.mkdir(exist_ok=True)
    pictures = draw(place, table, contrasts, recipe["name"] if recipe else "") if draw else ()
    laid_out = lay_out(plan, table, contrasts) if recipe and lay_out else None
    report = Report(
        tables=tuple(report_tables(means, contrasts, chosen, table)),
        lines=tuple(dict.fromkeys([*lines, *(laid_out.table.notes if laid_out else ())])),
        contrasts=tuple(contrasts),
        means=tuple(means),
        pictures=tuple(path.name for path in pictures),
        paper_table=laid_out,
    )
    _write(place, report)
    return report


def _over_examples(folder: Path, comparisons: Sequence[Comparison]) -> Iterator[str]:
    """Of each comparison: the bootstrap crossed over seeds and examples, and the power of test set and seeds."""
    for row in comparisons:
        if row.contrast is None or row.unguided is None or row.contrast.n < 2:
            continue
        sides = [dict(row.unguided.fingerprints), dict(row.guided.fingerprints)]
        cells = [[folder / "cells" / side[seed] for seed in row.contrast.seeds] for side in sides]
        if not all(cell.is_dir() for side in cells for cell in side):
            yield f"{row.name}: nothing over examples, as cells of these seeds are not in {folder / 'cells'}."
            continue
        first, second = map(_scores, cells)
        if row.contrast.n >= FEWEST_SEEDS:  # of fewer the resampled spread is far too small
            yield f"{row.name}: {_crossed_line(row.contrast, crossed_bootstrap(first, second))}"
        needed = power(first, second)
        if needed is not None:
            yield f"{row.name}: {power_line(needed)}"


def _crossed_line(difference: SeedComparison, interval: Estimate) -> str:
    """The interval over seeds and examples, with a caution where it is narrower than the one over seeds alone."""
    caution = ""
    if interval.high - interval.low < (difference.high or 0.0) - (difference.low or 0.0):
        caution = " (narrower than the t-interval, since resampled seeds vary too little: go by the wider one)"
    return (
        f"{100 * difference.difference:+.2f} points; over seeds and examples both resampled "
        f"[{100 * interval.low:+.2f}, {100 * interval.high:+.2f}]{caution}."
    )


def _scores(cells: Sequence[Path]) -> Floats:
    """Scores of cells on their test examples, in the order of ids; shape (num_cells, num_examples).

    Raises:
        DataError: a cell's examples are not those of the first one.
    """
    rows = [_example_scores(cell) for cell in cells]
    for cell, scores in zip(cells, rows, strict=True):
        if scores.keys() != rows[0].keys():
            hint = "remove the cell's folder, and the sweep's command runs it again"
            raise DataError("not the test examples of the sweep's other cells", file=cell, hint=hint)
    return np.array([[scores[name] for name in sorted(scores)] for scores in rows], dtype=np.float64)


def _example_scores(cell: Path) -> dict[str, float]:
    """Test example -> whether it was answered right; of a query -> its reciprocal rank."""
    ranking = cell / "rankings" / "test"
    if (ranking / "per_query.csv").is_file():
        measures = open_ranking(ranking).reranked
        return dict(zip(measures.queries, measures.values[:, MEASURES.index("RR")].tolist(), strict=True))
    predictions = load_predictions(RunFolder(cell), "test")
    return dict(zip(predictions.ids, predictions.correct.astype(float).tolist(), strict=True))


def _write(place: Path, report: Report) -> None:
    for name, rows in (("means.csv", report.means), ("contrasts.csv", report.contrasts)):
        write_text(place / name, records_csv(rows))
    write_text(place / "report.json", json_text(report.as_json()))
    noted = report.paper_table.table.notes if report.paper_table else ()
    parts = [markdown(table).rstrip() for table in report.tables]
    parts += ["\n".join(f"- {line}" for line in report.lines if line not in noted)]
    if report.paper_table:
        parts.append(markdown(report.paper_table.table).rstrip())
        for name, text in report.paper_table.files("paper_table").items():
            write_text(place / name, text)
    write_text(place / "report.md", "\n\n".join(part for part in parts if part) + "\n")
