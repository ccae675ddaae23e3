"""`ag finetune`: train one model, evaluate it, leave a run folder."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agcli.cli import display
from agcli.cli.run_options import resolve
from agcli.runs.launcher import has_launcher, process_rank

if TYPE_CHECKING:
    from agcli.config import RunConfig
    from agcli.runs.folder import RunFolder
    from agcli.training.placement import Placement


def finetune(
    *,
    given: dict[str, Any],
    config: Annotated[
        Path | None, typer.Option(help="Options from a JSON or TOML file, such as a run's config.json.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an unfinished run, exactly.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run in that folder.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be done, and stop.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Fine-tune an encoder with attention guiding: loss = task + mdg·MDG + pdg·PDG.

    With no option at all: model minilm on the shipped sample, both guides at their defaults.
    """
    from agcli.training.placement import config_of_unfinished

    chosen = resolve(given, config or config_of_unfinished(given, resume))
    place = _place(chosen, resume, overwrite)
    if dry_run:
        _show_plan(chosen, place.path, json)
        return
    for message in place.messages:
        display.note(message)
    if place.finished:
        _show_results(place.path, json)
        return
    from agcli.cli.progress import RunProgress
    from agcli.training.run import finetune as train

    with RunProgress() as progress:
        folder = train(chosen, place.path, resume=resume, overwrite=overwrite, callback=progress)
    _show_results(folder.path, json)


def _place(config: RunConfig, resume: bool, overwrite: bool) -> Placement:
    """The run's folder; of several processes the first one chooses it."""
    from agcli.training.placement import choose

    if not has_launcher():
        return choose(config, resume=resume, overwrite=overwrite)
    from agcli.training.distributed import decide_once

    return decide_once(lambda: choose(config, resume=resume, overwrite=overwrite))


def _show_plan(config: RunConfig, path: Path, json: bool) -> None:
    from agcli.training.run import plan_run

    plan, options = asdict(plan_run(config, path)), config.flat()
    if json:
        display.show_json({"config": options, "plan": plan})
        return
    rows: list[list[object]] = []
    for name, value in plan.items():
        if name == "memory_estimate_bytes":
            rows.append(["memory (a rough estimate)", f"{value / 2**30:.1f} GiB"])
        else:
            rows.append([name.replace("_", " "), display.shown(value)])
    display.show_table("Plan (nothing was written)", ["what", "value"], rows)
    display.show_table("Options", ["option", "value"], [[name, display.shown(options[name])] for name in options])


def _show_results(path: Path, json: bool) -> None:
    if process_rank() > 0:
        return  # the first process may still be writing them
    from agcli.runs.folder import open_run

    folder = open_run(path)
    if json:
        display.show_json({"run": str(folder.path), **folder.metrics})
        return
    _show_metrics(folder)
    display.show_path("run folder", folder.path)


def _show_metrics(folder: RunFolder) -> None:
    from agcli.tasks.registry import TASKS

    metrics, task = folder.metrics, TASKS[folder.task]
    names = [*task.columns, "n"]
    rows: list[list[object]] = []
    for split in ("dev", "test"):
        if split in metrics:
            baseline = metrics["baseline"][split]
            rows.append([split, *(metrics[split][name] for name in names)])
            title = f"{split}, {task.baseline_row.format_map(baseline)}"
            rows.append([title, *(baseline[name] for name in names)])
    guides = ", ".join(f"{name} {value:.4f}" for name, value in metrics["guides"].items())
    caption = [
        task.caption.format_map(metrics),
        f"Best epoch {metrics['best_epoch']} of {len(metrics['epochs'])}."
        + (f" Guides in the last epoch: {guides}." if guides else ""),
        "One seed says nothing about a difference between settings.",
    ]
    columns = ["split", *task.columns.values(), "n"]
    display.show_table(folder.name, columns, rows, caption="\n".join(caption))
