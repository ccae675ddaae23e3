"""Training on several processes, as Accelerate's launcher starts them: each computes its share of every batch.

A step has the rows and means that one process would have; DistributedDataParallel averages the gradients. All
processes go through the same steps and decisions; the first one writes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn

from agcli.data.batching import Rows
from agcli.errors import RunError
from agcli.runs.device import make_accelerator
from agcli.runs.launcher import process_rank

T = TypeVar("T")


@dataclass(frozen=True)
class Distributed:
    """The processes of a run. Of one, every method is the identity."""

    accelerator: Accelerator

    @property
    def size(self) -> int:
        """Number of processes."""
        return int(self.accelerator.num_processes)

    @property
    def rank(self) -> int:
        """Number of this process, 0-based."""
        return int(self.accelerator.process_index)

    def share(self, rows: Rows, list_size: int = 1) -> tuple[Rows, int]:
        """This process's rows of a batch, and how many of them count; lists stay whole.

        Shares differ by one list at most. Where the batch is too small for this process to get any rows, it computes
        some that do not count, since all processes go through the same collective steps.
        """
        if self.size == 1:
            return rows, len(rows)
        lists = rows.reshape(-1, list_size)
        own = lists[self.rank :: self.size]
        return (own.reshape(-1), own.size) if len(own) else (lists[0], 0)

    def accumulating(self, model: nn.Module, last: bool) -> AbstractContextManager[Any]:
        """Context of a batch's forward and backward: gradients are reduced with the `last` batch of a step only."""
        return nullcontext() if last or self.size == 1 else self.accelerator.no_sync(model)

    def sum_all(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Scalars summed over processes."""
        if self.size == 1:
            return dict(values)
        summed = self.accelerator.reduce(torch.stack(list(values.values())), reduction="sum")
        return dict(zip(values, summed.unbind(), strict=True))

    def sum(self, value: Tensor) -> Tensor:
        """A tensor summed over processes."""
        summed: Tensor = value if self.size == 1 else self.accelerator.reduce(value, reduction="sum")
        return summed

    def any(self, flag: bool) -> bool:
        """Whether the flag is true in any process; waits for all of them."""
        if self.size == 1:
            return flag
        return bool(self.sum(torch.tensor(float(flag), device=self.accelerator.device)) > 0)

    def shard(self, num_examples: int) -> Rows:
        """The examples that this process predicts: every `size`-th."""
        return np.arange(self.rank, num_examples, self.size)

    def gather_rows(self, part: Tensor, num_examples: int) -> Tensor:
        """All processes' rows of a `shard` in their order, shape (num_examples, ...), on the CPU of each process."""
        if self.size == 1:
            return part
        most = -(-num_examples // self.size)
        padded = part.new_zeros((most, *part.shape[1:]))
        padded[: len(part)] = part
        gathered: Tensor = self.accelerator.gather(padded.to(self.accelerator.device)).cpu()
        rows = gathered.reshape(self.size, most, *part.shape[1:]).transpose(0, 1).flatten(0, 1)
        return rows[:num_examples]


def decide_once(decide: Callable[[], T]) -> T:
    """The first process's decision, in all of them: what they see of the disk differs as soon as one writes.

    Raises:
        RunError: in the other processes, where `decide` raised in the first.
    """
    make_accelerator("fp32")  # joins the processes
    decision: list[T | None] = [None]
    try:
        if process_rank() == 0:
            decision = [decide()]
    finally:
        broadcast_object_list(decision)
    if decision[0] is None:
        raise RunError("the first process could not begin this run; its own error says why.")
    return decision[0]
