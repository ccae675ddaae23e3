"""Task, encoder, guides and engine of a run, made from its settings, and the plan that follows from them."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed

from agcli.attention import EncoderAttention, Implementation, attach, why_maps_are_kept
from agcli.attention.dispatch import check
from agcli.config import RunConfig
from agcli.data.batching import Examples
from agcli.data.catalogue import find_dataset
from agcli.data.knowledge.stored import knowledge_digests
from agcli.errors import DataError, MissingExtraError, UsageError
from agcli.guides.base import Guide, Term
from agcli.guides.registry import GUIDES
from agcli.guides.spec import indices_text
from agcli.models import LoadedModel, load_model
from agcli.options import ModelOptions, OutputOptions
from agcli.runs.device import make_accelerator, precision_of
from agcli.runs.folder import RunFolder
from agcli.runs.launcher import ignored_settings
from agcli.tasks.base import Task, load_dataset, make_task
from agcli.training.engine import Engine
from agcli.training.loss_terms import LossTerms, make_terms, vocabulary_for
from agcli.training.report import Plan

AFTER_DROPOUT = (
    "this encoder bypasses the attention interface: guides see its maps after attention dropout, dropped cells as 0"
)
PROCESS_BYTES = 600 * 2**20
"""Resident memory of a process that has loaded torch, transformers and the data, without weights; measured 0.6 GiB."""
WINDOWED = "layers with a sliding window attend by the reference, which keeps their maps"


class Assembly:
    """The parts of one run, each made on first use."""

    def __init__(self, config: RunConfig, folder: RunFolder, tokenised: Path | None = None) -> None:
        self.config, self.folder, self.tokenised = config, folder, tokenised

    def with_config(self, config: RunConfig) -> Assembly:
        """A run with other settings of the model or its guides, on the same data."""
        other = Assembly(config, self.folder, self.tokenised)
        same = {name: made for name, made in vars(self).items() if name in ("task", "examples")}
        vars(other).update(same)
        return other

    @cached_property
    def task(self) -> Task:
        """The task with its prepared data; a run that is resumed elsewhere reads them from their recorded folder."""
        config = self.config
        recorded = Path(self.folder.environment.get("data", {}).get("folder", ""))
        try:
            folder = find_dataset(config.data.dataset, Path.cwd())
        except DataError:
            if not recorded.is_absolute() or not recorded.is_dir():
                raise
            folder = recorded
        task = make_task(load_dataset(folder), config.data, config.ranking, config.subset_seed)
        task.choose_metric(config.training.metric)  # one of another task is refused here
        knowledge_digests(task.dataset, self.config.guides.knowledge)  # what is missing is refused here
        return task

    @property
    def metric(self) -> str:
        """The dev metric that chooses the best epoch."""
        return self.task.choose_metric(self.config.training.metric)

    @cached_property
    def loaded(self) -> LoadedModel:
        """The encoder; its new classifier is drawn from the run's seed."""
        options = self.config.model
        set_seed(self.config.training.seed)
        loaded = load_model(options.model, labels=self.task.outputs, offline=options.offline, dropout=options.dropout)
        limit = loaded.tokenizer.model_max_length
        if self.config.data.max_length > limit:
            raise UsageError(f"--max-length {self.config.data.max_length}: {loaded.name} reads at most {limit} tokens.")
        return loaded

    @cached_property
    def accelerator(self) -> Accelerator:
        """Device and precision."""
        return make_accelerator(self.config.training.precision, **_tracker(self.config.output, self.folder.path))

    @cached_property
    def encoder_attention(self) -> EncoderAttention:
        """Access to the attention of the encoder."""
        config, device = self.config, self.accelerator.device
        return attach(self.loaded.model, config.model.attention, required=config.guides.captures, device=device)

    @cached_property
    def examples(self) -> dict[str, Examples]:
        """Split -> tokenised examples; of the training split the chosen subset."""
        return self.task.examples(self.loaded.tokenizer, self.tokenised, self.config.guides.knowledge)

    @cached_property
    def engine(self) -> Engine:
        """The engine; everything random from here on follows the run's seed."""
        config, accelerator = self.config, self.accelerator
        terms = self._with_vocabulary(make_terms(config.guides, self.encoder_attention))
        check_attention(terms, config.model.attention, accelerator.device, self.loaded.name)
        checkpoint_activations(self.loaded.model, config.model)
        # Several processes need different seeds, so that each has its own dropout.
        set_seed(config.training.seed, device_specific=accelerator.num_processes > 1)
        return Engine(
            self.loaded.model,
            self.encoder_attention,
            self.task.losses,
            self.examples["train"],
            terms,
            config.training,
            config.data_seed,
            accelerator,
            compile=config.model.compile,
            ids_shown=not self.task.dataset.credentialed,
        )

    def _with_vocabulary(self, terms: LossTerms) -> LossTerms:
        """The terms with what guides need to know of the tokenizer."""
        vocabulary = vocabulary_for(terms.guides, self.loaded.tokenizer, self.loaded.model, self.loaded.name)
        return replace(terms, vocabulary=vocabulary)

    @cached_property
    def plan(self) -> Plan:
        """The run's sizes, guides, device and memory."""
        engine, lengths = self.engine, self.engine.lengths
        return Plan(
            folder=str(self.folder.path),
            task=self.task.name,
            model=self.loaded.source,
            num_parameters=self.loaded.model.num_parameters(),
            num_layers=self.encoder_attention.num_layers,
            num_heads=self.encoder_attention.num_heads,
            labels=self.task.outputs,
            examples={split: len(examples) for split, examples in self.examples.items()},
            truncated={split: int(examples.truncated.sum()) for split, examples in self.examples.items()},
            length={"median": int(sorted(lengths)[len(lengths) // 2]), "longest": int(lengths.max())},
            steps_per_epoch=engine.steps_per_epoch,
            total_steps=engine.total_steps,
            guides=tuple(self._text(term) for term in engine.terms.terms),
            monitors=tuple(f"{guide.name}{_heads_taken(guide)}" for guide in engine.terms.monitors),
            processes=engine.distributed.size,
            precision=precision_of(engine.accelerator),
            device=engine.device.type,
            memory_estimate_bytes=self._memory_estimate(),
            attention=self.encoder_attention.kind,
            notes=self.loaded.notes + self.task.notes + self._attention_notes() + ignored_settings(),
        )

    def _text(self, term: Term) -> str:
        """A term of the loss with its weight, and the heads of a guide that takes some."""
        spec = self.config.guides.specs.get(term.name)
        text = f"{term.name}={term.weight:g}" if spec is None else str(spec)
        return f"{text}{_heads_taken(term)}"

    def _attention_notes(self) -> tuple[str, ...]:
        if self.encoder_attention.kind == "maps":
            return (AFTER_DROPOUT,)
        notes: tuple[str, ...] = (WINDOWED,) if _windowed(self.loaded.model.config) else ()
        cause = next((cause for cause in self._why_maps_are_kept() if cause is not None), None)
        if cause is not None and self.config.model.attention == "auto" and self.accelerator.device.type != "cpu":
            notes += (f"attention keeps its maps, which takes memory: {cause}",)
        return notes

    def _why_maps_are_kept(self) -> list[str | None]:
        """The cause for each layer, were it without a window, at the longest of the training pairs."""
        config = self.loaded.model.config
        head_dim = int(config.hidden_size) // int(config.num_attention_heads)
        query = torch.empty((1, 1, int(self.engine.lengths.max()), head_dim), device=self.accelerator.device)
        attention, capture = self.encoder_attention, self.engine.terms.capture
        capture = capture.in_all_layers() if attention.shared else capture
        layers = [capture.of_layer(layer) for layer in range(attention.num_layers)]
        return [why_maps_are_kept(self.config.model.attention, query, captured) for captured in layers]

    def _memory_estimate(self) -> int:
        """Bytes of weights, gradients, two Adam moments, and the activations kept for the backward pass.

        Without a GPU all this lies beside the process itself and the copy of the moments that a checkpoint is written
        from. Estimated and measured peaks of `minilm` at batch size 16 on two cores, in GiB: 60 tokens 1.29, against
        1.21 (fp32) and 1.40 (bf16) after one epoch of 350 pairs; the sample by default 1.3, against 1.39 after three
        epochs, since freed memory is kept; 256 tokens in bf16 1.67, against 1.49 after two steps.

        A layer keeps about 16 hidden-size vectors a token (inputs of the linear layers and norms, and the wide
        feed-forward layer) and, where maps are kept, three of them a head; float32 throughout, since autocast keeps
        both copies of some.
        """
        config = self.loaded.model.config
        attention = self.encoder_attention
        weights = self.loaded.model.num_parameters()
        length, batch = int(self.engine.lengths.max()), self.config.training.batch_size
        tokens = batch * length * attention.num_layers * 16 * int(config.hidden_size)
        keeping = {layer for layer, cause in enumerate(self._why_maps_are_kept()) if cause is not None}
        layers_with_maps = attention.num_layers if attention.kind == "maps" else len(keeping | _windowed(config))
        maps = batch * layers_with_maps * attention.num_heads * length * length * 3
        on_gpu = self.accelerator.device.type != "cpu"
        return int(4 * (4 * weights + tokens + maps) + (0 if on_gpu else PROCESS_BYTES + 4 * 2 * weights))


def check_attention(terms: LossTerms, attention: Implementation, device: torch.device, encoder: str) -> None:
    """Whether a forced implementation gives each guide what it needs.

    Raises:
        UsageError: it does not; names guide, encoder and cause.
    """
    for guide in terms.guides:
        needed = LossTerms((guide,), released=terms.released).capture.quantities
        check(attention, device, needed, whose=f"the guide {guide.name} on {encoder}")


def checkpoint_activations(model: Any, options: ModelOptions) -> None:
    """Recompute activations in the backward pass, under `--activation-checkpointing`.

    Raises:
        UsageError: the architecture cannot, such as ALBERT's.
    """
    if not options.activation_checkpointing:
        return
    try:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    except ValueError:
        raise UsageError(
            f"--activation-checkpointing: {type(model).__name__} does not support it.",
            hint="leave it out; a smaller --batch-size with --accumulate saves memory too",
        ) from None


def _heads_taken(term: Term) -> str:
    """` (heads 0-1)` of a guide that takes some heads, else an empty string."""
    if not isinstance(term, Guide) or term.name not in GUIDES or not GUIDES[term.name].takes_heads:
        return ""
    heads = term.heads or ()
    return f" ({'head' if len(heads) == 1 else 'heads'} {indices_text(heads)})"


def _windowed(config: Any) -> set[int]:
    """Layers that attend in a sliding window."""
    kinds = getattr(config, "layer_types", None) or ()
    return {layer for layer, kind in enumerate(kinds) if kind == "sliding_attention"}


def _tracker(options: OutputOptions, folder: Path) -> dict[str, Any]:
    """Arguments of `Accelerator` for a tracker, if there is one.

    Raises:
        MissingExtraError: its package is not installed.
    """
    tracker = options.track
    if tracker is None:
        return {}
    from accelerate.tracking import get_available_trackers

    if tracker not in [str(each.value) for each in get_available_trackers()]:
        raise MissingExtraError(tracker, tracker, f"--track {tracker}")
    return {"log_with": tracker, "project_dir": str(folder)}


def tracker_settings(options: OutputOptions, run: str) -> tuple[str, dict[str, Any]]:
    """The project that Accelerate hands to a tracker, and the tracker's further settings; `run` names the folder."""
    name, group = options.track_name or run, options.track_group
    match options.track:
        case "tensorboard":  # the project is its folder in the run folder; it tells runs apart by their paths
            return "tracking", {}
        case "mlflow":
            return options.track_project, {"run_name": name, **({"tags": {"group": group}} if group else {})}
        case _:  # wandb.init and trackio.init
            return options.track_project, {"name": name, **({"group": group} if group else {})}
