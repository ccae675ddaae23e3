"""The methods to time: our engine in its variants, built as `ag finetune` builds it; `baselines.py` has the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import Any, cast

import torch
from accelerate.utils import set_seed

from agcli.attention import EncoderAttention, Implementation, attach
from agcli.attention.dispatch import choose
from agcli.errors import UsageError
from agcli.guides.base import reads_ids
from agcli.models import load_model, load_tokenizer, locate, random_model
from agcli.options import GuideOptions, ModelOptions, TrainingOptions
from agcli.runs.device import make_accelerator, precision_of
from agcli.tasks.classification import Classification
from agcli.timing.stopwatch import DTYPES
from agcli.timing.workload import Work, Workload
from agcli.training.assemble import AFTER_DROPOUT, check_attention, checkpoint_activations
from agcli.training.engine import Engine, Position
from agcli.training.loss_terms import LossTerms, make_terms, vocabulary_for

KEPT_MAPS = "guided on the maps that transformers keeps, which come after attention dropout"


@dataclass(frozen=True, eq=False)
class MethodSpec:
    """A method before it is built; small enough to be sent to a process.

    Attributes:
        name: unique in its group: the variant and, where several are compared, the attention.
        variant: a variant of the guide registry, or one of `timing.request.BASELINES`.
        attention: value of `--attention`; heeded by guided variants only.
        random_weights: take the zoo's dimensions and no checkpoint.
        guides: of a guided method those that it computes; of another none.
    """

    name: str
    variant: str
    attention: str
    model: str
    random_weights: bool
    labels: tuple[str, ...]
    workload: Workload
    model_options: ModelOptions
    training: TrainingOptions
    guides: GuideOptions


@dataclass(frozen=True)
class Method:
    """A method, ready to train.

    Attributes:
        epoch: number of an epoch -> an iterator that trains one step at a time.
        notes: caveats about its figures.
        least_warmup: steps that it needs to warm up: a compiled model is compiled for every shape of batch.
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


def fresh_model(spec: MethodSpec, attention: str) -> Any:
    """The model from which every method of a group starts."""
    set_seed(spec.training.seed)
    options = spec.model_options
    if spec.random_weights:
        return random_model(spec.model, labels=spec.labels, attention=attention, dropout=options.dropout)
    return load_model(
        spec.model, labels=spec.labels, offline=options.offline, attention=attention, dropout=options.dropout
    ).model


def kept_maps(model: Any) -> EncoderAttention:
    """Access to the attention of a model whose own maps are kept and reduced."""
    config = model.config
    return EncoderAttention("maps", config.num_hidden_layers, config.num_attention_heads, type(model).__name__)


def engine_method(spec: MethodSpec) -> Method:
    """Our engine; `sdpa`: without guides, on transformers' own fused attention; `eager`: with guides, on its maps."""
    guides = spec.guides
    attention = cast(Implementation, spec.attention if guides.captures else "auto")
    model = fresh_model(spec, "sdpa" if spec.variant == "sdpa" else "eager")
    accelerator = make_accelerator(spec.training.precision)
    if spec.variant == "sdpa":
        encoder = EncoderAttention("none", 0, 0, type(model).__name__)
    elif spec.variant == "eager":
        encoder = kept_maps(model)
    else:
        encoder = attach(model, attention, required=guides.captures, device=accelerator.device)
    checkpoint_activations(model, spec.model_options)
    terms = guide_terms(spec, encoder, model)
    if encoder.kind == "interface":
        check_attention(terms, attention, accelerator.device, spec.model)
    set_seed(spec.training.seed)
    engine = Engine(
        model,
        encoder,
        Classification.losses,
        spec.workload.examples,
        terms,
        spec.training,
        spec.workload.seed,
        accelerator,
        compile=spec.model_options.compile,
        multiple=spec.workload.multiple if spec.workload.multiple > 1 else None,
    )
    workload, precision = replace(spec.workload, multiple=engine.multiple), precision_of(accelerator)
    notes = (KEPT_MAPS if spec.variant == "eager" else AFTER_DROPOUT,)
    return Method(
        model,
        engine.device,
        precision,
        attention_names(model, workload, engine.device, precision, terms.capture.quantities),
        partial(_engine_epoch, engine, workload),
        (*(notes if guides.captures and encoder.kind == "maps" else ()), *option_notes(spec)),
        workload.steps_to_all_shapes() if spec.model_options.compile else 0,
    )


def _engine_epoch(engine: Engine, workload: Workload, number: int) -> Iterator[Work]:
    """One epoch of the engine, checked to go over the batches that all methods share."""
    engine.position = Position(epoch=number, step=engine.position.step)
    for rows, report in zip(workload.batches(number), engine.train_epoch(), strict=True):
        expected = workload.work(rows)
        if (report.examples, report.tokens) != (expected.examples, expected.tokens):
            raise RuntimeError("the engine trained on other batches than the methods that it is compared with")
        yield expected
        report.measured.read()  # as a run does, before its next step: raises what was not finite


def guide_terms(spec: MethodSpec, encoder: EncoderAttention, model: Any) -> LossTerms:
    """The guides of a method, with the tokenizer's ids where they look at tokens.

    Raises:
        UsageError: layers or heads that the encoder has not, or no tokenizer or sign for a guide.
    """
    terms = make_terms(spec.guides, encoder)
    looking = [guide.name for guide in terms.guides if reads_ids(guide)]
    if not looking:
        return terms
    if spec.random_weights and not locate(spec.model):
        raise UsageError(
            f"--random-weights: {', '.join(looking)}: {spec.model}'s tokenizer is not on this machine.",
            hint="a guide on tokens needs its ids; time another model, or leave the guide out",
        )
    tokenizer = load_tokenizer(spec.model, offline=spec.random_weights or spec.model_options.offline)
    return replace(terms, vocabulary=vocabulary_for(terms.guides, tokenizer, model, spec.model))


def option_notes(spec: MethodSpec) -> tuple[str, ...]:
    """The guides of a method whose text says more than a weight."""
    return tuple(f"guide {guide}" for guide in spec.guides.specs.values() if guide.options)


def attention_names(
    model: Any, workload: Workload, device: torch.device, precision: str, quantities: Sequence[str]
) -> str:
    """The implementation that runs in training; where `auto` chooses by length, all that it chooses here."""
    config = model.config
    implementation = str(config._attn_implementation)
    if not implementation.startswith("ag_"):
        return implementation
    head_dim = config.hidden_size // config.num_attention_heads
    rate = getattr(config, "attention_probs_dropout_prob", getattr(config, "attention_dropout", 0.0))
    chosen: dict[str, None] = {}
    for length in sorted({workload.work(rows).padded_length for rows in workload.batches(0)}):
        query = torch.empty((1, config.num_attention_heads, length, head_dim), device=device, requires_grad=True)
        for window in (None, getattr(config, "local_attention", None)):
            name = choose(
                query.to(DTYPES[precision]),
                None,
                dropout=float(rate),
                window=window,
                capture=quantities,
                implementation=cast(Implementation, implementation.removeprefix("ag_")),
            )
            chosen[name] = None
    return " + ".join(chosen)
