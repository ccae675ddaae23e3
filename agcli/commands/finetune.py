"""`ag finetune`: train one model, judge it, leave a run folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agcli.commands import display
from agcli.commands.run_options import resolve

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from agcli.results import RunFolder


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
    from agcli import placement

    chosen = resolve(given, config or placement.config_of_unfinished(given.get("output"), resume))
    place = placement.choose(chosen, resume=resume, overwrite=overwrite)
    if dry_run:
        _show_plan(chosen.flat(), place.path, json)
        return
    for message in place.messages:
        display.note(message)
    if place.finished:
        _show_results(place.path, json)
        return
    from agcli.runs import finetune as train

    with _make_watch() as watch:
        folder = train(chosen, place.path, resume=resume, watch=watch)
    _show_results(folder.path, json)


def _show_plan(options: Mapping[str, Any], path: Path, json: bool) -> None:
    from agcli.config import make_config
    from agcli.runs import plan_run

    plan = asdict(plan_run(make_config(options), path))
    if json:
        display.show_json({"config": dict(options), "plan": plan})
        return
    display.show_table("Plan (nothing was written)", ["what", "value"], _plan_rows(plan))
    display.show_table(
        "Options", ["option", "value"], [[name, display.shown(value)] for name, value in options.items()]
    )


def _plan_rows(plan: Mapping[str, Any]) -> list[list[object]]:
    rows: list[list[object]] = []
    for name, value in plan.items():
        if name == "memory_estimate_bytes":
            rows.append(["memory (a rough estimate)", f"{value / 2**30:.1f} GiB"])
        else:
            rows.append([name.replace("_", " "), display.shown(value)])
    return rows


def _make_watch() -> Any:
    """The display's watch. Made in a function, since its base class brings torch along."""
    from agcli.watch import Watch

    class ProgressWatch(Watch):
        """One bar over the steps, one for a prediction under way, a line an epoch."""

        def __enter__(self) -> ProgressWatch:
            self.bars: Progress = display.progress_bar()
            self.bars.start()
            self.steps: TaskID | None = None
            self.prediction: TaskID | None = None
            return self

        def __exit__(self, *_: object) -> None:
            self.bars.stop()

        def plan(self, plan: Any) -> None:
            cut = {split: count for split, count in plan.truncated.items() if count}
            display.note(
                f"{plan.model}: {plan.num_parameters / 1e6:.1f} M weights, {plan.num_layers} layers of "
                f"{plan.num_heads} heads; {plan.examples['train']} training pairs; guides: {', '.join(plan.guides) or 'none'}; "
                f"{plan.precision} on {plan.device}"
            )
            for line in plan.notes:
                display.note(line)
            if cut:
                display.note(f"pairs cut to the maximum length: {cut}")

        def message(self, text: str) -> None:
            display.note(text)

        def warning(self, text: str) -> None:
            display.warn(text)

        def training(self, done_steps: int, total_steps: int) -> None:
            self.steps = self.bars.add_task("training", total=total_steps, completed=done_steps, status="")

        def step(self, report: Any) -> None:
            if self.steps is not None:
                guides = " ".join(f"{name} {value:.4f}" for name, value in report.guides.items())
                status = f"task {report.task_loss:.3f} {guides} {report.examples / report.seconds:.0f} examples/s"
                self.bars.update(self.steps, completed=report.step, status=status)

        def predicting(self, split: str, total_examples: int) -> None:
            if self.prediction is not None:
                self.bars.remove_task(self.prediction)
            self.prediction = self.bars.add_task(f"judging {split}", total=total_examples, status="")

        def predicted(self, num_examples: int) -> None:
            if self.prediction is not None:
                self.bars.advance(self.prediction, num_examples)

        def epoch(self, epoch: Mapping[str, Any]) -> None:
            guides = "".join(f", {name} {epoch[name]:.4f}" for name in ("mdg", "pdg") if name in epoch)
            dev = epoch["dev"]
            display.note(
                f"epoch {epoch['epoch']}: task loss {epoch['task_loss']:.4f}{guides}; "
                f"dev accuracy {dev['accuracy']:.4f}, macro F1 {dev['f1_macro']:.4f}"
            )

    return ProgressWatch()


def _show_results(path: Path, json: bool) -> None:
    from agcli.results import open_run

    folder = open_run(path)
    if json:
        display.show_json({"run": str(folder.path), **folder.metrics})
        return
    _show_metrics(folder)
    display.show_path("run folder", folder.path)


def _show_metrics(folder: RunFolder) -> None:
    metrics = folder.metrics
    columns = ["accuracy", "precision_macro", "recall_macro", "f1_macro", "n"]
    rows: list[list[object]] = []
    for split in ("dev", "test"):
        if split in metrics:
            baseline = metrics["baseline"][split]
            rows.append([split, *(metrics[split][name] for name in columns)])
            rows.append([f"{split}, always {baseline['label']!r}", *(baseline[name] for name in columns)])
    guides = ", ".join(f"{name} {value:.4f}" for name, value in metrics["guides"].items()) or "none"
    display.show_table(
        folder.name,
        ["", *columns],
        rows,
        caption=f"best epoch {metrics['best_epoch']} of {len(metrics['epochs'])}; guides in the last epoch: {guides}; "
        "one seed says nothing about a difference",
    )
