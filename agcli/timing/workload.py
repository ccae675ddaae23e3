"""The batches that all methods of a group are timed on, in the same order."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from agcli.data.batching import Batch, Examples, Rows, collate, epoch_order

WARM_UP_EPOCH = 2**20
"""The epoch of the warm-up: the same examples in an order that no measured epoch has."""


@dataclass(frozen=True)
class Work:
    """Size of one training step's batch; `slots` are tokens with padding."""

    examples: int
    tokens: int
    slots: int

    @property
    def padded_length(self) -> int:
        """Tokens in a row of the padded batch."""
        return self.slots // self.examples


@dataclass(frozen=True, eq=False)
class Workload:
    """The batches of a group.

    Attributes:
        seed: of the order of examples.
        multiple: batches are padded to their longest example, rounded up to a multiple of this: 1 pads as little as
            can be, the longest length allowed pads all batches alike.
    """

    examples: Examples
    batch_size: int
    seed: int
    multiple: int = 1

    @cached_property
    def lengths(self) -> Rows:
        """Tokens of each example; cached, so that counting does not fall into the first step of an epoch."""
        return self.examples.lengths

    def batches(self, epoch: int) -> list[Rows]:
        """The rows of each batch, as the engine orders them."""
        return epoch_order(self.lengths, self.batch_size, self.seed, epoch)

    def work(self, rows: Rows) -> Work:
        """Size of the padded batch of these rows."""
        lengths = self.lengths[rows]
        padded = -(-int(lengths.max()) // self.multiple) * self.multiple
        return Work(len(rows), int(lengths.sum()), len(rows) * padded)

    def batch(self, rows: Rows) -> Batch:
        """These rows, collated and padded."""
        return collate(self.examples, rows, multiple=self.multiple)

    def steps_to_all_shapes(self) -> int:
        """Warm-up steps after which no batch of the first epoch has a new shape, if there is such a number."""
        missing = {self._shape(rows) for rows in self.batches(0)}
        warm_up = self.batches(WARM_UP_EPOCH)
        for number, rows in enumerate(warm_up, start=1):
            missing.discard(self._shape(rows))
            if not missing:
                return number
        return len(warm_up)

    def _shape(self, rows: Rows) -> tuple[int, int]:
        work = self.work(rows)
        return work.examples, work.slots
