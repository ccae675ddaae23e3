"""The options of a run, each declared once for the command line, config files, error messages and the run folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from agcli.declare import OFFLINE_HELP, Declared, declared_options, option
from agcli.guides.entry import Reduction
from agcli.guides.registry import GUIDES
from agcli.guides.spec import GuideSpec, parse_guide

AttentionChoice = Literal["auto", "reference", "cpu", "triton"]
Metric = Literal[
    "accuracy", "precision_macro", "recall_macro", "f1_macro", "RR", "R@1", "R@3", "R@5", "R@20", "nDCG@10", "AP"
]
"""Of all tasks in `agcli.tasks.registry`."""
Precision = Literal["auto", "fp32", "bf16", "fp16"]
RankingLoss = Literal["bce", "softmax", "listwise"]
Schedule = Literal["linear", "constant"]
Tracker = Literal["tensorboard", "wandb", "mlflow", "trackio"]


@dataclass(frozen=True)
class ModelOptions:
    """The encoder and its attention."""

    model: str = option("minilm", "Encoder: a name from `ag models`, a hub id or a folder.")
    attention: AttentionChoice = option(
        "auto", "Attention: auto (the fastest that can), reference (keeps maps), cpu or triton (keep none)."
    )
    dropout: float | None = option(
        None, "Dropout rate everywhere in the encoder; default: the model's own.", minimum=0.0, maximum=0.9
    )
    activation_checkpointing: bool = option(
        False, "Recompute activations in the backward pass: less memory, more time."
    )
    compile: bool = option(False, "Compile the model with torch.compile; pads batches to multiples of 32 tokens.")
    offline: bool = option(False, OFFLINE_HELP, shapes_result=False)


@dataclass(frozen=True)
class DataOptions:
    """The examples and their length."""

    dataset: str = option("sample", "Prepared data: a folder, a name under ./data, `sample` or `sample-hard`.")
    max_length: int = option(256, "Longest input in tokens; longer pairs are truncated.", minimum=8, maximum=8192)
    train_limit: int | None = option(None, "Train on this many examples (a nested random subset).", minimum=1)
    train_fraction: float = option(1.0, "Train on this share (a nested random subset).", above=0.0, maximum=1.0)
    subset_seed: int | None = option(None, "Seed of that subset; default: --seed.", minimum=0)


class _GuideProperties:
    """Values derived from the options of guides."""

    guide: tuple[str, ...] | None
    monitor: str
    guide_mode: str

    @cached_property
    def specs(self) -> dict[str, GuideSpec]:
        """Guide in the loss -> its weight and the options behind it; guides with a flag first, the others as given."""
        flags = {name: getattr(self, name) for name, entry in GUIDES.items() if entry.has_flag}
        specs = {name: GuideSpec(name, weight) for name, weight in flags.items()}
        for spec in map(parse_guide, self.guide or ()):
            weight = flags.get(spec.name, spec.weight)
            specs[spec.name] = dataclasses.replace(spec, weight=weight)
        return {name: spec for name, spec in specs.items() if spec.weight}

    @property
    def texts(self) -> tuple[str, ...]:
        """`mdg=0.01`, `next=0.05,heads=2`: each guide in the loss, as names and tables have it."""
        return tuple(map(str, self.specs.values()))

    @property
    def weights(self) -> dict[str, float]:
        """Guide -> its weight in the loss, or its share of the task where that is given; 0: absent."""
        return {name: self.specs[name].weight if name in self.specs else 0.0 for name in GUIDES}

    @property
    def monitored(self) -> tuple[str, ...]:
        """The names in `monitor`, each once."""
        return tuple(dict.fromkeys(word.strip() for word in self.monitor.split(",") if word.strip()))

    @property
    def captures(self) -> bool:
        """Whether any guide is in the loss or monitored, so that attention has to be captured."""
        return any(self.weights.values()) or bool(self.monitored)

    @property
    def knowledge(self) -> tuple[str, ...]:
        """What guides in the loss and monitored ones need of the data's knowledge, by name."""
        present = dict.fromkeys((*self.specs, *self.monitored))
        needed = [GUIDES[name].knowledge_with(self.of_guide(name)) for name in present]
        return tuple(dict.fromkeys(name for name in needed if name))

    def of_guide(self, name: str) -> dict[str, Any]:
        """A guide's own options, with their defaults; those of a guide with a flag follow the guide mode."""
        options = GUIDES[name].options
        if not GUIDES[name].has_flag:
            chosen = self.specs[name].options if name in self.specs else {}
            return {own.name: chosen.get(own.name, own.default) for own in options}
        values = {own.name: (getattr(self, own.name), own.default_in(self.guide_mode)) for own in options}
        return {key: default if value is None else value for key, (value, default) in values.items()}


@dataclass(frozen=True)
class _SharedGuideOptions(_GuideProperties):
    """Options that all guides share."""

    guide: tuple[str, ...] | None = option(
        None,
        "A guide, NAME=WEIGHT[,option=value...], such as next=0.05,heads=2 or first=share:0.05 (a share of the task's "
        f"gradient norm); once for each. Names: {', '.join(GUIDES)}.",
        since_fingerprints=True,
        repeated=True,
    )
    reduction: Reduction = option("mean", "Scale of the guides: mean (the paper's grid) or sum (Eq. 11 and 12).")
    guide_layers: str = option("all", "Guided layers, 0-based: `all`, `6,7` or `0-5`; a guide's layers= go before it.")
    guide_heads: str = option(
        "all", "Guided heads of each such layer, 0-based, written likewise; a guide's heads= go before it."
    )
    guide_mode: Literal["received", "released"] = option(
        "received",
        "received (Eq. 8) or released (the authors' code: key axis, after dropout, τ = 2, PDG / batch length).",
    )
    monitor: str = option("", "Guides to compute without gradient, such as `mdg,next`.")


