"""The progress of a run on the terminal: a bar over its steps, one over a prediction, a line for each epoch.

Imported where a run starts, not with the command line: the engine behind `RunCallback` brings torch along.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agcli.cli import display
from agcli.errors import counted
from agcli.guides.registry import GUIDES
from agcli.tasks.registry import TASKS
from agcli.training.report import Plan, RunCallback, StepReport


class RunProgress(display.Bars, RunCallback):
    """Shows a run."""

    words: Mapping[str, str] = {}

    def plan(self, plan: Plan) -> None:
        """What is about to run."""
        self.words = TASKS[plan.task].epoch_line
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

    def training(self, done_steps: int, total_steps: int) -> None:
        """Start the bar over the steps."""
        self.start("training", total_steps, done_steps)

    def step(self, report: StepReport) -> None:
        """Move it."""
        guides = " ".join(f"{name} {value:.4f}" for name, value in report.guides.items())
        status = f"task {report.task_loss:.3f} {guides} {report.examples / report.seconds:.0f} examples/s"
        self.move("training", completed=report.step, status=status)

    def predicting(self, split: str, total_examples: int) -> None:
        """Start the bar over a prediction, in the place of an earlier one."""
        self.start("prediction", total_examples, label=f"evaluating {split}")

    def predicted(self, num_examples: int) -> None:
        """Move it."""
        self.move("prediction", advance=num_examples)

    def epoch(self, epoch: Mapping[str, Any]) -> None:
        """The epoch's line."""
        guides = "".join(f", {name} {epoch[name]:.4f}" for name in GUIDES if name in epoch)
        metrics = ", ".join(f"{word} {epoch['dev'][name]:.4f}" for name, word in self.words.items())
        self.message(f"epoch {epoch['epoch']}: task loss {epoch['task_loss']:.4f}{guides}; dev {metrics}")
