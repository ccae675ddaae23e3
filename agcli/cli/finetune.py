"""`ag finetune`: train one model, evaluate it, leave a run folder."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agcli.cli import display
from agcli.cli.parameters import JsonOption, OverwriteOption, PlanOptions, options_of_file, with_options
from agcli.config import RunConfig, make_config, recipe_values
from agcli.declare import declared_options, option
from agcli.options import OPTIONS
from agcli.runs.launcher import has_launcher, process_rank
from agcli.tables.table import Table

if TYPE_CHECKING:
    from agcli.runs.folder import RunFolder
    from agcli.training.output_folder import Placement


@dataclass(frozen=True)
class FinetuneOptions(JsonOption, OverwriteOption, PlanOptions):
    """One call of `ag finetune`, the options of its run aside."""

    resume: bool = option(False, "Go on with an unfinished run, exactly.")


def _finetune(*, given: dict[str, Any], run_options: dict[str, Any]) -> None:
    """Fine-tune an encoder with attention guiding: loss = task + Σ weight·guide.

    With no option at all: model minilm on the shipped sample, both guides at their defaults.
    """
    from agcli.training.output_folder import config_of_unfinished

    options = FinetuneOptions(**given)
    config = _resolve(run_options, options.config or config_of_unfinished(run_options, options.resume))
    place = _place(config, options)
    if options.dry_run:
        _show_plan(config, place.path, options.json)
        return
    for message in place.messages:
        display.note(message)
    if not place.finished:
        from agcli.cli.progress import RunProgress
        from agcli.training.run import finetune as train

        with RunProgress() as progress:
            train(config, place.path, resume=options.resume, overwrite=options.overwrite, callback=progress)
    _show_results(place.path, options.json)


def _resolve(given: dict[str, Any], config_file: Path | None) -> RunConfig:
    """Defaults < the file's recipe < config file < the command line's recipe < command line."""
    if config_file is None:
        return make_config(given)
    filed = options_of_file(config_file, given)
    # A run's own config.json names every option: a recipe on the command line must still win.
    chosen = {**filed, **recipe_values(given, {**filed, **given}), **given}
    return make_config(chosen, origin=str(config_file), from_command_line=given)


def _place(config: RunConfig, options: FinetuneOptions) -> Placement:
    """The run's folder; of several processes the first one chooses it."""
    from agcli.training.output_folder import choose

    if not has_launcher():
        return choose(config, resume=options.resume, overwrite=options.overwrite)
    from agcli.training.distributed import decide_once

    return decide_once(lambda: choose(config, resume=options.resume, overwrite=options.overwrite))


def _show_plan(config: RunConfig, path: Path, json: bool) -> None:
    from agcli.training.run import plan_run

    plan, options = asdict(plan_run(config, path)), config.flat()
    if json:
        display.show_json({"config": options, "plan": plan})
        return
    memory = plan.pop("memory_estimate_bytes")
    rows = [[name.replace("_", " "), display.shown(value)] for name, value in plan.items()]
    rows.append(["memory (a rough estimate)", f"{memory / 2**30:.1f} GiB"])
    display.show(Table("Plan (nothing was written)", ["what", "value"], rows))
    rows = [[name, display.shown(value)] for name, value in options.items()]
    display.show(Table("Options", ["option", "value"], rows))


def _show_results(path: Path, json: bool) -> None:
    if process_rank() > 0:
        return  # the first process may still be writing them
    from agcli.runs.folder import open_run

    folder = open_run(path)
    if json:
        display.show_json({"run": str(folder.path), **folder.metrics})
        return
    display.show(_metrics_table(folder))
    display.show_path("run folder", folder.path)


def _metrics_table(folder: RunFolder) -> Table:
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
    return Table(folder.name, ["split", *task.columns.values(), "n"], rows, "\n".join(caption))


finetune = with_options(_finetune, declared_options({"Options": FinetuneOptions}), run_options=OPTIONS)
