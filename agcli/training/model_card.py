"""The model card of a saved model: data, settings and results. No example text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from huggingface_hub import ModelCardData

from agcli import __version__
from agcli.config import RunConfig
from agcli.errors import counted
from agcli.tables.markdown import grid
from agcli.tables.table import Table
from agcli.tasks.base import Task
from agcli.training.report import Plan

SETTINGS = (
    *("epochs", "batch_size", "accumulate", "learning_rate", "schedule", "warmup_ratio", "weight_decay", "optimizer"),
    *("max_length", "seed", "data_seed", "guide_mode", "guide_layers", "guide_heads", "reduction", "temperature"),
)
"""Options in the card's table; `max_steps` comes first where it was set."""


def text(config: RunConfig, plan: Plan, task: Task, metrics: dict[str, Any]) -> str:
    """The card as Markdown with the hub's YAML header."""
    dataset = task.dataset
    on_hub = plan.model.count("/") == 1 and not Path(plan.model).exists()
    header = ModelCardData(
        library_name="transformers",
        pipeline_tag=task.entry.pipeline_tag,
        base_model=plan.model if on_hub else None,
        tags=["attention-guiding", "agcli"],
    ).to_yaml()
    guides = ", ".join(plan.guides) or "none"
    licence = dataset.manifest.get("license") or "not stated"
    if dataset.credentialed:
        licence += " (credentialed: check its terms before you share this model)"
    facts = [
        *task.card_facts(),
        f"Data: {dataset.name}, SHA-256 of the prepared form `{dataset.digest}`, "
        f"{counted(metrics['train_examples'], 'training example')}",
        f"Data licence: {licence}",
        f"Chosen: epoch {metrics['best_epoch']} of {len(metrics['epochs'])}, by dev {metrics['metric']}",
        f"Arithmetic: {plan.precision} on {plan.device}; evaluation in fp32",
    ]
    note, settings = task.card_note(metrics), config.flat()
    shown = SETTINGS if config.training.max_steps is None else ("max_steps", *SETTINGS)
    return "\n".join(
        [
            f"---\n{header}\n---",
            f"# {plan.model if on_hub else Path(plan.model).name} fine-tuned on {dataset.name}",
            "",
            f"Trained with agcli {__version__}. Loss: {task.loss} + guides ({guides}). Attention guiding after Wang "
            "et al. 2022 (arXiv 2204.02922). The model loads in plain transformers; guiding changes training only.",
            "",
            *(f"- {fact}" for fact in facts),
            "",
            grid(_results(task, metrics)),
            "",
            *([note, ""] if note else []),
            "One run with one seed: a difference to another run says nothing on its own.",
            "",
            grid(Table("settings", ["option", "value"], [[name, str(settings[name])] for name in shown])),
            "",
        ]
    )


def _results(task: Task, metrics: dict[str, Any]) -> Table:
    names = task.entry.columns
    rows: list[list[object]] = []
    for split in ("dev", "test"):
        if split in metrics:
            baseline = f"{split}, {task.entry.baseline}"
            for title, values in ((split, metrics[split]), (baseline, metrics["baseline"][split])):
                rows.append([title, *(f"{values[name]:.4f}" for name in names), values["n"]])
    return Table("results", ["split", *names, "n"], rows)
