"""The batches that all arms of a group go over, in the same order."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from agcli.data.batching import Batch, Examples, Rows, collate, epoch_order
from agcli.timing.stopwatch import Work

WARM_UP_EPOCH = 2**20
"""The epoch whose batches warm an arm up: the same examples in an order that no measured epoch has."""


@dataclass(frozen=True, eq=False)
class Course:
    """The batches of a group.

    Attributes:
        examples: what an epoch goes over.
        batch_size: examples in a batch.
        seed: of the order.
        multiple: batches are padded to their longest example, rounded up to a multiple of this: 1 pads as little as
            can be, the longest length allowed pads all batches alike.
    """

    examples: Examples
    batch_size: int
    seed: int
    multiple: int = 1

    @cached_property
    def lengths(self) -> Rows:
        """Tokens of each example; counted once, as that would otherwise fall into the first step of an epoch."""
        return self.examples.lengths

    def batches(self, epoch: int) -> list[Rows]:
        """The rows of each batch, as the engine orders them."""
        return epoch_order(self.lengths, self.batch_size, self.seed, epoch)

    def work(self, rows: Rows) -> Work:
        """What the step over these rows goes over."""
        lengths = self.lengths[rows]
        padded = -(-int(lengths.max()) // self.multiple) * self.multiple
        return Work(len(rows), int(lengths.sum()), len(rows) * padded)

    def padded(self, rows: Rows) -> Batch:
        """One batch."""
        return collate(self.examples, rows, multiple=self.multiple)

    def steps_to_all_shapes(self) -> int:
        """Warm-up steps after which no batch of the first epoch has a new shape, if there is such a number."""
        missing = {self._shape(rows) for rows in self.batches(0)}
        warming = self.batches(WARM_UP_EPOCH)
        for number, rows in enumerate(warming, start=1):
            missing.discard(self._shape(rows))
            if not missing:
                return number
        return len(warming)

    def _shape(self, rows: Rows) -> tuple[int, int]:
        work = self.work(rows)
        return work.examples, work.slots
