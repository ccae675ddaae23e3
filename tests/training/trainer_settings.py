"""What the tests of both trainers train with: plain SGD, so that equal gradients give equal weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def sgd_settings(folder: Path, **changes: Any) -> dict[str, Any]:
    """Training arguments of one short epoch that logs each step and saves nothing; `changes` win."""
    return {
        "output_dir": str(folder),
        "use_cpu": True,
        "optim": "sgd",
        "learning_rate": 0.1,
        "lr_scheduler_type": "constant",
        "max_grad_norm": 0.0,
        "num_train_epochs": 1,
        "per_device_train_batch_size": 8,
        "logging_steps": 1,
        "report_to": "none",
        "save_strategy": "no",
        "disable_tqdm": True,
        **changes,
    }
