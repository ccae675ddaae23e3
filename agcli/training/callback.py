"""Events of a run, for the display or whoever else follows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agcli.training.assemble import Plan
from agcli.training.report import StepReport


class RunCallback:
    """Is called as a run goes on; every method does nothing unless it is overridden."""

    def plan(self, plan: Plan) -> None:
        """Everything is loaded; training starts."""

    def message(self, text: str) -> None:
        """A line of log."""

    def warning(self, text: str) -> None:
        """A warning."""

    def training(self, done_steps: int, total_steps: int) -> None:
        """Training starts, or is resumed after `done_steps`."""

    def step(self, report: StepReport) -> None:
        """An optimiser step has ended."""

    def predicting(self, split: str, total_examples: int) -> None:
        """Prediction of a split starts."""

    def predicted(self, num_examples: int) -> None:
        """So many more examples are predicted."""

    def epoch(self, epoch: Mapping[str, Any]) -> None:
        """An epoch has ended; its entry in metrics.json."""


def gradient_shares(norms: Mapping[str, float]) -> str:
    """The first log line of a guided run: each guide's gradient beside the task's."""
    task = norms["task"]
    guides = (
        f"{name} {value:.3g}" + (f" ({100 * value / task:.1f} % of it)" if task > 0 else "")
        for name, value in norms.items()
        if name != "task"
    )
    return f"gradient norms on the first batch: task {task:.3g}, " + ", ".join(guides)
