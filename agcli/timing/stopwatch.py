"""Step times, peak memory, the machine's matrix-product rate, and the operations of a forward."""

from __future__ import annotations

import contextlib
import gc
import re
import resource
import sys
from collections.abc import Collection, Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from agcli.timing.workload import Work

PRODUCT_SIZES = {"cuda": 8192, "cpu": 2048}
"""Rows of the square matrices: large enough that a product is bound by arithmetic, small enough for 0.1 s on a CPU."""
PRODUCT_SECONDS = 0.5
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class StepTime:
    """One timed step: wall time from an idle device to an idle device."""

    seconds: float
    work: Work


def synchronise(device: torch.device) -> None:
    """Wait until a GPU has done its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def time_steps(steps: Iterator[Work], count: int, device: torch.device) -> list[StepTime]:
    """Draw `count` steps from an iterator that does one optimiser step at a time, and time each on its own.

    Raises:
        ValueError: the loop ended early; its ratio would compare different work.
    """
    times = []
    for done in range(count):
        synchronise(device)
        started = perf_counter()
        work = next(steps, None)
        synchronise(device)
        if work is None:
            raise ValueError(f"the training loop ended after {done} of {count} steps")
        times.append(StepTime(perf_counter() - started, work))
    return times


class PeakMemory:
    """The most memory that this process had at any time since `reset`.

    On a GPU: tensors, without the allocator's reserve. On a CPU: the resident set, libraries and weights included.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.note = ""

    def reset(self) -> None:
        """Start anew from the memory in use; `note` says where the system forbids that."""
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            return
        try:
            _CLEAR.write_text("5", encoding="ascii")  # proc(5): sets VmHWM back to the present resident set
        except OSError:
            self.note = "peak memory includes loading the model: this system cannot set it back"

    @property
    def bytes(self) -> int:
        """The peak."""
        if self.device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self.device))
        with contextlib.suppress(OSError):
            peak = re.search(r"^VmHWM:\s*(\d+) kB", _STATUS.read_text(encoding="utf-8"), re.MULTILINE)
            if peak:
                return int(peak[1]) * 1024
        usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return usage if sys.platform == "darwin" else usage * 1024  # bytes there, kilobytes elsewhere


def product_rate(precision: str, *, size: int | None = None, seconds: float = PRODUCT_SECONDS) -> float:
    """Floating-point operations a second of a plain product of square matrices, measured on this machine.

    The best of the products that fit into `seconds` (five at least), after two that do not count: what the hardware
    gives when nothing disturbs it. `fp32` products are IEEE, as in training: torch's default, without TF32.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    size = size or PRODUCT_SIZES[device.type]
    left, right = (torch.randn(size, size, device=device, dtype=DTYPES[precision]) for _ in range(2))
    out = torch.empty_like(left)
    times: list[float] = []
    while len(times) < 7 or sum(times) < seconds:
        synchronise(device)
        started = perf_counter()
        torch.mm(left, right, out=out)
        synchronise(device)
        times.append(perf_counter() - started)
    return 2 * size**3 / min(times[2:])


def forward_flops(model: Any, lengths: Collection[int]) -> dict[int, int]:
    """Floating-point operations of one forward of one example at each padded length: products of matrices only.

    Counted by torch's own counter on a copy of the architecture without weights (`meta` device), with eager attention,
    whose products are all visible to it. Nothing is allocated or computed.
    """
    config = deepcopy(model.config)
    config._attn_implementation = "eager"
    with torch.device("meta"):
        bare = type(model)(config).eval()
    counts = {}
    for length in sorted(lengths):
        counter = FlopCounterMode(display=False)
        with counter, torch.no_grad():
            bare(input_ids=torch.ones((1, length), dtype=torch.long, device="meta"))
        counts[length] = int(counter.get_total_flops())
    return counts
