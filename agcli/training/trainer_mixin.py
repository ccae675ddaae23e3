"""Attention guiding for users of Hugging Face `Trainer` and sentence-transformers' `CrossEncoderTrainer`.

    class GuidedTrainer(GuidedTrainerMixin, Trainer):
        pass

    GuidedTrainer(model=model, args=args, train_dataset=data, guides=[MDG(weight=0.01), PDG(weight=0.001)]).train()

Some losses call the model themselves, once or several times, so attention is captured where it arises: at the encoder.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from agcli.attention import EncoderAttention, attach
from agcli.errors import ModelError, UsageError
from agcli.guides.base import CapturedAttention, Guide, TermValues, reads_ids
from agcli.guides.schedule import parse_schedule
from agcli.guides.tokens import Vocabulary
from agcli.guides.vocabulary import check_vocabulary
from agcli.training.loss_terms import GuidedForward, LossTerms, vocabulary_for
from agcli.training.trainer_tokens import Knowledge, check_knowledge, check_schedules, tokens_of

if TYPE_CHECKING:
    from transformers import Trainer
else:
    Trainer = object


class GuidedTrainerMixin(Trainer):  # type: ignore[misc]
    """Adds `Σ weight · guide` (Eq. 5) to the training loss of the trainer it is mixed into; list it first.

        trainer = GuidedTrainer(..., guides=[Next(weight=0.05, heads=(0,))], schedules={"next": "linear:0.5"})

    The guides' raw and weighted values are logged with the training loss, as `NAME` and `NAME_weighted`. Evaluation
    captures nothing. Without guides (none given, or all of weight 0) the trainer is untouched.

    Gradient accumulation equals one large batch, also where the last micro-batch is short: a micro-batch counts by its
    share of the samples. That holds for the task loss too, except where `compute_loss_func` or
    `loss_is_scaled_for_ga = True` says that it is scaled already. transformers (5.23, issue 47688) does not divide the
    mean loss of BERT-like heads by the accumulation steps; for an unguided run to compare with, set
    `trainer.model_accepts_loss_kwargs = False`.

    Args:
        schedules: name of a guide -> its weight over training, as in `--guide`: `linear:0.5`, `warmup:0.1`, `off:0.3`.
            After `off` the guide is neither computed nor logged; its weighted value is then logged as 0.
        vocabulary: ids that guides on tokens refer to; default: those of `processing_class`, a tokenizer.
        knowledge: for guides on knowledge of the data: (input_ids, mask), both (batch, length), to a mapping from the
            name, such as `pmi`, to what is known of each pair of tokens, (batch, length, length).

    Raises:
        UsageError: `DataParallel`, a loss that caches gradients, two guides of one name, a schedule of no guide, or a
            guide without the vocabulary, knowledge, layers or heads that it needs.
        ModelError: an encoder that returns no attention.
    """

    def __init__(
        self,
        *args: Any,
        guides: Sequence[Guide] = (),
        schedules: Mapping[str, str] | None = None,
        vocabulary: Vocabulary | None = None,
        knowledge: Knowledge | None = None,
        **kwargs: Any,
    ) -> None:
        self.guides = tuple(guide for guide in guides if guide.weight)
        super().__init__(*args, **kwargs)
        check_schedules(schedules or {}, guides)
        if not self.guides:
            return
        self._check_model_and_loss()
        check_knowledge(self.guides, knowledge)
        self._task_is_scaled = bool(self.compute_loss_func is not None or getattr(self, "loss_is_scaled_for_ga", None))
        if not self._task_is_scaled:
            # The trainer then divides a mean loss by the accumulation steps, whatever the classifier does.
            self.model_accepts_loss_kwargs = False
        self._encoder = _encoder_of(self.model)
        self._attention = attach(self._encoder)
        for guide in self.guides:
            self._attention.check_indices(f"The guide {guide.name}", guide.layers, guide.heads)
        present = {guide.name: (schedules or {}).get(guide.name, "constant") for guide in self.guides}
        self._terms = LossTerms(
            self.guides,
            vocabulary=self._vocabulary(vocabulary),
            schedules={name: parse_schedule(text) for name, text in present.items() if text != "constant"},
        )
        self._knowledge = knowledge
        self._means: dict[str, _Mean] = {}

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, *args: Any, **kwargs: Any
    ) -> tuple[list[Any], Any]:
        """The micro-batches of one optimiser step, as the trainer fetches them; their samples are counted."""
        batches, num_items = super().get_batch_samples(epoch_iterator, num_batches, *args, **kwargs)
        if self.guides:
            self._samples_in_step = sum(_num_samples(batch) for batch in batches)
            self._micro_batches = len(batches)
        return batches, num_items

    def compute_loss(
        self, model: nn.Module, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The trainer's own loss; in training, plus the guides' term of the same forward or forwards."""
        if not self.guides or not model.training:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        share, micro_batches = 1.0, 1
        if self.is_in_train:  # elsewhere a batch counts as whole
            share, micro_batches = _num_samples(inputs) / self._samples_in_step, self._micro_batches
        encoder = _encoder_of(model)
        if encoder is not self._encoder:  # `model_init` makes a new model for every run
            self._encoder, self._attention = encoder, attach(encoder)
        progress = self.state.global_step / max(1, self.state.max_steps) if self.is_in_train else 0.0
        terms = self._terms.after(progress)
        forwards: list[CapturedAttention] = []
        with _capture(self._encoder, self._attention, terms, self._knowledge, forwards):
            result = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        task, outputs = result if return_outputs else (result, None)
        values = _mean_values(terms, forwards, progress)
        self._note(values, share)
        guided = sum(values.weighted.values())  # 0 where every schedule is over
        if self._task_is_scaled:
            loss = task + share * guided
        else:  # the trainer will divide by the number of micro-batches
            loss = (task + guided) * (share * micro_batches)
        return (loss, outputs) if return_outputs else loss

    def _note(self, values: TermValues, share: float) -> None:
        """Keep a micro-batch's values for the log; the shares of one optimiser step add up to 1."""
        for guide in self.guides:
            raw, weighted = values.raw.get(guide.name), values.weighted.get(guide.name)
            if raw is not None:
                self._mean(guide.name).add(raw.detach(), share)
            self._mean(f"{guide.name}_weighted").add(0.0 if weighted is None else weighted.detach(), share)

    def _mean(self, name: str) -> _Mean:
        return self._means.setdefault(name, _Mean())

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Log as the trainer does; beside the training loss, each guide's mean value since the last time."""
        if self.guides and "loss" in logs:
            for name, mean in self._means.items():
                value = torch.as_tensor(mean.total, device=self.accelerator.device) / mean.steps
                logs = {**logs, name: float(self.accelerator.reduce(value, reduction="mean"))}
            self._means = {}
        super().log(logs, *args, **kwargs)

    def _vocabulary(self, given: Vocabulary | None) -> Vocabulary:
        """The ids that the guides refer to, empty if they look at no tokens.

        Raises:
            UsageError: there are neither ids nor a tokenizer, or the encoder has no such sign as a guide is about.
        """
        encoder = type(self._encoder).__name__
        if given is not None:
            for guide in self.guides:
                check_vocabulary(guide, given, encoder)
            return given
        names = [guide.name for guide in self.guides if reads_ids(guide)]
        if not names:
            return Vocabulary()
        tokenizer = getattr(self, "processing_class", None)
        tokenizer = getattr(tokenizer, "tokenizer", tokenizer)  # of a processor of several kinds of input
        if not hasattr(tokenizer, "all_special_ids"):
            raise UsageError(
                f"{', '.join(names)}: the targets of these guides depend on tokens, and the trainer has no tokenizer.",
                hint="give the trainer processing_class=tokenizer, or vocabulary=agcli.guides.tokens.Vocabulary(...)",
            )
        return vocabulary_for(self.guides, tokenizer, self._encoder, encoder)

    def _check_model_and_loss(self) -> None:
        names = [guide.name for guide in self.guides]
        if len(set(names)) < len(names):
            raise UsageError(f"Two guides share a name: {', '.join(names)}. Give each guide once.")
        if self.args.n_gpu > 1 or isinstance(self.model, nn.DataParallel):
            raise UsageError(
                "Attention cannot be captured from DataParallel's replicas.",
                hint="start one process per GPU: torchrun or accelerate launch",
            )
        losses = getattr(self, "loss", None)
        for loss in losses.values() if isinstance(losses, dict) else [losses]:
            if _caches_gradients(loss):
                raise UsageError(
                    f"{type(loss).__name__} caches gradients: it runs the encoder without gradient first and again "
                    "inside the backward pass, after the loss is known, so the guides could not reach the encoder.",
                    hint=f"use {type(loss).__name__.removeprefix('Cached')}, or no guides",
                )


