"""`ag ablate --recipe table4`: the paper's seconds an epoch. Nothing is trained to the end; `ag timing` measures it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agcli.cli import display
from agcli.config import make_config
from agcli.options import OPTIONS
from agcli.tables.table import Table
from agcli.timing import request as timing

if TYPE_CHECKING:
    from agcli.paper.recipes import Recipe


def time_recipe(recipe: Recipe, options: Mapping[str, Any], output: Path, *, dry_run: bool, json: bool) -> None:
    """Time every model on every data set of a recipe, and lay the seconds out beside the paper's.

    Args:
        options: run options that win over the recipe's.
        output: gets a folder as `ag timing --output` writes it for each data set, and the paper's table.
        dry_run: only show what would be measured.
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

    requests = dict(_requests(recipe, options))
    planned = {name: plan_groups(request) for name, request in requests.items()}
    if dry_run:
        plan = [[name, group.name, ", ".join(recipe.variants)] for name, groups in planned.items() for group in groups]
        display.show(Table("Plan (nothing was written)", ["folder", "group", "variants"], plan))
        return
    for name in requests:
        check_free(output / name)
    with writing(output):
        output.mkdir(parents=True, exist_ok=True)
    seconds: list[dict[str, Any]] = []
    with TimingProgress() as progress:
        for name, request in requests.items():
            times = list(measure(planned[name], progress))
            rows = [row for group in times for row in group_rows(group, epoch_seconds)]
            write_record(output / name, request, times, rows)
            seconds += map(asdict, rows)
    table = paper_table(recipe.name, pd.DataFrame(seconds), notes=recipe.notes)
    for file, text in table.files("paper_table").items():
        write_text(output / file, text)
    if json:
        display.show_json({"paper_table": table.records})
        return
    display.show(table.table)
    for note in table.table.notes:
        display.show_text(note)
    display.show_path("times and table", output)


def _requests(recipe: Recipe, options: Mapping[str, Any]) -> Iterator[tuple[str, timing.TimingRequest]]:
    """Name of the folder -> what is timed there: a data set at one batch size."""
    for part in recipe.parts:
        config = make_config({name: value for name, value in part.options.items() if name in OPTIONS} | dict(options))
        for dataset in part.datasets:
            several = sum(dataset in other.datasets for other in recipe.parts) > 1
            name = "-".join([Path(dataset).name, *(Path(model).name for model in part.models if several)])
            yield (
                name,
                timing.TimingRequest(
                    models=part.models,
                    variants=recipe.variants,
                    lengths=part.options["lengths"],
                    padding=part.options["padding"],
                    dataset=dataset,
                    model=config.model,
                    training=config.training,
                ),
            )
