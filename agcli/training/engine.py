"""The training loop, shared by every command. It knows batches, losses and guides; no task, file format or terminal.

One step: forward with captured attention, `loss = task + Σ weight·guide` (Eq. 5), backward, clip, update. The loop is
a generator of step reports; whoever drives it decides what to write, save and stop. On a GPU no step waits for the
device: its numbers arrive while the next one runs, and an update that must not happen is called off by the device.
On several processes each does its share of every batch (see `team`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from transformers import get_scheduler

from agcli.attention import Capture, Seam
from agcli.attention.dropout import use_cpu_dropout
from agcli.data.batching import Batch, Examples, Rows, collate, epoch_order
from agcli.errors import DivergedError, UsageError, shortened_list
from agcli.guides import Guide, ReceivedAttention, guide_values
from agcli.options import TrainingOptions
from agcli.runs.device import keep_freed_memory, make_accelerator
from agcli.training.distributed import Team
from agcli.training.predict import predict_logits
from agcli.training.report import Measured, StepReport

Losses = Callable[[Tensor, Tensor], Tensor]
"""(logits, labels) -> the task loss of each example, shape (batch,)."""


@dataclass(frozen=True)
class Guiding:
    """What is guided or watched, and how attention is captured for it.

    Attributes:
        guides: guides in the loss.
        monitors: guides that are computed without gradient.
        mode: Eq. 8 or the released arithmetic.
    """

    guides: Sequence[Guide] = ()
    monitors: Sequence[Guide] = ()
    mode: Capture = "received"

    @property
    def capture(self) -> Capture:
        """What a training forward has to hand out."""
        return self.mode if self.guides or self.monitors else "none"

    def attention(self, received: Tensor, mask: Tensor) -> ReceivedAttention:
        """The object that the guides share. The released arithmetic keeps padded rows."""
        return ReceivedAttention(received, torch.ones_like(mask) if self.mode == "released" else mask)


@dataclass
class Position:
    """Where training stands: enough, with weights, optimiser and random state, to go on exactly.

    Attributes:
        epoch: epochs completed.
        step_in_epoch: optimiser steps done in the epoch under way.
        step: optimiser steps done in all.
    """

    epoch: int = 0
    step_in_epoch: int = 0
    step: int = 0


class Engine:
    """Trains one model on one set of examples.

    Args:
        model: an encoder with a classifier, on the CPU; moved to the accelerator's device.
        seam: how received attention comes out of it.
        losses: the task loss of each example.
        examples: the training examples.
        guiding: guides and monitors.
        options: optimiser, schedule, batch sizes, precision.
        data_seed: seed of the order of examples.
        accelerator: device and precision; default: made from the options.
        compile: let torch compile the model; batches are then padded to a few lengths.
        multiple: batches are padded to their longest example, rounded up to a multiple of this; default: what suits
            the device.
        ids_shown: whether an error may list ids of examples; those of credentialed data may be cells of it.
    """

    def __init__(
        self,
        model: nn.Module,
        seam: Seam,
        losses: Losses,
        examples: Examples,
        guiding: Guiding,
        options: TrainingOptions,
        data_seed: int,
        accelerator: Accelerator | None = None,
        *,
        compile: bool = False,
        multiple: int | None = None,
        ids_shown: bool = False,
    ) -> None:
        self.accelerator = accelerator or make_accelerator(options.precision)
        self.team = Team(self.accelerator)
        if self.device.type == "cpu":
            keep_freed_memory()
            use_cpu_dropout(model)
        self.seam, self.losses, self.examples, self.guiding = seam, losses, examples, guiding
        self.options, self.data_seed, self.ids_shown = options, data_seed, ids_shown
        self.lengths = examples.lengths
        lists = max(1, options.batch_size // examples.list_size)
        self.batch_size = lists * examples.list_size
        if lists < self.team.size:
            raise UsageError(
                f"--batch-size {options.batch_size} is too small to be shared by {self.team.size} processes."
            )
        self.step_size = self.batch_size * options.accumulate
        self.steps_per_epoch = math.ceil(len(examples) / self.step_size)
        self.total_steps = options.max_steps or self.steps_per_epoch * options.epochs
        self.position = Position()
        # Rows of tensor cores are 8 wide; a compiled model is compiled anew for each length it meets.
        self.multiple = multiple or (32 if compile else 8 if self.device.type == "cuda" else 1)
        self._broken = torch.zeros((), device=self.device)  # 1 from the first step on that was not finite
        self.model: nn.Module = self.accelerator.prepare_model(model)
        if compile:
            torch._functorch.config.donated_buffer = False  # the first step goes backward more than once
            shapes = 2 * len(np.unique(-(-self.lengths // self.multiple)))  # an epoch's last batch may be smaller
            dynamo = torch._dynamo.config
            dynamo.recompile_limit = max(dynamo.recompile_limit, shapes + 2)  # beyond it nothing more is compiled
            self.model.compile(dynamic=False)
        self.optimizer: Any = self.accelerator.prepare_optimizer(make_optimizer(self.model, options))
        self.scheduler: Any = get_scheduler(
            options.schedule if options.schedule == "linear" else "constant_with_warmup",
            self.optimizer.optimizer,
            num_warmup_steps=math.ceil(options.warmup_ratio * self.total_steps),
            num_training_steps=self.total_steps,
        )

    @property
    def device(self) -> torch.device:
        """Where the model runs."""
        device: torch.device = self.accelerator.device
        return device

    @property
    def bare_model(self) -> Any:
        """The model without the accelerator's wrapping."""
        return self.accelerator.unwrap_model(self.model)

    @property
    def finished(self) -> bool:
        """Whether all steps are done, and the last epoch, perhaps a part of one, is closed."""
        return self.position.step >= self.total_steps and self.position.step_in_epoch == 0

    def train_epoch(self) -> Iterator[StepReport]:
        """Train from the present position to the end of its epoch, or of `max_steps`, one report a step.

        Raises:
            RunError: a loss or gradient is not finite; the weights stay as they were before that step. On a GPU it is
                raised by reading the step's report.
        """
        epoch = self.position.epoch
        order = epoch_order(self.lengths, self.step_size, self.data_seed, epoch, self.examples.list_size)
        left = None if self.options.max_steps is None else self.options.max_steps - self.position.step
        self.model.train()
        started = perf_counter()
        for rows in order[self.position.step_in_epoch :][:left]:
            yield self._step(rows, started)
            started = perf_counter()  # what the driver did meanwhile, such as saving, is not the step's time
        self.position.epoch, self.position.step_in_epoch = epoch + 1, 0

    def _step(self, rows: Rows, started: float) -> StepReport:
        """One optimiser step over these rows, in `accumulate` batches of about equal length."""
        size = self.batch_size
        learning_rate = float(self.scheduler.get_last_lr()[0])
        shares: dict[str, float] = {}
        sums: dict[str, Tensor] = {}
        for start in range(0, len(rows), size):
            whole = rows[start : start + size]
            share = self.team.share(whole, self.examples.list_size)
            batch = collate(self.examples, share.rows, multiple=self.multiple, longest=int(self.lengths[whole].max()))
            weight = share.counted / len(rows)  # so that the last, smaller batch does not count more per example
            with self.team.together(self.model, last=start + size >= len(rows)):
                terms, values = self._terms(batch.to(self.device))
                if self.position.step == 0 and start == 0 and len(terms) > 1:
                    shares = self._gradient_norms(terms, share.counted / len(whole))
                loss = torch.stack(list(terms.values())).sum()
                self.accelerator.backward(loss * (weight * self.team.size))  # gradients are averaged over processes
            for name, value in {"loss": loss, "task": terms["task"], **values}.items():
                sums[name] = sums.get(name, torch.zeros((), device=self.device)) + value.detach() * weight
        sums = self.team.total(sums)
        sums["gradient_norm"] = self._update(sums["loss"])
        measured = Measured(sums, partial(self._judge, self.position.step + 1, self.position.epoch + 1, rows))
        if self.device.type == "cpu":
            measured.read()
        self.position.step += 1
        self.position.step_in_epoch += 1
        return StepReport(
            step=self.position.step,
            epoch=self.position.epoch,
            learning_rate=learning_rate,
            examples=len(rows),
            tokens=int(self.lengths[rows].sum()),
            seconds=perf_counter() - started,
            measured=measured,
            guide_names=tuple(name for name in sums if name not in ("loss", "task", "gradient_norm")),
            shares=shares,
        )

    def _terms(self, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The weighted terms of the loss (`task`, `guides`), and the raw value of every guide and monitor."""
        guiding = self.guiding
        outputs = self.model(**batch.inputs, **self.seam.forward_kwargs(guiding.capture))
        terms = {"task": self.losses(outputs.logits, batch.labels).mean()}
        if guiding.capture == "none":
            return terms, {}
        received = self.seam.received(outputs.attentions, batch.mask, guiding.capture)
        values: dict[str, Tensor] = {}
        if guiding.guides:
            guided = guide_values(guiding.guides, guiding.attention(received, batch.mask))
            values |= guided.raw
            terms |= guided.weighted
        if guiding.monitors:
            with torch.no_grad():
                values |= guide_values(guiding.monitors, guiding.attention(received.detach(), batch.mask)).raw
        return terms, values

    def _gradient_norms(self, terms: dict[str, Tensor], weight: float) -> dict[str, float]:
        """Norm of each term's own gradient over all weights, by extra backward passes that leave no trace.

        Args:
            terms: the weighted terms of the loss.
            weight: this process's share of the batch.
        """
        weights = [weight for weight in self.model.parameters() if weight.requires_grad]
        norms = {}
        for name, term in terms.items():
            gradients = torch.autograd.grad(term * weight, weights, retain_graph=True, allow_unused=True)
            norms[name] = float(
                nn.utils.get_total_norm([self.team.sum(each) for each in gradients if each is not None])
            )
        return norms

    def _update(self, loss: Tensor) -> Tensor:
        """Clip, update weights and rate, clear gradients; returns the norm before clipping.

        From the first loss or norm on that is not finite, the fused optimiser is told to leave the weights alone.
        With a scaler an infinite norm is its own business: it skips the step and lowers its scale.
        """
        limit = self.options.max_grad_norm or math.inf
        norm: Tensor = self.accelerator.clip_grad_norm_(self.model.parameters(), limit)
        if self.accelerator.scaler is None:
            self._broken = torch.maximum(self._broken, (~torch.isfinite(loss + norm)).float())
            self.optimizer.optimizer.found_inf = self._broken
        self.optimizer.step()
        self.scheduler.step()
        self.optimizer.zero_grad(set_to_none=True)
        return norm

    def _judge(self, step: int, epoch: int, rows: Rows, values: Mapping[str, float]) -> None:
        """Stop at the first number that is not finite; the weights were not updated with it."""
        judged = ("loss",) if self.accelerator.scaler is not None else ("loss", "gradient_norm")
        for name in judged:
            if math.isfinite(values[name]):
                continue
            listed = shortened_list(self.examples.ids[row] for row in rows) if self.ids_shown else f"{len(rows)} in all"
            raise DivergedError(
                f"the {name.replace('_', ' ')} is {values[name]} at step {step} of {self.total_steps} "
                f"(epoch {epoch}); rows: {listed}. The weights were not updated with it.",
                hint="earlier checkpoints are intact; try a lower learning rate, lighter guides, more warm-up, or fp32",
            )

    def predict(self, examples: Examples, *, on_batch: Callable[[int], None] | None = None) -> Tensor:
        """Logits in the order of `examples`, shape (num_examples, num_labels), on the CPU.

        In float32 whatever the training precision: what is judged is the model that is saved, in the arithmetic of
        whoever loads it.
        """
        size = self.options.eval_batch_size
        if len(examples) < self.team.size:
            return predict_logits(self.bare_model, examples, size, self.device, on_batch=on_batch)
        mine = examples if self.team.size == 1 else examples.take(self.team.part(len(examples)))
        logits = predict_logits(self.bare_model, mine, size, self.device, on_batch=on_batch)
        return self.team.joined(logits, len(examples))


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