@dataclass
class _Mean:
    """A value over optimiser steps."""

    total: Tensor | float = 0.0
    steps: float = 0.0

    def add(self, value: Tensor | float, share: float) -> None:
        """Add the value of a share of a step."""
        self.total, self.steps = self.total + share * value, self.steps + share


@contextmanager
def _capture(
    encoder: PreTrainedModel,
    attention: EncoderAttention,
    terms: LossTerms,
    knowledge: Knowledge | None,
    forwards: list[CapturedAttention],
) -> Iterator[None]:
    """Collect attention of every forward with gradient; outputs leave the encoder without attentions."""
    if not terms:
        yield
        return
    running: list[GuidedForward] = []
    signature = inspect.signature(encoder.forward)

    def request(_: nn.Module, args: Any, kwargs: dict[str, Any]) -> Any:
        if not torch.is_grad_enabled():
            return None
        tokens = tokens_of(signature.bind_partial(*args, **kwargs).arguments, terms.vocabulary, knowledge)
        running.append(GuidedForward(terms, attention, tokens))
        return args, {**kwargs, **running[-1].kwargs}

    def collect(_: nn.Module, args: Any, kwargs: dict[str, Any], outputs: Any) -> Any:
        if not torch.is_grad_enabled():
            return None
        forwards.append(running.pop().attention(outputs))
        return type(outputs)(**{key: value for key, value in outputs.items() if key != "attentions"})

    handles = [
        encoder.register_forward_pre_hook(request, with_kwargs=True),
        encoder.register_forward_hook(collect, with_kwargs=True),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _mean_values(terms: LossTerms, forwards: Sequence[CapturedAttention], progress: float) -> TermValues:
    """The guides' mean over all samples of all forwards of one loss.

    Raises:
        ModelError: the loss never ran the encoder with gradient, or attention came back without one; a guide would be a
            silent zero.
    """
    if not terms:
        return TermValues({}, {})
    if not forwards:
        raise ModelError("The loss did not run the encoder with gradient, so there is no attention to guide.")
    total = sum(len(forward.mask) for forward in forwards)
    parts = [(len(forward.mask) / total, terms.values(forward).raw) for forward in forwards]
    weights = terms.weights(progress)
    raw = {name: torch.stack([share * part[name] for share, part in parts]).sum() for name in weights}
    if lost := [name for name, value in raw.items() if not value.requires_grad]:
        raise ModelError(
            f"No gradient goes from {', '.join(lost)} to the encoder, so guiding would change nothing.",
            hint="activation checkpointing needs use_reentrant=False, and guided layers must not be frozen",
        )
    return TermValues(raw, weighted={name: weight * raw[name] for name, weight in weights.items()})


def _encoder_of(model: nn.Module) -> PreTrainedModel:
    """The encoder below the classifier of the outermost transformers model, whatever that is wrapped in.

    Below the classifier: sentence-transformers calls the whole model's `forward` directly, past its hooks, and a
    user's own classifier need not accept `output_attentions`.
    """
    for module in model.modules():
        if isinstance(module, PreTrainedModel):
            return module.base_model
    raise ModelError(f"{type(model).__name__} holds no transformers model, so there is no attention to guide.")


def _caches_gradients(loss: object) -> bool:
    """Whether a sentence-transformers loss, or one wrapped in it, runs its backward pass from a hook."""
    parts = loss.modules() if isinstance(loss, nn.Module) else ()
    return any(
        getattr(part, "uses_gradient_cache", False) or type(part).__name__.startswith("Cached") for part in parts
    )


def _num_samples(batch: Mapping[str, Any]) -> int:
    """Rows of a collated batch: tensors in `Trainer`, lists of texts in `CrossEncoderTrainer`."""
    for value in batch.values():
        if isinstance(value, list) or (isinstance(value, Tensor) and value.dim()):
            return len(value)
    raise ValueError("a batch without columns")
