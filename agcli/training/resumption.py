"""Whether a run can go on here and now to the results it would have had: the same data, the same arithmetic."""

from __future__ import annotations

import torch

from agcli.errors import DataError, UsageError
from agcli.training.assemble import Assembly


def check_same_data(parts: Assembly) -> None:
    """Refuse data other than those that the run began with.

    Raises:
        DataError: they differ.
    """
    began_with = parts.folder.environment.get("data", {}).get("digest")
    if began_with not in (None, parts.data.dataset.digest):
        hint = "bring them back as they were, or start anew with --overwrite"
        raise DataError("not the data that the run began with", file=parts.data.dataset.folder, hint=hint)


def check_same_arithmetic(parts: Assembly) -> str:
    """The same settings can mean other numbers on another machine, where `auto` is resolved anew.

    Returns:
        A warning where the last bits may differ; empty where nothing does.

    Raises:
        UsageError: more than that differs.
    """
    before = parts.folder.environment
    plan, now = before.get("plan", {}), parts.plan
    for name in ("processes", "precision", "device", "attention"):
        if plan.get(name) not in (None, getattr(now, name)):
            raise UsageError(
                f"--resume: the run began with {name} {plan[name]}; here it would go on with {getattr(now, name)}.",
                hint="go on where it began, or start anew with --overwrite",
            )
    threads = before.get("torch_threads")
    if threads in (None, torch.get_num_threads()):
        return ""
    return (
        f"the run began with {threads} threads and goes on with {torch.get_num_threads()}: sums may differ in "
        "their last bits (OMP_NUM_THREADS sets the number)."
    )
