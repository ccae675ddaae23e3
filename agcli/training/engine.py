"""The training loop, shared by every command. It knows batches and losses; no task, guide, file format or terminal.

One step: forward with captured attention, `loss = task + Σ weight·term` (Eq. 5), backward, clip, update. The loop is
a generator of step reports; its caller decides what to write and save, and when to stop. On a GPU no step waits for
the device: its numbers arrive while the next one runs, and the device itself skips an update that is not finite.
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

from agcli.attention import EncoderAttention
from agcli.attention.dropout import use_cpu_dropout
from agcli.data.batching import Batch, Examples, Rows, collate, epoch_order
from agcli.errors import DivergedError, UsageError, shortened_list
from agcli.options import TrainingOptions
from agcli.runs.device import keep_freed_memory, make_accelerator
from agcli.training.distributed import Distributed
from agcli.training.loss_terms import RESERVED, GuidedForward, LossTerms
from agcli.training.optimizer import make_optimizer, make_scheduler
from agcli.training.predict import predict_logits
from agcli.training.report import Measured, StepReport

Losses = Callable[[Tensor, Tensor], Tensor]
"""(logits, labels) -> the task loss of each example, shape (batch,)."""


@dataclass
class Position:
    """Epochs and optimiser steps done: with weights, optimiser and random state, enough to resume exactly."""

    epoch: int = 0
    step_in_epoch: int = 0
    step: int = 0


class Engine:
    """Trains one model on one set of examples.

    Args:
        model: an encoder with a classifier, on the CPU; moved to the accelerator's device.
        data_seed: seed of the order of examples.
        accelerator: default: made from the options.
        compile: let torch compile the model; batches are then padded to a few lengths.
        multiple: batches are padded to their longest example, rounded up to a multiple of this; default: what suits
            the device.
        ids_shown: whether an error may list ids of examples; those of credentialed data may be cells of it.
    """

    def __init__(
        self,
        model: nn.Module,
        encoder_attention: EncoderAttention,
        losses: Losses,
        examples: Examples,
        terms: LossTerms,
        options: TrainingOptions,
        data_seed: int,
        accelerator: Accelerator | None = None,
        *,
        compile: bool = False,
        multiple: int | None = None,
        ids_shown: bool = False,
    ) -> None:
        self.accelerator = accelerator or make_accelerator(options.precision)
        self.distributed = Distributed(self.accelerator)
        if self.device.type == "cpu":
            keep_freed_memory()
            use_cpu_dropout(model)
        self.encoder_attention, self.losses, self.examples, self.terms = encoder_attention, losses, examples, terms
        self.options, self.data_seed, self.ids_shown = options, data_seed, ids_shown
        self.lengths = examples.lengths
        lists = max(1, options.batch_size // examples.list_size)
        self.batch_size = lists * examples.list_size
        processes = self.distributed.size
        if lists < processes:
            raise UsageError(f"--batch-size {options.batch_size} is too small to be shared by {processes} processes.")
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
            graphs = shapes * terms.num_captures + 2
            dynamo.recompile_limit = max(dynamo.recompile_limit, graphs)  # beyond it nothing more is compiled
            self.model.compile(dynamic=False)
        self.optimizer: Any = self.accelerator.prepare_optimizer(make_optimizer(self.model, options))
        self.scheduler: Any = make_scheduler(self.optimizer.optimizer, options, self.total_steps)

    @property
    def device(self) -> torch.device:
        """The accelerator's device."""
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
            started = perf_counter()  # time of the caller, such as for saving, is not the step's
        self.position.epoch, self.position.step_in_epoch = epoch + 1, 0

    def _step(self, rows: Rows, started: float) -> StepReport:
        """One optimiser step over these rows, in `accumulate` batches of about equal length."""
        size = self.batch_size
        learning_rate = float(self.scheduler.get_last_lr()[0])
        progress = self.position.step / self.total_steps
        terms = self.terms.after(progress)
        shares: dict[str, float] = {}
        sums: dict[str, Tensor] = {}
        for start in range(0, len(rows), size):
            batch, counted, share = self._batch(rows[start : start + size])
            weight = counted / len(rows)  # so that the last, smaller batch does not count more per example
            with self.distributed.accumulating(self.model, last=start + size >= len(rows)):
                losses, values = self._losses(batch, terms, progress)
                if self.position.step == 0 and start == 0 and len(losses) > 1:
                    shares = self._gradient_norms(losses, values, share)
                loss = torch.stack(list(losses.values())).sum()
                # Gradients are averaged over processes.
                self.accelerator.backward(loss * (weight * self.distributed.size))
            for name, value in {"loss": loss, "task": losses["task"], **values}.items():
                sums[name] = sums.get(name, torch.zeros((), device=self.device)) + value.detach() * weight
        sums = self.distributed.sum_all(sums)
        sums["gradient_norm"] = self._update(sums["loss"])
        measured = Measured(sums, partial(self._check_finite, self.position.step + 1, self.position.epoch + 1, rows))
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
            term_names=tuple(name for name in sums if name not in RESERVED),
            weights=terms.weights(progress),
            shares=shares,
        )

    def _batch(self, rows: Rows) -> tuple[Batch, int, float]:
        """This process's part of a batch, how many of its examples count, and their share of the batch."""
        own, counted = self.distributed.share(rows, self.examples.list_size)
        batch = collate(self.examples, own, multiple=self.multiple, longest=int(self.lengths[rows].max()))
        return batch.to(self.device), counted, counted / len(rows)

    def _losses(self, batch: Batch, terms: LossTerms, progress: float) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The task loss and the weighted terms that add up to the loss, and the raw value of every term and monitor."""
        forward = GuidedForward(terms, self.encoder_attention, batch.tokens(terms.vocabulary))
        outputs = self.model(**batch.inputs, **forward.kwargs)
        losses = {"task": self.losses(outputs.logits, batch.labels).mean()}
        if not terms:
            return losses, {}
        values = terms.values(forward.attention(outputs), progress)
        return losses | values.weighted, values.raw

    def first_gradient_norms(self) -> dict[str, float]:
        """Norms of the gradients of the task and each term on the first batch, before any step; the engine is spent."""
        self.model.train()
        first = epoch_order(self.lengths, self.step_size, self.data_seed, 0, self.examples.list_size)[0]
        batch, _, share = self._batch(first[: self.batch_size])
        return self._gradient_norms(*self._losses(batch, self.terms, 0.0), share)

    def _gradient_norms(
        self, losses: Mapping[str, Tensor], values: Mapping[str, Tensor], share: float
    ) -> dict[str, float]:
        """Norm of each term's own gradient over all weights, by extra backward passes that leave no trace.

        Terms count with their full weights, whatever their schedules begin with.
        """
        weights = [weight for weight in self.model.parameters() if weight.requires_grad]
        full = {name: factor * values[name] for name, factor in self.terms.weights().items()}
        norms = {}
        for name, term in ({"task": losses["task"]} | full).items():
            gradients: Sequence[Tensor | None] = [None] * len(weights)
            if term.requires_grad:  # unlike a guide of a batch without any row to guide
                gradients = torch.autograd.grad(term * share, weights, retain_graph=True, allow_unused=True)
            if self.distributed.size > 1:  # in another process the batch may have such rows
                pairs = zip(gradients, weights, strict=True)
                gradients = [torch.zeros_like(weight) if own is None else own for own, weight in pairs]
            present = [self.distributed.sum(gradient) for gradient in gradients if gradient is not None]
            norms[name] = float(nn.utils.get_total_norm(present))
        return norms

    def _update(self, loss: Tensor) -> Tensor:
        """Clip, update weights and rate, clear gradients; returns the norm before clipping.

        From the first loss or norm on that is not finite, the fused optimiser leaves the weights alone. A scaler
        handles an infinite norm itself: it skips the step and lowers its scale.
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

    def _check_finite(self, step: int, epoch: int, rows: Rows, values: Mapping[str, float]) -> None:
        """Stop at the first number that is not finite; the weights were not updated with it."""
        for name in ("loss",) if self.accelerator.scaler is not None else ("loss", "gradient_norm"):
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

        In float32 whatever the training precision, as the saved model is loaded.
        """
        split = 1 < self.distributed.size <= len(examples)
        own = examples.take(self.distributed.shard(len(examples))) if split else examples
        logits = predict_logits(self.bare_model, own, self.options.eval_batch_size, self.device, on_batch=on_batch)
        return self.distributed.gather_rows(logits, len(examples)) if split else logits
