"""The options of a timing, checked as a whole, and the groups of methods that it compares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import cast

import torch

from agcli.attention import Implementation
from agcli.attention.selection import check
from agcli.errors import UsageError, did_you_mean
from agcli.guides.registry import variants
from agcli.options import OPTIONS, ModelOptions, TrainingOptions
from agcli.runs.launcher import check_launcher
from agcli.timing.examples import Encoder, Source, TimingExamples, find_encoder, find_source
from agcli.timing.methods import BASELINES, MethodSpec
from agcli.timing.shapes import TRAINING_PAIRS
from agcli.timing.workload import Workload

DEFAULT_LENGTH = 256
"""The paper's."""


@dataclass(frozen=True)
class TimingRequest:
    """The options of `ag timing`.

    Attributes:
        attention: implementations to compare, for the guided variants.
        lengths: the longest input in tokens of each group.
        dataset: prepared data; None where there are none.
        shape: a shipped histogram of lengths; None where none is used.
        padding: `dynamic`: to the longest of a batch; `max`: to the group's length.
        steps: measured steps of each method; without effect where `epochs` is given.
        rounds: turns in which a method does them.
        warmup: steps before the measured ones.
        epochs: whole epochs to measure in place of `steps`.
        random_weights: take the zoo's dimensions and no checkpoint.
        against: some of `BASELINES`.
    """

    models: tuple[str, ...] = ("minilm",)
    variants: tuple[str, ...] = ("none", "both")
    attention: tuple[str, ...] = ("auto",)
    lengths: tuple[int, ...] = (DEFAULT_LENGTH,)
    dataset: str | None = None
    shape: str | None = None
    padding: str = "dynamic"
    steps: int = 40
    rounds: int = 5
    warmup: int = 3
    epochs: int | None = None
    random_weights: bool = False
    against: tuple[str, ...] = ()
    model: ModelOptions = field(default_factory=ModelOptions)
    training: TrainingOptions = field(default_factory=TrainingOptions)


@dataclass(frozen=True, eq=False)
class Group:
    """Methods that are compared: one model, one length, the same batches.

    Attributes:
        length: longest example in tokens.
        data: name of the data set or shape.
        population: examples of an epoch, where there is one.
        blocks: steps of each round, the same for every method.
        epochs: epochs that the blocks make up; None where they are some steps only.
        methods: in the order of the first round.
        notes: what all figures of the group must be read with.
    """

    model: str
    length: int
    padding: str
    data: str
    population: int | None
    blocks: tuple[int, ...]
    warmup: int
    epochs: int | None
    methods: tuple[MethodSpec, ...]
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        """For tables and messages."""
        return f"{self.model}, length {self.length}"


