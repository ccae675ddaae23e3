"""What one timed process trains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from agcli.guides.variants import PAPER_VARIANTS as VARIANTS
from agcli.options import ModelOptions
from agcli.timing import methods
from agcli.timing.methods import MethodSpec
from agcli.timing.plan import plan_groups
from agcli.timing.request import BASELINES, TimingRequest
from agcli.timing.workers import build_method
from agcli.timing.workload import WARM_UP_EPOCH, Work
from agcli.training.engine import Engine

Make = Callable[..., TimingRequest]


def spec_of(request: TimingRequest, variant: str) -> MethodSpec:
    (group,) = plan_groups(request)
    return next(method for method in group.methods if method.variant == variant)


@pytest.mark.parametrize("padding", ["dynamic", "max"])
@pytest.mark.parametrize("variant", [*VARIANTS, *BASELINES])
def test_every_method_trains_on_the_same_batches(request_for: Make, variant: str, padding: str) -> None:
    """What the model sees is compared with the plan: its batches' shapes and every real token."""
    request = request_for(variants=VARIANTS, against=BASELINES, padding=padding)
    workload = spec_of(request, "none").workload
    method = build_method(spec_of(request, variant))
    seen: list[tuple[int, ...]] = []
    tokens: list[int] = []

    def look(_: object, __: object, inputs: dict[str, torch.Tensor]) -> None:
        seen.append(tuple(inputs["input_ids"].shape))
        tokens.append(int(inputs["attention_mask"].sum()))

    method.model.register_forward_pre_hook(look, with_kwargs=True)
    before = [weight.clone() for weight in method.model.parameters()]
    steps = method.steps()
    works = [next(steps) for _ in range(7)]  # the seventh is of a second epoch
    batches = workload.batches(0) + workload.batches(1)[:1]
    lengths = [
        24 if variant == "authors" or padding == "max" else int(workload.lengths[rows].max()) for rows in batches
    ]
    assert seen == [(len(rows), length) for rows, length in zip(batches, lengths, strict=True)]
    assert tokens == [int(workload.lengths[rows].sum()) for rows in batches]
    assert works == [Work(n, real, n * length) for (n, length), real in zip(seen, tokens, strict=True)]
    assert any(not torch.equal(*pair) for pair in zip(before, method.model.parameters(), strict=True)), (
        "nothing was learnt"
    )


def test_what_runs_is_named(request_for: Make) -> None:
    request = request_for(against=BASELINES, attention=("reference",))
    assert {v: build_method(spec_of(request, v)).attention for v in ("both", *BASELINES)} == {
        "both": "reference",
        "authors": "eager",
        "hf-trainer": "sdpa",
        "hf-guided": "eager",
        "eager": "eager",
        "sdpa": "sdpa",
    }
    assert build_method(spec_of(request, "authors")).precision == "fp32"


@pytest.mark.parametrize(
    ("variant", "guides"), [("none", []), ("mdg", ["mdg"]), ("pdg", ["pdg"]), ("both", ["mdg", "pdg"])]
)
def test_variants_guide_as_they_are_called(
    request_for: Make, variant: str, guides: list[str], engines: list[Engine]
) -> None:
    build_method(spec_of(request_for(variants=VARIANTS), variant))
    assert [guide.name for guide in engines[0].terms.terms] == guides


def test_an_engine_that_goes_its_own_way_is_found_out(request_for: Make) -> None:
    spec = spec_of(request_for(), "none")
    method = build_method(spec)
    engine, workload = method.epoch.args  # type: ignore[attr-defined]
    other = replace(workload, seed=workload.seed + 1)
    with pytest.raises(RuntimeError, match="other batches"):
        list(methods._engine_epoch(engine, other, 0))


@pytest.mark.parametrize("name", ["bert", "distilbert", "modernbert", "albert"])
def test_dropout_reaches_random_weights_of_every_family(request_for: Make, name: str) -> None:
    spec = replace(spec_of(request_for(), "none"), model=name, random_weights=True)
    with torch.device("meta"):
        model = methods.fresh_model(replace(spec, model_options=ModelOptions(dropout=0.3)), "sdpa")
    assert model.config._attn_implementation == "sdpa"
    assert tuple(model.config.id2label.values()) == spec.labels
    rates = {field: rate for field, rate in model.config.to_dict().items() if "dropout" in field}
    rates.pop("qa_dropout", None)  # of another head
    assert set(rates.values()) == {0.3}


def test_a_compiled_method_warms_up_on_every_shape(request_for: Make) -> None:
    workload = replace(spec_of(request_for(steps=40), "none").workload, multiple=8)
    steps = workload.steps_to_all_shapes()

    def shapes(epoch: int, first: int) -> set[tuple[int, int]]:
        works = [workload.work(rows) for rows in workload.batches(epoch)[:first]]
        return {(work.examples, work.slots) for work in works}

    assert shapes(WARM_UP_EPOCH, steps) >= shapes(0, 11)
    assert not shapes(WARM_UP_EPOCH, steps - 1) >= shapes(0, 11)
