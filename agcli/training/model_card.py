"""The model card beside a saved model: what was trained, on what, how, and what came out. No example text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCardData

from agcli import __version__
from agcli.config import RunConfig
from agcli.errors import counted
from agcli.tasks.run_data import RunData
from agcli.training.assemble import Plan


def text(config: RunConfig, plan: Plan, data: RunData, metrics: dict[str, Any]) -> str:
    """The card as Markdown with the hub's YAML header."""
    dataset = data.dataset
    ranks = "RR" in data.metrics
    names = data.metrics[:5] if ranks else data.metrics
    on_hub = plan.model.count("/") == 1 and not Path(plan.model).exists()
    header = ModelCardData(
        library_name="transformers",
        pipeline_tag="text-ranking" if ranks else "text-classification",
        base_model=plan.model if on_hub else None,
        tags=["attention-guiding", "agcli"],
    ).to_yaml()
    guides = ", ".join(plan.guides) or "none"
    settings = config.flat()
    shown = ("epochs", "batch_size", "accumulate", "learning_rate", "schedule", "warmup_ratio", "weight_decay",
             "optimizer", "max_length", "seed", "data_seed", "guide_mode", "guide_layers", "guide_heads", "reduction",
             "temperature")  # fmt: skip
    return "\n".join(
        [
            f"---\n{header}\n---",
            f"# {plan.model if on_hub else Path(plan.model).name} fine-tuned on {dataset.name}",
            "",
            f"Trained with agcli {__version__}. Loss: {data.loss} + guides ({guides}). Attention guiding after Wang "
            "et al. 2022 (arXiv 2204.02922). The model loads in plain transformers; guiding changes training only.",
            "",
            *([] if ranks else [f"- Labels: {', '.join(plan.labels)}"]),
            f"- Data: {dataset.name}, SHA-256 of the prepared form `{dataset.digest}`, "
            f"{counted(metrics['train_examples'], 'training example')}",
            f"- Data licence: {dataset.manifest.get('license') or 'not stated'}"
            + (" (credentialed: check its terms before you share this model)" if dataset.credentialed else ""),
            f"- Chosen: epoch {metrics['best_epoch']} of {len(metrics['epochs'])}, by dev {metrics['metric']}",
            f"- Arithmetic: {plan.precision} on {plan.device}; evaluation in fp32",
            "",
            f"| split | {' | '.join(names)} | n |",
            "|---" * (len(names) + 2) + "|",
            *_rows(data, names, metrics),
            "",
            *([_DEV_RANKING.format(depth=data.dev_depth, claims=metrics["dev"]["n"]), ""] if ranks else []),
            "One run with one seed: a difference to another run says nothing on its own.",
            "",
            "| option | value |",
            "|---|---|",
            *(f"| {name} | {settings[name]} |" for name in shown),
            "",
        ]
    )


def _rows(data: RunData, names: Sequence[str], metrics: dict[str, Any]) -> list[str]:
    rows = []
    for split in ("dev", "test"):
        for title, found in (
            (split, metrics.get(split)),
            (f"{split}, {data.baseline}", metrics["baseline"].get(split)),
        ):
            if found is not None:
                rows.append(f"| {title} | " + " | ".join(f"{found[name]:.4f}" for name in names) + f" | {found['n']} |")
    return rows


_DEV_RANKING = (
    "Dev is the first {depth} candidates of {claims} claims; a claim whose document is not among them scores 0. The "
    "score is the model's one output, or the difference of its two (relevant minus irrelevant). sentence-transformers' "
    "`CrossEncoder` gives the same outputs as long as the document is the longer text where a pair must be cut."
)
