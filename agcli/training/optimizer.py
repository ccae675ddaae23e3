"""The optimiser and the learning-rate schedule of a run."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from transformers import get_scheduler

from agcli.options import TrainingOptions


def make_optimizer(model: nn.Module, options: TrainingOptions) -> torch.optim.Optimizer:
    """Fused Adam or AdamW; biases and normalisation weights (one-dimensional) are not decayed."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    if options.optimizer == "adam":
        return torch.optim.Adam(weights, lr=options.learning_rate, fused=True)
    groups = [
        {"params": [weight for weight in weights if weight.dim() > 1], "weight_decay": options.weight_decay},
        {"params": [weight for weight in weights if weight.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=options.learning_rate, fused=True)


def make_scheduler(optimizer: torch.optim.Optimizer, options: TrainingOptions, total_steps: int) -> Any:
    """Linear warm-up over a share of the steps, then linear decay to 0 or a constant rate."""
    return get_scheduler(
        options.schedule if options.schedule == "linear" else "constant_with_warmup",
        optimizer,
        num_warmup_steps=math.ceil(options.warmup_ratio * total_steps),
        num_training_steps=total_steps,
    )