def plan_groups(request: TimingRequest) -> list[Group]:
    """The groups in the order in which they are measured: every length of a model, then the next model.

    Raises:
        UsageError: all problems of the options together; then those of the models, each with its lengths.
        AgError: as finding models and data raises it.
    """
    check_launcher()
    problems = list(request_problems(request))
    if problems:
        raise UsageError("\n".join(problems), hint="`ag timing --help` lists every option")
    for attention in request.attention if set(request.variants) - {"none"} else ():
        check(cast(Implementation, attention), torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    source = find_source(request.dataset, request.shape)
    offline = request.model.offline
    encoders = [find_encoder(name, random_weights=request.random_weights, offline=offline) for name in request.models]
    problems = [
        f"--lengths {length}: {encoder.name} reads at most {encoder.max_length} tokens."
        for encoder in encoders
        for length in request.lengths
        if encoder.max_length is not None and length > encoder.max_length
    ]
    if problems:
        raise UsageError("\n".join(problems), hint="shorten --lengths, or choose another model")
    return [_group(request, source, encoder, length) for encoder in encoders for length in request.lengths]


def request_problems(request: TimingRequest) -> Iterator[str]:
    """Problems of the options that show before any model or data set is looked up; each names its flag."""
    named: tuple[tuple[str, Iterable[str], Iterable[str]], ...] = (
        ("--variants", request.variants, variants()),
        ("--attention", request.attention, OPTIONS["attention"].spec.choices or ()),
        ("--against", request.against, BASELINES),
        ("--padding", (request.padding,), ("dynamic", "max")),
        ("--shape", (request.shape,) if request.shape else (), TRAINING_PAIRS),
    )
    for flag, words, allowed in named:
        for word in words:
            if word not in allowed:
                nearest = did_you_mean(word, allowed)
                yield f"{flag}: {word!r} is not allowed; allowed: {', '.join(allowed)}.{nearest}"
    spec = OPTIONS["max_length"].spec
    for length in request.lengths:
        if not spec.admits(length):
            yield f"--lengths: {length} is not allowed; allowed: {spec.allowed()}."
    for flag, given in (("--models", request.models), ("--lengths", request.lengths)):
        if not given:
            yield f"{flag}: it is empty."
    if not request.variants and not request.against:
        yield f"--variants: it is empty; allowed: {', '.join(variants())}."
    if not request.attention:
        yield "--attention: it is empty."
    yield from _count_problems(request)


def _count_problems(request: TimingRequest) -> Iterator[str]:
    if request.rounds < 1:
        yield f"--rounds: {request.rounds} is not allowed; allowed: at least 1."
    if request.warmup < 1:
        yield f"--warmup: {request.warmup} is not allowed; allowed: at least 1, as a first step finds memory."
    if request.epochs is None and request.steps < max(request.rounds, 1):
        least = f"at least --rounds, which is {request.rounds}; raise one or lower the other"
        yield f"--steps: {request.steps} is not allowed; allowed: {least}."
    if request.epochs is not None and request.epochs < 1:
        yield f"--epochs: {request.epochs} is not allowed; allowed: at least 1."
    if request.dataset is not None and request.shape is not None:
        yield "--dataset and --shape: give one of them, not both."
    if request.epochs is not None and request.dataset is None and request.shape is None:
        yield "--epochs: a whole epoch needs --dataset or --shape."


def _group(request: TimingRequest, source: Source, encoder: Encoder, length: int) -> Group:
    """One model at one length."""
    size, seed = request.training.batch_size, request.training.seed
    found = source.take(encoder, length, None if request.epochs else request.steps * size, seed)
    if size > len(found.examples):
        raise UsageError(f"--batch-size: {size} is more than the {len(found.examples)} pairs of {source.name}.")
    workload = Workload(found.examples, size, seed, length if request.padding == "max" else 1)
    steps = request.steps
    if request.epochs:
        steps = request.epochs * len(workload.batches(0))
        if steps < request.rounds:
            raise UsageError(f"--rounds: {request.rounds} is more than the {steps} steps of --epochs {request.epochs}.")
    return Group(
        model=encoder.name,
        length=length,
        padding=request.padding,
        data=source.name,
        population=source.population,
        blocks=split_evenly(steps, request.rounds),
        warmup=request.warmup,
        epochs=request.epochs,
        methods=tuple(_methods(request, encoder.name, length, found, workload)),
        notes=(("random weights",) if request.random_weights else ()) + found.notes,
    )


def _methods(
    request: TimingRequest, model: str, length: int, found: TimingExamples, workload: Workload
) -> Iterator[MethodSpec]:
    """`none` once, each guided variant once for every attention, then the baselines."""
    common = MethodSpec(
        name="none",
        variant="none",
        attention="auto",
        model=model,
        random_weights=request.random_weights,
        labels=found.labels,
        workload=workload,
        model_options=request.model,
        training=request.training,
    )
    for variant in (*request.variants, *request.against):
        if variants().get(variant):
            for attention in request.attention:
                name = variant if request.attention == ("auto",) else f"{variant}, {attention}"
                yield replace(common, name=name, variant=variant, attention=attention)
        elif variant == "authors":  # pads every pair to the maximum, whatever --padding says
            yield replace(common, name=variant, variant=variant, workload=replace(workload, multiple=length))
        else:
            yield replace(common, name=variant, variant=variant)


def split_evenly(steps: int, rounds: int) -> tuple[int, ...]:
    """`steps` in `rounds` blocks that differ by one at most, the longer ones first."""
    share, rest = divmod(steps, rounds)
    return tuple(share + (number < rest) for number in range(rounds))
