"""Our engine in its variants, as `ag finetune` puts it together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any, cast

import torch
from accelerate.utils import set_seed

from agcli.attention import Implementation, Seam, attach
from agcli.attention.selection import choose
from agcli.guides.registry import variant_weights
from agcli.options import GuideOptions
from agcli.runs.device import make_accelerator, precision_of
from agcli.tasks import Classification
from agcli.timing.arm import KEPT_MAPS, Arm, ArmSpec, fresh_model, kept_maps
from agcli.timing.course import Course
from agcli.timing.stopwatch import DTYPES, Work
from agcli.training.assemble import AFTER_DROPOUT, checkpoint_activations, make_guiding
from agcli.training.engine import Engine, Position


def our_engine(spec: ArmSpec) -> Arm:
    """The engine; `sdpa`: without guides, on transformers' own fused attention; `eager`: with both, on its maps."""
    defaults = GuideOptions()
    variant = {"eager": "both", "sdpa": "none"}.get(spec.variant, spec.variant)
    guides = replace(defaults, **variant_weights(variant))  # type: ignore[arg-type]  # a field for each guide
    guided = guides.captures
    model = fresh_model(spec, "sdpa" if spec.variant == "sdpa" else "eager")
    accelerator = make_accelerator(spec.training.precision)
    if spec.variant == "sdpa":
        seam = Seam("none", 0, 0, type(model).__name__)
    elif spec.variant == "eager":
        seam = kept_maps(model)
    else:
        asked = cast(Implementation, spec.attention if guided else "auto")
        seam = attach(model, asked, required=guided, device=accelerator.device)
    checkpoint_activations(model, spec.model_options)
    set_seed(spec.training.seed)
    engine = Engine(
        model,
        seam,
        Classification(spec.labels).losses,
        spec.course.examples,
        make_guiding(guides, seam),
        spec.training,
        spec.course.seed,
        accelerator,
        compile=spec.model_options.compile,
        multiple=spec.course.multiple if spec.course.multiple > 1 else None,
    )
    course = replace(spec.course, multiple=engine.multiple)
    notes = (KEPT_MAPS if spec.variant == "eager" else AFTER_DROPOUT,) if guided and seam.kind == "maps" else ()
    precision = precision_of(accelerator)
    attention = implementations(model, course, engine.device, precision, guided=guided)
    least = course.steps_to_all_shapes() if spec.model_options.compile else 0
    return Arm(model, engine.device, precision, attention, partial(_engine_epoch, engine, course), notes, least)


def _engine_epoch(engine: Engine, course: Course, number: int) -> Iterator[Work]:
    """One epoch of the engine, checked to be that of all arms."""
    engine.position = Position(epoch=number, step=engine.position.step)
    for rows, report in zip(course.batches(number), engine.train_epoch(), strict=True):
        expected = course.work(rows)
        if (report.examples, report.tokens) != (expected.examples, expected.tokens):
            raise RuntimeError("the engine trained on other batches than the arms that it is compared with")
        yield expected
        report.measured.read()  # as a run does, when the next step is asked for: it raises what was not finite


def implementations(model: Any, course: Course, device: torch.device, precision: str, *, guided: bool) -> str:
    """What runs in training: what is set, or, where `auto` chooses by length, all that it chooses on this course.

    Args:
        model: attached.
        course: its batches.
        device: where it computes.
        precision: arithmetic of its matrix products.
        guided: whether attention is captured.
    """
    config = model.config
    if not str(config._attn_implementation).startswith("ag_"):
        return str(config._attn_implementation)
    head_dim = config.hidden_size // config.num_attention_heads
    rate = getattr(config, "attention_probs_dropout_prob", getattr(config, "attention_dropout", 0.0))
    windows = {None, getattr(config, "local_attention", None)}
    found = {}
    for length in sorted({work.slots // work.examples for work in map(course.work, course.batches(0))}):
        query = torch.empty((1, config.num_attention_heads, length, head_dim), device=device, requires_grad=True)
        for window in windows:
            found[
                choose(
                    query.to(DTYPES[precision]),
                    None,
                    dropout=float(rate),
                    window=window,
                    capture="received" if guided else "none",
                    implementation=config._attn_implementation.removeprefix("ag_"),
                )
            ] = True
    return " + ".join(found)
