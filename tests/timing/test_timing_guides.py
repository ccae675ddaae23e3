"""Any guide of the registry in a timing, with options, on every method that is guided."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from agcli.attention import EncoderAttention
from agcli.errors import DataError, UsageError
from agcli.timing import methods
from agcli.timing.examples import FullLength, find_encoder
from agcli.timing.methods import MethodSpec, guide_terms
from agcli.timing.plan import plan_groups
from agcli.timing.request import TimingRequest
from agcli.timing.workers import build_method
from agcli.training.engine import Engine

Make = Callable[..., TimingRequest]


def specs_of(request: TimingRequest) -> dict[str, MethodSpec]:
    (group,) = plan_groups(request)
    return {method.variant: method for method in group.methods}


def test_options_reach_the_variants_that_have_the_guide(request_for: Make) -> None:
    specs = specs_of(request_for(variants=("none", "next", "mdg+first"), guide=("next=0.05,heads=2,layers=1",)))
    assert {variant: spec.guides.texts for variant, spec in specs.items()} == {
        "none": (),
        "next": ("next=0.05,heads=2,layers=1",),
        "mdg+first": ("mdg=0.01", "first=0.01"),
    }


def test_what_keeps_maps_has_the_guides_of_the_first_guided_variant(request_for: Make) -> None:
    against = ("eager", "hf-guided", "sdpa", "hf-trainer")
    specs = specs_of(request_for(variants=("none", "next+prev", "mdg"), against=against))
    assert {name: spec.guides.texts for name, spec in specs.items() if name in against} == {
        "eager": ("next=0.01", "prev=0.01"),
        "hf-guided": ("next=0.01", "prev=0.01"),
        "sdpa": (),
        "hf-trainer": (),
    }
    both = specs_of(request_for(variants=("none",), against=("eager",)))["eager"]
    assert both.guides.texts == ("mdg=0.01", "pdg=0.001")


@pytest.mark.parametrize("variant", ["next", "eager", "hf-guided"])
def test_guides_on_tokens_train(request_for: Make, variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every method that is guided has the same terms, with the tokenizer's own separator."""
    made: list[Any] = []

    def kept(*given: Any) -> Any:
        made.append(guide_terms(*given))
        return made[-1]

    monkeypatch.setattr(methods, "guide_terms", kept)
    monkeypatch.setattr("agcli.timing.baselines.guide_terms", kept)
    request = request_for(
        variants=("none", "next+delim" if variant != "next" else "next"), against=("eager", "hf-guided")
    )
    method = build_method(specs_of(request)[variant])
    before = [weight.clone() for weight in method.model.parameters()]
    steps = method.steps()
    next(steps)
    next(steps)  # the rate starts at 0
    assert any(not torch.equal(*pair) for pair in zip(before, method.model.parameters(), strict=True))
    (terms,) = made
    assert [guide.name for guide in terms.terms] == (["next"] if variant == "next" else ["next", "delim"])
    assert len(terms.vocabulary.delim_ids) == (0 if variant == "next" else 1), "`next` needs none"


def test_only_guided_layers_are_captured(request_for: Make, engines: list[Engine]) -> None:
    method = build_method(specs_of(request_for(variants=("none", "next"), guide=("next=0.05,layers=1",)))["next"])
    assert engines[0].terms.capture.of_layer(0) == {}
    assert list(engines[0].terms.capture.of_layer(1)) == ["mass:next"]
    assert method.notes == ("guide next=0.05,layers=1",)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"variants": ("none", "nxt")}, "--variants: 'nxt' is none of .* Did you mean 'next'"),
        ({"variants": ("none", "mdg"), "guide": ("next=0.1",)}, "--guide next=0.1: no variant has this guide"),
        ({"variants": ("none", "next"), "guide": ("next=0",)}, "a variant without the guide is `none`"),
        ({"variants": ("none", "next"), "guide": ("next=1,layer=2",)}, "next has no option 'layer'.*mean 'layers'"),
        ({"variants": ("none", "next"), "guide": ("next=share:0.1",)}, "--guide next=share:0.1: a timing has"),
        ({"variants": ("none", "next"), "guide": ("next=1,schedule=off:0.3",)}, "a timing has a constant weight"),
    ],
)
def test_wrong_guides_are_refused_before_anything_is_looked_up(
    request_for: Make, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        plan_groups(request_for(**changes, models=("nowhere",)))


def test_knowledge_is_a_matter_of_prepared_data(request_for: Make) -> None:
    with pytest.raises(UsageError, match="pmi: knowledge of texts goes with their tokens, and these are synthetic"):
        plan_groups(request_for(variants=("none", "pmi"), dataset=None))
    with pytest.raises(UsageError, match="synthetic ids"):
        FullLength().take(find_encoder("minilm", random_weights=True, offline=True), 8, 4, 1, ("wordsim",))
    with pytest.raises(DataError) as caught:
        plan_groups(request_for(variants=("none", "pmi", "wordsim")))
    assert "ag prepare" in str(caught.value.hint)
    assert "--knowledge pmi,wordsim" in str(caught.value.hint)


def test_a_guide_on_tokens_needs_the_tokenizer(request_for: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "locate", lambda name: None)
    variants = ("none", "next", "period")
    spec = specs_of(request_for(variants=variants, models=("minilm",), random_weights=True, dataset=None))
    encoder = EncoderAttention("maps", 2, 2, "Bert")
    with pytest.raises(UsageError, match="period: minilm's tokenizer is not on this machine"):
        guide_terms(spec["period"], encoder, None)
    assert [guide.name for guide in guide_terms(spec["next"], encoder, None).guides] == ["next"], "no id is read"


def test_what_a_forced_implementation_does_not_give_is_refused_before_it_is_timed(request_for: Make) -> None:
    specs = specs_of(request_for(variants=("none", "next+disagreement"), attention=("cpu",)))
    with pytest.raises(UsageError, match=r"--attention cpu: the guide disagreement on .*: attention maps"):
        build_method(specs["next+disagreement"])
    build_method(specs["none"])
