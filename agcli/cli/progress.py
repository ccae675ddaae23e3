"""A run as it goes, on the terminal: a bar over the steps, one over a prediction under way, a line an epoch.

Imported where a run starts, not with the command line: the engine behind `Watch` brings torch along.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.progress import TaskID

from agcli.cli import display
from agcli.errors import counted
from agcli.training.assemble import Plan
from agcli.training.report import StepReport
from agcli.training.watch import Watch


class ProgressWatch(Watch):
    """Shows a run; a context manager, so that the bars are taken away whatever happens."""

    def __init__(self) -> None:
        self.bars = display.progress_bar()
        self.steps: TaskID | None = None
        self.prediction: TaskID | None = None

    def __enter__(self) -> ProgressWatch:
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def plan(self, plan: Plan) -> None:
        """What is about to run."""
        parts = [
            f"{plan.model}: {plan.num_parameters / 1e6:.1f} M weights",
            f"{counted(plan.num_layers, 'layer')} of {counted(plan.num_heads, 'head')}",
            f"{counted(plan.examples['train'], 'training pair')}, {counted(plan.total_steps, 'step')}",
            f"guides: {', '.join(plan.guides) or 'none'}",
            *([f"monitored: {', '.join(plan.monitors)}"] if plan.monitors else []),
            f"{plan.precision} on {plan.device}",
        ]
        self.message("; ".join(parts))
        for line in plan.notes:
            self.message(line)
        if any(plan.truncated.values()):
            cut = ", ".join(f"{count} {split}" for split, count in plan.truncated.items())
            self.message(f"pairs cut to the maximum length: {cut}")

    def message(self, text: str) -> None:
        """A line of log, above the bars."""
        display.note(text, self.bars.console)

    def warning(self, text: str) -> None:
        """A warning, above the bars."""
        display.warn(text, self.bars.console)

    def training(self, done_steps: int, total_steps: int) -> None:
        """Start the bar over the steps."""
        self.steps = self.bars.add_task("training", total=total_steps, completed=done_steps, status="")

    def step(self, report: StepReport) -> None:
        """Move it."""
        if self.steps is not None:
            guides = " ".join(f"{name} {value:.4f}" for name, value in report.guides.items())
            status = f"task {report.task_loss:.3f} {guides} {report.examples / report.seconds:.0f} examples/s"
            self.bars.update(self.steps, completed=report.step, status=status)

    def predicting(self, split: str, total_examples: int) -> None:
        """Start the bar over a prediction, in the place of an earlier one."""
        if self.prediction is not None:
            self.bars.remove_task(self.prediction)
        self.prediction = self.bars.add_task(f"evaluating {split}", total=total_examples, status="")

    def predicted(self, num_examples: int) -> None:
        """Move it."""
        if self.prediction is not None:
            self.bars.advance(self.prediction, num_examples)

    def epoch(self, epoch: Mapping[str, Any]) -> None:
        """The epoch's line."""
        guides = "".join(f", {name} {epoch[name]:.4f}" for name in ("mdg", "pdg") if name in epoch)
        dev = epoch["dev"]
        shown = {"accuracy": "accuracy", "f1_macro": "macro F1", "RR": "RR", "R@1": "R@1"}
        metrics = ", ".join(f"{word} {dev[name]:.4f}" for name, word in shown.items() if name in dev)
        self.message(f"epoch {epoch['epoch']}: task loss {epoch['task_loss']:.4f}{guides}; dev {metrics}")
