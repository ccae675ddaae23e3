"""`ag ablate --recipe table4`: the paper's seconds an epoch. Nothing is trained to the end; `ag timing` measures it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agcli.cli import display

if TYPE_CHECKING:
    from agcli.paper.recipes import Recipe
    from agcli.timing.plan import TimingRequest
    from agcli.timing.rows import TimingRow


def time_recipe(asked: Recipe, options: Mapping[str, Any], output: Path, *, dry_run: bool, json: bool) -> None:
    """Time every model on every data set of a recipe, and lay the seconds out beside the paper's.

    Args:
        asked: the recipe.
        options: run options that win over its own.
        output: gets a folder as `ag timing --output` writes it for each data set, and the paper's table.
        dry_run: only say what would be measured.
        json: print the table as JSON.
    """
    import pandas as pd

    from agcli.cli.timing_display import TimingProgress
    from agcli.paper.paper_table import paper_table
    from agcli.paper.published import epoch_seconds
    from agcli.runs.atomic import write_text, writing
    from agcli.timing.measure import measure
    from agcli.timing.plan import plan_groups
    from agcli.timing.record import check_free, write_record
    from agcli.timing.rows import group_rows

    wanted = dict(_requests(asked, options))
    planned = {name: plan_groups(request) for name, request in wanted.items()}
    if dry_run:
        plan = [[name, group.name, ", ".join(asked.variants)] for name, groups in planned.items() for group in groups]
        display.show_table("Plan (nothing was written)", ["folder", "group", "variants"], plan)
        return
    for name in wanted:
        check_free(output / name)
    rows: list[TimingRow] = []
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
    with TimingProgress() as watch:
        for name, request in wanted.items():
            times = list(measure(planned[name], watch))
            found = [row for each in times for row in group_rows(each, epoch_seconds)]
            write_record(output / name, request, times, found)
            rows += found
    table = paper_table(asked.name, pd.DataFrame([asdict(row) for row in rows]), notes=asked.notes)
    for file, text in table.files("paper_table").items():
        write_text(output / file, text)
    if json:
        display.show_json({"paper_table": table.records})
        return
    display.show(table.table)
    for note in table.table.notes:
        display.show_text(note)
    display.show_path("times and table", output)


def _requests(asked: Recipe, options: Mapping[str, Any]) -> Iterator[tuple[str, TimingRequest]]:
    """Name of the folder -> what is timed there: a data set at one batch size."""
    from agcli.config import make_config
    from agcli.options import OPTIONS
    from agcli.timing.plan import TimingRequest

    for part in asked.parts:
        config = make_config({name: value for name, value in part.options.items() if name in OPTIONS} | dict(options))
        for dataset in part.datasets:
            several = sum(dataset in other.datasets for other in asked.parts) > 1
            yield (
                "-".join([Path(dataset).name, *(Path(each).name for each in part.models if several)]),
                TimingRequest(
                    models=part.models,
                    variants=asked.variants,
                    lengths=part.options["lengths"],
                    padding=part.options["padding"],
                    dataset=dataset,
                    model=config.model,
                    training=config.training,
                ),
            )
