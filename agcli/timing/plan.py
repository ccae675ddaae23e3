"""What a timing is asked to do, checked as a whole, and the groups of arms that it comes to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import cast

import torch

from agcli.attention import Implementation
from agcli.attention.selection import check
from agcli.errors import UsageError, did_you_mean
from agcli.options import OPTIONS, ModelOptions, TrainingOptions
from agcli.runs.launcher import check_launcher
from agcli.timing.arm import RIVALS, VARIANTS, ArmSpec, Variant
from agcli.timing.course import Course
from agcli.timing.shapes import TRAINING_PAIRS
from agcli.timing.supply import Encoder, Source, Supply, find_encoder, find_source

PADDINGS = ("dynamic", "max")
DEFAULT_LENGTH = 256
"""The paper's."""


@dataclass(frozen=True)
class TimingRequest:
    """What is to be timed.

    Attributes:
        models: zoo names, hub ids or folders.
        variants: of our engine.
        attention: implementations for the guided variants.
        lengths: the maximum length of each group.
        dataset: prepared data, or None.
        shape: a shipped histogram of lengths, or None.
        padding: `dynamic`: to the longest of a batch; `max`: to the group's length.
        steps: measured steps an arm; not looked at where `epochs` is given.
        rounds: turns in which an arm does them.
        warmup: steps that are done before and not counted.
        epochs: whole epochs to measure in place of `steps`.
        random_weights: the zoo's dimensions without a checkpoint.
        against: what else is given the same batches: `RIVALS`.
        model: dropout, activation checkpointing, network.
        training: batch size, precision, optimiser, seed.
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
    """Arms that are compared: one model, one length, the same batches.

    Attributes:
        model: as asked for.
        length: longest example in tokens.
        padding: `dynamic` or `max`.
        data: name of the data set or shape.
        population: examples of an epoch, where there is one.
        blocks: steps of each round, the same for every arm.
        warmup: steps before.
        epochs: epochs that the blocks make up; None where they are some steps only.
        arms: the arms, in the order of the first round.
        notes: what is said of every figure of the group.
    """

    model: str
    length: int
    padding: str
    data: str
    population: int | None
    blocks: tuple[int, ...]
    warmup: int
    epochs: int | None
    arms: tuple[ArmSpec, ...]
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
    """What is wrong with the options, before anything is looked up; each problem names its flag."""
    named: tuple[tuple[str, Iterable[str], Iterable[str]], ...] = (
        ("--variants", request.variants, VARIANTS),
        ("--attention", request.attention, OPTIONS["attention"].spec.choices or ()),
        ("--against", request.against, RIVALS),
        ("--padding", (request.padding,), PADDINGS),
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
        yield f"--variants: it is empty; allowed: {', '.join(VARIANTS)}."
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
    wanted = None if request.epochs else request.steps * size
    supply = source.supply(encoder, length, wanted, seed)
    if size > len(supply.examples):
        raise UsageError(f"--batch-size: {size} is more than the {len(supply.examples)} pairs of {source.name}.")
    course = Course(supply.examples, size, seed, length if request.padding == "max" else 1)
    steps = request.steps
    if request.epochs:
        steps = request.epochs * len(course.batches(0))
        if steps < request.rounds:
            raise UsageError(f"--rounds: {request.rounds} is more than the {steps} steps of --epochs {request.epochs}.")
    notes = (*(("random weights",) if request.random_weights else ()), *supply.notes)
    return Group(
        model=encoder.name,
        length=length,
        padding=request.padding,
        data=source.name,
        population=supply.population,
        blocks=split_evenly(steps, request.rounds),
        warmup=request.warmup,
        epochs=request.epochs,
        arms=tuple(_arms(request, encoder.name, length, supply, course)),
        notes=notes,
    )


def _arms(request: TimingRequest, model: str, length: int, supply: Supply, course: Course) -> Iterator[ArmSpec]:
    """`none` once, each guided variant once for every attention, then the rivals."""
    common = ArmSpec(
        name="none",
        variant="none",
        attention="auto",
        model=model,
        random_weights=request.random_weights,
        labels=supply.labels,
        course=course,
        model_options=request.model,
        training=request.training,
    )
    for word in (*request.variants, *request.against):
        variant = cast(Variant, word)
        if variant in ("mdg", "pdg", "both"):
            for attention in request.attention:
                name = variant if request.attention == ("auto",) else f"{variant}, {attention}"
                yield replace(common, name=name, variant=variant, attention=attention)
        elif variant == "authors":  # pads every pair to the maximum, whatever --padding says
            yield replace(common, name=variant, variant=variant, course=replace(course, multiple=length))
        else:
            yield replace(common, name=variant, variant=variant)


def split_evenly(steps: int, rounds: int) -> tuple[int, ...]:
    """`steps` in `rounds` blocks that differ by one at most, the longer ones first."""
    share, rest = divmod(steps, rounds)
    return tuple(share + (number < rest) for number in range(rounds))