def _guide_fields() -> Iterator[tuple[str, Any, Any]]:
    """Fields: each guide's weight, the guides' own options, and the shared options."""
    flags = {name: entry for name, entry in GUIDES.items() if entry.has_flag}
    for name, entry in flags.items():
        yield name, float, option(entry.weight if entry.by_default else 0.0, entry.help, minimum=0.0)
    for entry in flags.values():
        for own in entry.options:
            yield own.name, type(own.default) | None, option(None, own.help, **(own.limits or {}))
    for item in dataclasses.fields(_SharedGuideOptions):
        yield item.name, item.type, field(default=item.default, metadata=item.metadata)


if TYPE_CHECKING:
    GuideOptions = _SharedGuideOptions
else:
    # A guide of weight 0 is absent: not computed, not captured.
    GuideOptions = dataclasses.make_dataclass(
        "GuideOptions", _guide_fields(), bases=(_GuideProperties,), namespace={"__module__": __name__}, frozen=True
    )


@dataclass(frozen=True)
class TrainingOptions:
    """Optimiser, schedule, batches, seeds, and the choice of the best epoch."""

    recipe: Literal["default", "paper"] = option(
        "default",
        "Named defaults; `paper`: Adam 1e-5, the paper's epochs, length 256, batch 64 (ALBERT 56).",
        shapes_result=False,
    )
    epochs: int = option(3, "Passes over the training examples.", minimum=1)
    max_steps: int | None = option(
        None, "Stop after this many optimiser steps; overrides --epochs.", minimum=1, since_fingerprints=True
    )
    batch_size: int = option(16, "Examples in a batch.", minimum=1)
    accumulate: int = option(1, "Batches in one optimiser step.", minimum=1)
    eval_batch_size: int = option(64, "Examples in an evaluation batch.", minimum=1)
    optimizer: Literal["adamw", "adam"] = option("adamw", "Optimiser.")
    learning_rate: float = option(
        5e-5, "Peak learning rate.", above=0.0, default_text="1e-4 for encoders less than 768 wide, else 5e-5"
    )
    schedule: Schedule = option("linear", "Learning rate after warm-up: linear (down to 0) or constant.")
    warmup_ratio: float = option(0.1, "Share of the steps in which the rate rises.", minimum=0.0, maximum=1.0)
    weight_decay: float = option(0.01, "Decoupled weight decay (adamw only).", minimum=0.0)
    max_grad_norm: float = option(1.0, "Gradients are clipped to this norm; 0: not clipped.", minimum=0.0)
    precision: Precision = option("auto", "Arithmetic of matrix products; auto: bf16 where the hardware has it.")
    seed: int = option(1, "Seed of everything random.", minimum=0, maximum=2**32 - 1)
    data_seed: int | None = option(None, "Seed of the order of examples; default: --seed.", minimum=0)
    metric: Metric | None = option(
        None, "Dev metric that chooses the best epoch; default: accuracy, or RR where documents are ranked."
    )
    patience: int | None = option(None, "Stop after this many epochs without a better dev metric.", minimum=1)


@dataclass(frozen=True)
class RankingOptions:
    """Training and dev evaluation of rankers. Without effect on pairs with labels."""

    ranking_loss: RankingLoss = option(
        "bce", "bce (one logit, the paper's Eq. 2), softmax (two outputs) or listwise (a positive among its negatives)."
    )
    dev_queries: int = option(200, "Rank this many dev queries after each epoch.", minimum=1)
    dev_depth: int | None = option(
        None, "Rank this many first-stage candidates of each; default: 20, or all there are.", minimum=1
    )
    long_claims: Literal["cut", "error"] = option(
        "cut",
        "Claims that leave no room for an abstract: cut to half of --max-length and counted, or an error.",
        shapes_result=False,  # where neither is needed, and where one ends in numbers, both give the same
    )


@dataclass(frozen=True)
class OutputOptions:
    """Files, checkpoints and trackers. Nothing here changes a number."""

    output: str | None = option(
        None, "Run folder; default: a name made from the settings under ./runs.", shapes_result=False
    )
    checkpoint_every: int | None = option(
        None, "Also save full state every this many steps (each epoch always).", minimum=1, shapes_result=False
    )
    keep_checkpoints: bool = option(False, "Keep checkpoints/ after the run has finished.", shapes_result=False)
    track: Tracker | None = option(None, "Also log to a tracker.", shapes_result=False)
    track_project: str = option(
        "agcli", "Tracker's project (mlflow: experiment); tensorboard has none.", shapes_result=False
    )
    track_name: str | None = option(None, "Run's name in the tracker; default: the run folder's.", shapes_result=False)
    track_group: str | None = option(None, "Tracker's group of runs (mlflow: a tag).", shapes_result=False)


SECTIONS: dict[str, type[Any]] = {
    "model": ModelOptions,
    "data": DataOptions,
    "guides": GuideOptions,
    "training": TrainingOptions,
    "ranking": RankingOptions,
    "output": OutputOptions,
}


OPTIONS: dict[str, Declared] = declared_options(SECTIONS)
"""Every option of a run by name."""
