"""The training loop, shared by every command. It knows batches, losses and guides; no task, file format or terminal.

One step: forward with captured attention, `loss = task + Σ weight·guide` (Eq. 5), backward, clip, update. The loop is
a generator of step reports; whoever drives it decides what to write, save and stop.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from transformers import get_scheduler

from agcli.attention import Capture, Seam
from agcli.batching import Batch, Examples, Rows, collate, epoch_order, length_order
from agcli.dropout import use_cpu_dropout
from agcli.errors import RunError
from agcli.guides import Guide, ReceivedAttention, guide_values
from agcli.options import TrainingOptions
from agcli.precision import keep_freed_memory, make_accelerator

Losses = Callable[[Tensor, Tensor], Tensor]
"""(logits, labels) -> the task loss of each example, shape (batch,)."""


@dataclass(frozen=True)
class StepReport:
    """One optimiser step, as it ends.

    Attributes:
        step: optimiser steps so far, this one included.
        epoch: passes over the data, 0-based.
        task_loss: mean task loss of the step's examples.
        guides: guide name -> mean raw value over the step's examples, monitored guides included.
        learning_rate: the rate of this step.
        gradient_norm: norm of the whole gradient before clipping.
        examples: examples of the step.
        tokens: real tokens of the step.
        seconds: wall time since the step before.
        shares: first step of a guided run only: `task` and each guide -> norm of its own gradient on the first batch.
    """

    step: int
    epoch: int
    task_loss: float
    guides: dict[str, float]
    learning_rate: float
    gradient_norm: float
    examples: int
    tokens: int
    seconds: float
    shares: dict[str, float] = field(default_factory=dict)


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
    ) -> None:
        self.accelerator = accelerator or make_accelerator(options.precision)
        if self.device.type == "cpu":
            keep_freed_memory()
            use_cpu_dropout(model)
        self.seam, self.losses, self.examples, self.guiding = seam, losses, examples, guiding
        self.options, self.data_seed = options, data_seed
        self.lengths = examples.lengths
        self.step_size = options.batch_size * options.accumulate
        self.steps_per_epoch = math.ceil(len(examples) / self.step_size)
        self.total_steps = self.steps_per_epoch * options.epochs
        self.position = Position()
        self.model: nn.Module = self.accelerator.prepare_model(model)
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

    def train_epoch(self) -> Iterator[StepReport]:
        """Train from the present position to the end of its epoch, one report a step.

        Raises:
            RunError: a loss or gradient is not finite; raised before the weights are touched.
        """
        epoch = self.position.epoch
        order = epoch_order(self.lengths, self.step_size, self.data_seed, epoch)
        self.model.train()
        started = perf_counter()
        for rows in order[self.position.step_in_epoch :]:
            yield self._step(rows, started)
            started = perf_counter()  # what the driver did meanwhile, such as saving, is not the step's time
        self.position.epoch, self.position.step_in_epoch = epoch + 1, 0

    def _step(self, rows: Rows, started: float) -> StepReport:
        """One optimiser step over these rows, in `accumulate` batches of about equal length."""
        size = self.options.batch_size
        learning_rate = float(self.scheduler.get_last_lr()[0])
        shares: dict[str, float] = {}
        task = torch.zeros((), device=self.device)
        raw: dict[str, Tensor] = {}
        tokens = 0
        for start in range(0, len(rows), size):
            batch = collate(self.examples, rows[start : start + size])
            tokens += int(batch.inputs["attention_mask"].sum())
            weight = len(batch) / len(rows)  # so that the last, smaller batch does not count more per example
            terms, values = self._terms(batch.to(self.device))
            if self.position.step == 0 and start == 0 and len(terms) > 1:
                shares = self._gradient_norms(terms)
            loss = torch.stack(list(terms.values())).sum() * weight
            self._check(loss, "loss", batch.rows)
            self.accelerator.backward(loss)
            task += terms["task"].detach() * weight
            for name, value in values.items():
                raw[name] = raw.get(name, torch.zeros((), device=self.device)) + value.detach() * weight
        norm = self._update(rows)
        self.position.step += 1
        self.position.step_in_epoch += 1
        return StepReport(
            step=self.position.step,
            epoch=self.position.epoch,
            task_loss=float(task),
            guides={name: float(value) for name, value in raw.items()},
            learning_rate=learning_rate,
            gradient_norm=norm,
            examples=len(rows),
            tokens=tokens,
            seconds=perf_counter() - started,
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

    def _gradient_norms(self, terms: dict[str, Tensor]) -> dict[str, float]:
        """Norm of each term's own gradient over all weights, by extra backward passes that leave no trace."""
        weights = [weight for weight in self.model.parameters() if weight.requires_grad]
        norms = {}
        for name, term in terms.items():
            gradients = torch.autograd.grad(term, weights, retain_graph=True, allow_unused=True)
            norms[name] = float(nn.utils.get_total_norm([each for each in gradients if each is not None]))
        return norms

    def _update(self, rows: Rows) -> float:
        """Clip, update weights and rate, clear gradients; returns the norm before clipping."""
        limit = self.options.max_grad_norm or math.inf
        norm = self.accelerator.clip_grad_norm_(self.model.parameters(), limit)
        if self.accelerator.scaler is None:  # with a scaler, an overflow is its business: it skips the step
            self._check(norm, "gradient norm", rows)
        self.optimizer.step()
        self.scheduler.step()
        self.optimizer.zero_grad(set_to_none=True)
        return float(norm)

    def _check(self, value: Tensor, what: str, rows: Rows) -> None:
        """Stop before a value that is not finite can reach the weights."""
        if bool(torch.isfinite(value)):
            return
        ids = [self.examples.ids[row] for row in rows]
        listed = ", ".join(ids[:40]) + (f" and {len(ids) - 40} more" if len(ids) > 40 else "")
        raise RunError(
            f"the {what} is {value.item()} at step {self.position.step + 1} of {self.total_steps} "
            f"(epoch {self.position.epoch + 1}); rows: {listed}. The weights were not updated with it.",
            hint="earlier checkpoints are intact; try a lower learning rate, lighter guides, more warm-up, or fp32",
        )

    def predict(self, examples: Examples, *, on_batch: Callable[[int], None] | None = None) -> Tensor:
        """Logits in the order of `examples`, shape (num_examples, num_labels), on the CPU.

        In float32 whatever the training precision: what is judged is the model that is saved, in the arithmetic of
        whoever loads it.
        """
        return predict_logits(self.bare_model, examples, self.options.eval_batch_size, self.device, on_batch=on_batch)


def predict_logits(
    model: nn.Module,
    examples: Examples,
    batch_size: int,
    device: torch.device,
    *,
    on_batch: Callable[[int], None] | None = None,
) -> Tensor:
    """Logits of every example in their order, shape (num_examples, num_labels), float32; captures no attention.

    Args:
        model: the model; its mode is restored.
        examples: what to predict.
        batch_size: examples in a batch; batches go longest first.
        device: where the model is.
        on_batch: called with the number of examples of each batch done.
    """
    # An accelerator puts mixed precision into the instance's `forward`; the class's own is plain float32.
    forward = partial(type(model).forward, model)
    was_training = model.training
    model.eval()
    done: list[tuple[Rows, Tensor]] = []
    with torch.inference_mode():
        for rows in length_order(examples.lengths, batch_size):
            done.append((rows, forward(**collate(examples, rows).to(device).inputs).logits.float().cpu()))
            if on_batch is not None:
                on_batch(len(rows))
    model.train(was_training)
    logits = torch.cat([found for _, found in done])
    back = np.argsort(np.concatenate([rows for rows, _ in done]))
    return logits[torch.from_numpy(back)]


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
