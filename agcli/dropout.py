"""Dropout whose random mask costs little on the CPU.

Torch draws a CPU mask cell by cell on one thread: 2.7 ms for one layer's attention maps of 32 pairs of 40 tokens (12
heads), 49 of the 380 ms of a whole MiniLM step on one thread. Four cells to a 64-bit draw take 0.6 ms for those maps.
The stream is torch's own generator, so that it is saved and resumed with it; the rate is met to 1/65536.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class CpuDropout(nn.Dropout):
    """`nn.Dropout` by way of `dropout`."""

    def forward(self, input: Tensor) -> Tensor:
        """The input with cells dropped and the rest scaled, in training; else the input."""
        return dropout(input, self.p) if self.training and self.p else input


def dropout(cells: Tensor, rate: float) -> Tensor:
    """Each cell 0 with probability `rate`, else scaled by 1 / (1 - rate); any shape."""
    if cells.device.type != "cpu":
        return functional.dropout(cells, rate)
    draws = torch.empty((cells.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    kept = draws.view(torch.int16)[: cells.numel()].view(cells.shape) >= round(rate * 65536) - 32768
    return cells * kept * (1 / (1 - rate))


def use_cpu_dropout(model: nn.Module) -> None:
    """Put `CpuDropout` in the place of every `nn.Dropout`; it has no weights, so nothing saved changes."""
    for name, module in list(model.named_modules()):
        if type(module) is nn.Dropout:
            model.set_submodule(name, CpuDropout(module.p).train(module.training))
