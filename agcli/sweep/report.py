"""What a sweep says, from its saved results alone: means, contrasts, winners, power, the paper's table, pictures.

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
from agcli.evaluate.saved_rankings import open_ranking
from agcli.measures.bootstrap import Estimate
from agcli.measures.classification import Floats
from agcli.measures.crossed import crossed_bootstrap, power, power_line
from agcli.measures.ranking import MEASURES
from agcli.measures.seeds import FEWEST_SEEDS, SeedComparison
from agcli.runs.atomic import write_text, writing
from agcli.runs.folder import RunFolder
from agcli.sweep.contrasts import ContrastRow, family, flat
from agcli.sweep.means import below_baseline, mean_rows
from agcli.sweep.plan import read_plan
from agcli.sweep.report_tables import report_tables
from agcli.sweep.selection import winners
from agcli.sweep.table import checked, read_results
from agcli.tables.markdown import markdown
from agcli.tables.recorded import RecordedTable
from agcli.tables.records import json_text, records_csv
from agcli.tables.table import Table

Draw = Callable[[Path, pd.DataFrame, Sequence[Mapping[str, Any]], str], Sequence[Path]]
"""(folder, results, flat comparisons, name of the recipe or "") -> the pictures written there."""
LayOut = Callable[[Mapping[str, Any], pd.DataFrame, Sequence[Mapping[str, Any]]], RecordedTable]
"""(the sweep's saved plan, results, flat comparisons) -> the table of its recipe."""


@dataclass(frozen=True, eq=False)
class Report:
    """What was found.

    Attributes:
        tables: for people.
        lines: what must be said in words: claims that cannot be made, power, the recipe's notes.
        contrasts: one plain row for each comparison, raw and corrected p-values included.
        means: one plain row for each setting and variant.
        pictures: the files drawn.
        paper_table: of a recipe the table laid out as the paper's, ours beside the paper's numbers.
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
        folder: of the sweep.
        draw: draws the pictures; None: there are none.
        lay_out: lays a recipe's results out as the paper's table; None: there is none.

    Raises:
        DataError: no sweep there, or results that cannot be read.
        RunError: the disk refuses.
    """
    plan, results = _plan(folder), read_results(folder / "results.csv")
    table = checked(results)
    comparisons, chosen, means = family(results), winners(results), mean_rows(table)
    lines = [*dict.fromkeys(note for row in comparisons for note in row.notes)]
    lines += [note for found in chosen for note in found.notes]
    lines += [*_arithmetic(results), *below_baseline(table)]
    lines += list(_over_examples(folder, comparisons))
    place = folder / "report"
    with writing(place):
        place.mkdir(exist_ok=True)
    asked = plan.get("recipe")
    pictures = draw(place, results, flat(comparisons), asked["name"] if asked else "") if draw else ()
    tables = list(report_tables(means, comparisons, chosen, results))
    laid_out = lay_out(plan, results, flat(comparisons)) if asked and lay_out else None
    report = Report(
        tables=tuple(tables),
        lines=tuple(dict.fromkeys([*lines, *(laid_out.table.notes if laid_out else ())])),
        contrasts=tuple(flat(comparisons)),
        means=tuple(means),
        pictures=tuple(path.name for path in pictures),
        paper_table=laid_out,
    )
    _write(place, report)
    return report


def _plan(folder: Path) -> dict[str, Any]:
    plan = read_plan(folder)
    if plan is None:
        raise DataError("no sweep here (it has no sweep.json)", file=folder, hint="`ag ablate --output` makes sweeps")
    return plan


def _arithmetic(results: pd.DataFrame) -> Iterator[str]:
    """That cells ran in different arithmetic, which `auto` may come to on different machines."""
    if not {"precision", "device"} <= set(results):
        return
    finished = results[results["state"] == "finished"]
    found = sorted({f"{row.precision} on {row.device}" for row in finished.itertuples()})
    if len(found) > 1 and "set:precision" not in results:
        yield f"Cells ran in different arithmetic ({'; '.join(found)}): a difference between arms may come of that."


def _over_examples(folder: Path, comparisons: Sequence[ContrastRow]) -> Iterator[str]:
    """Of each comparison: the bootstrap crossed over seeds and examples, and what the test set and seeds can show."""
    for row in comparisons:
        if row.contrast is None or row.contrast.n < 2:
            continue
        arms = [dict(arm.marks) for arm in (row.unguided, row.guided) if arm is not None]
        first, second = (_scores([folder / "cells" / arm[seed] for seed in row.contrast.seeds]) for arm in arms)
        name = f"{row.setting.name}, {row.variant}"
        if row.contrast.n >= FEWEST_SEEDS:  # of fewer the resampled spread is far too small
            yield f"{name}: {_crossed_line(row.contrast, crossed_bootstrap(first, second))}"
        found = power(first, second)
        if found is not None:
            yield f"{name}: {power_line(found)}"


def _crossed_line(found: SeedComparison, interval: Estimate) -> str:
    """The interval over seeds and examples, with a caution where it is narrower than the one over seeds alone."""
    width = (found.high or 0.0) - (found.low or 0.0)
    caution = ""
    if interval.high - interval.low < width:
        caution = " (narrower than the t-interval, since resampled seeds vary too little: go by the wider one)"
    return (
        f"{100 * found.difference:+.2f} points; over seeds and examples both resampled "
        f"[{100 * interval.low:+.2f}, {100 * interval.high:+.2f}]{caution}."
    )


def _scores(cells: Sequence[Path]) -> Floats:
    """Scores of cells on their test examples, in the order of ids; shape (num_cells, num_examples).

    Raises:
        DataError: a cell's examples are not those of the first one.
    """
    found = [_example_scores(cell) for cell in cells]
    for cell, scores in zip(cells, found, strict=True):
        if scores.keys() != found[0].keys():
            hint = "remove the cell's folder, and the sweep's command runs it again"
            raise DataError("not the test examples of the sweep's other cells", file=cell, hint=hint)
    return np.array([[scores[name] for name in sorted(scores)] for scores in found], dtype=np.float64)


def _example_scores(cell: Path) -> dict[str, float]:
    """Test example -> whether it was answered right; of a ranking claim -> its reciprocal rank."""
    ranking = cell / "rankings" / "test"
    if (ranking / "per_query.csv").is_file():
        measures = open_ranking(ranking).reranked
        return dict(zip(measures.queries, measures.values[:, MEASURES.index("RR")].tolist(), strict=True))
    predictions = RunFolder(cell).load_predictions("test")
    return dict(zip(predictions.ids, predictions.correct.astype(float).tolist(), strict=True))


def _write(place: Path, report: Report) -> None:
    for name, rows in (("means.csv", report.means), ("contrasts.csv", report.contrasts)):
        write_text(place / name, records_csv(rows))
    write_text(place / "report.json", json_text(report.as_json()))
    said = report.paper_table.table.notes if report.paper_table else ()
    parts = [markdown(table).rstrip() for table in report.tables]
    parts += ["\n".join(f"- {line}" for line in report.lines if line not in said)]
    if report.paper_table:
        parts.append(markdown(report.paper_table.table).rstrip())
        for name, text in report.paper_table.files("paper_table").items():
            write_text(place / name, text)
    write_text(place / "report.md", "\n\n".join(part for part in parts if part) + "\n")
