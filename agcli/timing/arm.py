"""One arm: what is asked for, and what trains; the model that every arm of a group starts from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

import torch
from accelerate.utils import set_seed

from agcli.attention import Seam
from agcli.models import find_entry, load_model, random_model
from agcli.models.config import entry_config
from agcli.options import ModelOptions, TrainingOptions
from agcli.timing.course import Course
from agcli.timing.stopwatch import Work

Variant = Literal["none", "mdg", "pdg", "both", "eager", "sdpa", "hf-trainer", "hf-guided", "authors"]

VARIANTS: tuple[Variant, ...] = ("none", "mdg", "pdg", "both")
"""Our engine: unguided, with one guide, with both at their default weights."""
RIVALS: tuple[Variant, ...] = ("authors", "hf-trainer", "hf-guided", "eager", "sdpa")
"""What else the same batches can be given to: three recipes, and our engine on transformers' own attention."""
KEPT_MAPS = "guided on the maps that transformers keeps, which come after attention dropout"


@dataclass(frozen=True, eq=False)
class ArmSpec:
    """One arm, before it is built; small enough to be sent to a process.

    Attributes:
        name: unique in its group.
        variant: what trains.
        attention: what `--attention` asks for; guided variants only.
        model: zoo name, hub id or folder.
        random_weights: take the zoo's dimensions and no checkpoint.
        labels: label names.
        course: the group's batches.
        model_options: dropout, checkpointing, network.
        training: precision, optimiser and seed.
    """

    name: str
    variant: Variant
    attention: str
    model: str
    random_weights: bool
    labels: tuple[str, ...]
    course: Course
    model_options: ModelOptions
    training: TrainingOptions


@dataclass(frozen=True)
class Arm:
    """One arm, ready to train.

    Attributes:
        model: the bare model.
        device: where it computes.
        precision: arithmetic of its matrix products.
        attention: the attention implementation that runs.
        epoch: number of an epoch -> its steps; each is done when the next is asked for.
        notes: what its figures must be read with.
        least_warmup: steps that it takes to warm up: a compiled model is compiled for every shape of batch.
    """

    model: Any
    device: torch.device
    precision: str
    attention: str
    epoch: Callable[[int], Iterator[Work]]
    notes: tuple[str, ...] = ()
    least_warmup: int = 0

    def steps(self, first_epoch: int = 0) -> Iterator[Work]:
        """Steps without end, epoch after epoch."""
        for number in count(first_epoch):
            yield from self.epoch(number)


def fresh_model(spec: ArmSpec, attention: str) -> Any:
    """The model as every arm of a group starts from it."""
    set_seed(spec.training.seed)
    options = spec.model_options
    if not spec.random_weights:
        return load_model(
            spec.model, labels=spec.labels, offline=options.offline, attention=attention, dropout=options.dropout
        ).model
    entry = find_entry(spec.model)
    if entry is None:
        raise ValueError(f"{spec.model} has no dimensions in the zoo")
    rates: dict[str, Any] = {}
    if options.dropout is not None:
        rates = {name: options.dropout for name in entry_config(entry).to_dict() if "dropout" in name}
    return random_model(entry, labels=spec.labels, attention=attention, **rates)


def kept_maps(model: Any) -> Seam:
    """The seam of a model whose own maps are kept and reduced."""
    config = model.config
    return Seam("maps", config.num_hidden_layers, config.num_attention_heads, type(model).__name__)
