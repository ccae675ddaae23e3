"""The ways of fine-tuning that the benchmark compares, each as its own users would run it.

Every arm starts from fresh official weights, takes a few uncounted steps of an epoch, and is then timed over one whole
epoch. Whole epochs, because batches bucketed by length differ in cost: the same number of steps would not be the same
work.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy, pad
from transformers import (
    DataCollatorWithPadding,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from agcli.assembly import make_guiding
from agcli.attention import Seam, attach
from agcli.batching import Examples, collate
from agcli.engine import Engine, Position
from agcli.guides import guide_values
from agcli.models import LoadedModel, load_model
from agcli.options import GuideOptions, TrainingOptions
from agcli.tasks import Classification

BATCH_SIZE = 32
MAX_LENGTH = 256
WARMUP_STEPS = 2
OPTIONS = TrainingOptions(epochs=2, batch_size=BATCH_SIZE)


@dataclass(frozen=True)
class Epoch:
    """One timed epoch.

    Attributes:
        examples: pairs trained on while the clock ran.
        seconds: wall time, everything between the steps included.
    """

    examples: int
    seconds: float


@dataclass(frozen=True)
class Arm:
    """One way of fine-tuning.

    Attributes:
        name: its name in the tables.
        examples: what an epoch is made of.
        train: seed of weights and order -> the timed epoch.
    """

    name: str
    examples: Examples
    train: Callable[[int], Epoch]


def all_arms(pairs: Examples, few: Examples, labels: tuple[str, ...], folder: Path) -> list[Arm]:
    """Every arm, in the order of a round.

    Args:
        pairs: what all arms but the slow one train on.
        few: what the authors' recipe trains on; it does about three pairs a second.
        labels: label names.
        folder: where `Trainer` may write.
    """
    hugging_face = partial(train_hugging_face, pairs, labels, folder)
    return [
        Arm("ours, both guides", pairs, partial(train_ours, pairs, labels, GuideOptions())),
        Arm("ours, unguided", pairs, partial(train_ours, pairs, labels, GuideOptions(mdg=0.0, pdg=0.0))),
        Arm("HF Trainer, dynamic padding, bf16", pairs, partial(hugging_face, "random")),
        Arm("HF Trainer, grouped by length, bf16", pairs, partial(hugging_face, "group_by_length")),
        Arm("authors' recipe", few, partial(train_authors_recipe, few, labels)),
    ]


def train_ours(pairs: Examples, labels: tuple[str, ...], guides: GuideOptions, seed: int) -> Epoch:
    """Our engine with its default training options, as `ag finetune` assembles it."""
    model = _fresh_model(labels, "eager", seed).model
    seam = attach(model)
    losses = Classification(labels).losses
    engine = Engine(model, seam, losses, pairs, make_guiding(guides, seam), OPTIONS, data_seed=seed)
    for _ in islice(engine.train_epoch(), WARMUP_STEPS):
        pass
    engine.position = Position(epoch=1, step=WARMUP_STEPS)  # as if resumed at the start of the second epoch
    started = perf_counter()
    examples = sum(report.examples for report in engine.train_epoch())
    return Epoch(examples, perf_counter() - started)


def train_hugging_face(pairs: Examples, labels: tuple[str, ...], folder: Path, sampling: str, seed: int) -> Epoch:
    """Unguided `Trainer` with its defaults (sdpa attention, fused AdamW), bf16 and padding to the longest of a batch.

    Args:
        pairs: what it trains on; a plain list is the cheapest data set that `Trainer` takes.
        labels: label names.
        folder: its output folder; nothing is saved.
        sampling: `train_sampling_strategy`: `random` or `group_by_length` (an option of its own before transformers 5).
        seed: of weights and order.
    """
    loaded = _fresh_model(labels, "sdpa", seed)
    clock = _EpochClock()
    trainer = Trainer(
        model=loaded.model,
        args=TrainingArguments(
            output_dir=str(folder),
            num_train_epochs=OPTIONS.epochs,
            per_device_train_batch_size=BATCH_SIZE,
            learning_rate=OPTIONS.learning_rate,
            weight_decay=OPTIONS.weight_decay,
            warmup_steps=OPTIONS.warmup_ratio,
            max_grad_norm=OPTIONS.max_grad_norm,
            train_sampling_strategy=sampling,
            bf16=True,
            use_cpu=True,
            seed=seed,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
        ),
        train_dataset=[
            {**encoded, "attention_mask": [1] * len(encoded["input_ids"]), "labels": int(label)}
            for encoded, label in zip(pairs.encoded, pairs.labels, strict=True)
        ],
        data_collator=DataCollatorWithPadding(loaded.tokenizer),
        processing_class=loaded.tokenizer,
        callbacks=[clock],
    )
    trainer.remove_callback(PrinterCallback)  # its line at the end of a run would break up the tables
    trainer.train()
    return Epoch(min(clock.steps * BATCH_SIZE, len(pairs)), clock.seconds)


class _EpochClock(TrainerCallback):  # type: ignore[misc]
    """Ends the first epoch after the uncounted steps; holds steps and seconds of the last epoch."""

    steps = 0
    seconds = 0.0

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._first_step, self._started = state.global_step, perf_counter()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.global_step == WARMUP_STEPS:
            control.should_epoch_stop = True

    def on_epoch_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.steps, self.seconds = state.global_step - self._first_step, perf_counter() - self._started


def train_authors_recipe(pairs: Examples, labels: tuple[str, ...], seed: int) -> Epoch:
    """Plain loop: all pairs padded to 256, float32, eager attention, all maps and hidden states kept, Adam 1e-5.

    Source: Wang et al. 2022, experimental setting, and their released arithmetic of both guides; here with this
    benchmark's batch size for theirs.
    """
    model = _fresh_model(labels, "eager", seed).model.train()
    seam = Seam("maps", model.config.num_hidden_layers, model.config.num_attention_heads, type(model).__name__)
    guiding = make_guiding(GuideOptions(guide_mode="released"), seam)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5)
    inputs, targets = _padded_to_maximum(pairs), torch.from_numpy(pairs.labels)

    def step(rows: torch.Tensor) -> int:
        batch = {name: tensor[rows] for name, tensor in inputs.items()}
        outputs = model(**batch, output_attentions=True, output_hidden_states=True)
        mask = batch["attention_mask"].bool()
        guided = guide_values(
            guiding.guides, guiding.attention(seam.received(outputs.attentions, mask, "released"), mask)
        )
        optimizer.zero_grad()
        (cross_entropy(outputs.logits, targets[rows]) + guided.loss).backward()
        optimizer.step()
        return len(rows)

    order = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(seed)).split(BATCH_SIZE)
    for rows in order[:WARMUP_STEPS]:
        step(rows)
    started = perf_counter()
    examples = sum(step(rows) for rows in order)
    return Epoch(examples, perf_counter() - started)


def _fresh_model(labels: tuple[str, ...], attention: str, seed: int) -> LoadedModel:
    torch.manual_seed(seed)
    return load_model("minilm", labels=labels, offline=True, attention=attention)


def _padded_to_maximum(pairs: Examples) -> dict[str, torch.Tensor]:
    """All inputs as tensors of shape (num_examples, MAX_LENGTH)."""
    inputs = collate(pairs, np.arange(len(pairs))).inputs
    return {
        name: pad(tensor, (0, MAX_LENGTH - tensor.shape[1]), value=pairs.pad.get(name, 0))
        for name, tensor in inputs.items()
    }
