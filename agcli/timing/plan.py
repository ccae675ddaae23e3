"""The groups of methods that a timing compares."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import cast

import torch

from agcli.attention import Implementation
from agcli.attention.dispatch import check
from agcli.errors import UsageError
from agcli.guides.variants import is_variant, variant_guides
from agcli.runs.launcher import check_launcher
from agcli.timing.examples import Encoder, Source, TimingExamples, find_encoder, find_source
from agcli.timing.methods import MethodSpec
from agcli.timing.request import TimingRequest, request_problems
from agcli.timing.workload import Workload


@dataclass(frozen=True, eq=False)
class Group:
    """Methods that are compared: one model, one length, the same batches.

    Attributes:
        data: name of the data set or shape.
        population: examples of an epoch, where there is one.
        blocks: steps of each round, the same for every method.
        epochs: epochs that the blocks make up; None where they are some steps only.
        methods: in the order of the first round.
        notes: caveats about all figures of the group.
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
        UsageError: all problems of the options together; then those of the models with the lengths.
        AgError: no such model or data.
    """
    check_launcher()
    if problems := list(request_problems(request)):
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


def _group(request: TimingRequest, source: Source, encoder: Encoder, length: int) -> Group:
    """One model at one length."""
    size, seed, steps = request.training.batch_size, request.training.seed, request.steps
    needed = dict.fromkeys(name for each in _variants(request) for name in request.guides_of(each).knowledge)
    taken = source.take(encoder, length, None if request.epochs else steps * size, seed, tuple(needed))
    if size > len(taken.examples):
        raise UsageError(f"--batch-size: {size} is more than the {len(taken.examples)} pairs of {source.name}.")
    workload = Workload(taken.examples, size, seed, length if request.padding == "max" else 1)
    if request.epochs:
        steps = request.epochs * len(workload.batches(0))
        if steps < request.rounds:
            raise UsageError(f"--rounds: {request.rounds} is more than the {steps} steps of --epochs {request.epochs}.")
    unguided = MethodSpec(
        name="none",
        variant="none",
        attention="auto",
        model=encoder.name,
        random_weights=request.random_weights,
        labels=taken.labels,
        workload=workload,
        model_options=request.model,
        training=request.training,
        guides=request.guides_of("none"),
    )
    return Group(
        model=encoder.name,
        length=length,
        padding=request.padding,
        data=source.name,
        population=source.population,
        blocks=split_evenly(steps, request.rounds),
        warmup=request.warmup,
        epochs=request.epochs,
        methods=tuple(_with_knowledge(spec, taken) for spec in _methods(request, unguided, length)),
        notes=(("random weights",) if request.random_weights else ()) + taken.notes,
    )


def _methods(request: TimingRequest, unguided: MethodSpec, length: int) -> Iterator[MethodSpec]:
    """`none` once, each guided variant once for every attention, then the baselines."""
    for variant in _variants(request):
        method = replace(unguided, name=variant, variant=variant, guides=request.guides_of(variant))
        if is_variant(variant) and variant_guides(variant):
            for attention in request.attention:
                name = variant if request.attention == ("auto",) else f"{variant}, {attention}"
                yield replace(method, name=name, attention=attention)
        elif variant == "authors":  # pads every pair to the maximum, whatever --padding says
            yield replace(method, workload=replace(method.workload, multiple=length))
        else:
            yield method


def _variants(request: TimingRequest) -> tuple[str, ...]:
    return (*request.variants, *request.against)


def _with_knowledge(spec: MethodSpec, taken: TimingExamples) -> MethodSpec:
    """The method with the knowledge that its own guides need: collating it is part of what they cost."""
    known = {name: taken.knowledge[name] for name in spec.guides.knowledge}
    if not known:
        return spec
    return replace(spec, workload=replace(spec.workload, examples=replace(spec.workload.examples, knowledge=known)))


def split_evenly(steps: int, rounds: int) -> tuple[int, ...]:
    """`steps` in `rounds` blocks that differ by one at most, the longer ones first."""
    share, rest = divmod(steps, rounds)
    return tuple(share + (number < rest) for number in range(rounds))
