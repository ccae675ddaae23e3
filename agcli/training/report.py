"""The report of one optimiser step. Its numbers may still be on their way from the GPU: reading one waits for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor


class Measured:
    """Scalars that are copied to the host without stopping the device; reading them waits until they are there.

    Args:
        values: name -> scalar on the device.
        check: raises what is wrong with the numbers, once they are read.
    """

    def __init__(self, values: Mapping[str, Tensor], check: Callable[[Mapping[str, float]], None]) -> None:
        self._names, self._check = tuple(values), check
        self._values: dict[str, float] | None = None
        stacked = torch.stack([value.detach().float() for value in values.values()])
        self._copied = stacked.to("cpu", non_blocking=True)
        self._arrived = torch.cuda.Event() if stacked.is_cuda else None  # type: ignore[no-untyped-call]
        if self._arrived is not None:
            self._arrived.record()

    @property
    def ready(self) -> bool:
        """Whether they have been read, so that reading costs nothing."""
        return self._values is not None

    def read(self) -> Mapping[str, float]:
        """Every number by name.

        Raises:
            RunError: the check's.
        """
        if self._values is None:
            if self._arrived is not None:
                self._arrived.synchronize()
            values = dict(zip(self._names, self._copied.tolist(), strict=True))
            self._check(values)
            self._values = values
        return self._values


@dataclass(frozen=True, eq=False)
class StepReport:
    """One optimiser step, as it ends.

    Attributes:
        step: optimiser steps so far, this one included.
        epoch: passes over the data, 0-based.
        learning_rate: the rate of this step.
        examples: examples of the step.
        tokens: real tokens of the step.
        seconds: wall time since the step before.
        measured: `task`, `gradient_norm` and the terms' values.
        term_names: the terms and monitors among them.
        shares: first step of a guided run only: `task` and each term -> norm of its own gradient on the first batch.
    """

    step: int
    epoch: int
    learning_rate: float
    examples: int
    tokens: int
    seconds: float
    measured: Measured
    term_names: tuple[str, ...] = ()
    shares: dict[str, float] = field(default_factory=dict)

    @property
    def task_loss(self) -> float:
        """Mean task loss of the step's examples."""
        return self.measured.read()["task"]

    @property
    def gradient_norm(self) -> float:
        """Norm of the whole gradient before clipping."""
        return self.measured.read()["gradient_norm"]

    @property
    def guides(self) -> dict[str, float]:
        """Name of a guide or other term -> mean raw value over the step's examples, monitors included."""
        values = self.measured.read()
        return {name: values[name] for name in self.term_names}
