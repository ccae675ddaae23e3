"""The options of `ag timing`, each declared once, and the request that they make; no torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from agcli.declare import declared_options, flag, option, out_of_range
from agcli.guides.spec import parse_guides
from agcli.guides.variants import run_options, variant_guides, variant_names, variant_specs
from agcli.options import OPTIONS, GuideOptions, ModelOptions, TrainingOptions

BASELINES = ("authors", "hf-trainer", "hf-guided", "eager", "sdpa")
"""What else the batches can be given to: three other recipes, and our engine on transformers' own attention."""
TRAINING_PAIRS = {"mednli": 11_232, "multinli": 392_702}
"""Shapes of data sets by name, with the pairs of the data set's training split: an epoch."""
_LENGTH = OPTIONS["max_length"].spec


@dataclass(frozen=True)
class TimingOptions:
    """What is timed, on which batches, and for how long."""

    models: tuple[str, ...] = option(("minilm",), "Encoders: names, hub ids or folders.")
    variants: tuple[str, ...] = option(
        ("none", "both"), f"Variants of our engine: {', '.join(variant_names())}, and sums of these such as mdg+next."
    )
    guide: tuple[str, ...] = option(
        (),
        "NAME=WEIGHT[,option=value...]: options of a guide in every variant that has it; once for each.",
        repeated=True,
    )
    attention: tuple[str, ...] = option(
        ("auto",), "Attention of the guided variants.", choices=OPTIONS["attention"].spec.choices
    )
    against: tuple[str, ...] = option(
        (),
        "Also time other recipes, or our engine on transformers' eager or sdpa attention; hf-guided and eager keep "
        "maps, for the first guided variant, or both.",
        choices=BASELINES,
    )
    dataset: str | None = option(None, OPTIONS["dataset"].spec.help)
    shape: str | None = option(None, "Lengths as in this data set, without the data.", choices=tuple(TRAINING_PAIRS))
    lengths: tuple[int, ...] = option(
        (256,), "Longest input in tokens of each comparison.", minimum=_LENGTH.minimum, maximum=_LENGTH.maximum
    )
    padding: Literal["dynamic", "max"] = option("dynamic", "To the longest of a batch, or to --lengths.")
    steps: int = option(40, "Measured steps of each method.")
    rounds: int = option(5, "Turns in which they are done; an interval takes 3.", minimum=1)
    warmup: int = option(3, "Steps before, not counted; the first one allocates memory.", minimum=1)
    epochs: int | None = option(None, "Measure whole epochs, in place of --steps.", minimum=1)
    random_weights: bool = option(False, "Random weights of the zoo's dimensions; no checkpoint is read.")


TIMING_OPTIONS = declared_options({"Timing": TimingOptions})


@dataclass(frozen=True)
class TimingRequest(TimingOptions):
    """One call of `ag timing`, with the options of a run that it uses."""

    model: ModelOptions = field(default_factory=ModelOptions)
    training: TrainingOptions = field(default_factory=TrainingOptions)
    guides: GuideOptions = field(default_factory=GuideOptions)

    def guides_of(self, variant: str) -> GuideOptions:
        """The options of the guides of a variant or baseline; those that keep maps have the first guided variant's."""
        if variant in ("hf-guided", "eager"):
            variant = next((name for name in self.variants if variant_guides(name)), "both")
        elif variant in BASELINES:
            variant = "none"
        return replace(self.guides, **run_options(variant_specs(variant, self.guide)))


def request_problems(request: TimingRequest) -> Iterator[str]:
    """Problems of the options that show before any model or data set is looked up; each names its flag."""
    values: dict[str, Any] = {name: getattr(request, name) for name in TIMING_OPTIONS}
    yield from _guide_problems(request)
    yield from out_of_range(values, TIMING_OPTIONS)
    for name in ("models", "lengths", "attention"):
        if not values[name]:
            yield f"{flag(name)}: it is empty."
    if not request.variants and not request.against:
        yield f"--variants: it is empty; allowed: {', '.join(variant_names())}."
    if request.epochs is None and request.steps < max(request.rounds, 1):
        least = f"at least --rounds, which is {request.rounds}; raise one or lower the other"
        yield f"--steps: {request.steps} is not allowed; allowed: {least}."
    if request.dataset is not None and request.shape is not None:
        yield "--dataset and --shape: give one of them, not both."
    if request.epochs is not None and request.dataset is None and request.shape is None:
        yield "--epochs: a whole epoch needs --dataset or --shape."


def _guide_problems(request: TimingRequest) -> Iterator[str]:
    """Problems of variants and of the options of their guides."""
    guides = set() if set(request.variants) - {"none"} else set(variant_guides("both"))
    for variant in request.variants:
        try:
            guides.update(variant_guides(variant))
        except ValueError as error:
            yield f"--variants: {error}"
    specs, problems = parse_guides(request.guide)
    yield from (f"--guide {problem}" for problem in problems)
    for spec in specs:
        if spec.name not in guides:
            yield f"--guide {spec}: no variant has this guide; --variants {','.join([*request.variants, spec.name])}."
        elif not spec.weight:
            yield f"--guide {spec}: a variant without the guide is `none`."
        elif spec.of_task or spec.schedule.kind != "constant":
            yield f"--guide {spec}: a timing has a constant weight, which no time depends on: no share:, no schedule=."
