"""Batches of random examples; a file of its own, as the process that trains on them imports it."""

from __future__ import annotations

import numpy as np

from agcli.data.batching import Rows
from agcli.timing.workload import Workload


class RandomWorkload(Workload):
    """Batches of random examples, as `Trainer` makes them unless told otherwise."""

    def batches(self, epoch: int) -> list[Rows]:
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.lengths))
        return np.split(order, range(self.batch_size, len(order), self.batch_size))
