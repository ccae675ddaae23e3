"""What a launcher of several processes, such as `accelerate launch` or torchrun, tells each of them."""

from __future__ import annotations

import os


def process_rank() -> int:
    """Number of this process, 0-based; 0 where there is one."""
    return int(os.environ.get("RANK", "0"))


def has_launcher() -> bool:
    """Whether a launcher started this process, perhaps beside others."""
    return "RANK" in os.environ
