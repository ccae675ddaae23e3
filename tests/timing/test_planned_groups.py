"""What a timing is asked for, and the groups that it comes to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agcli.errors import ModelError, UsageError
from agcli.guides.variants import PAPER_VARIANTS as VARIANTS
from agcli.options import TrainingOptions
from agcli.timing import examples as examples_module
from agcli.timing.examples import find_encoder
from agcli.timing.plan import plan_groups, split_evenly
from agcli.timing.request import BASELINES, TimingRequest, request_problems

Make = Callable[..., TimingRequest]


@pytest.mark.parametrize(
    ("steps", "rounds", "found"), [(6, 3, (2, 2, 2)), (7, 3, (3, 2, 2)), (40, 6, (7, 7, 7, 7, 6, 6))]
)
def test_steps_are_spread_over_the_rounds(steps: int, rounds: int, found: tuple[int, ...]) -> None:
    assert split_evenly(steps, rounds) == found


def test_methods_are_none_once_guided_ones_per_attention_and_the_baselines(request_for: Make) -> None:
    request = request_for(variants=VARIANTS, attention=("auto", "reference"), against=BASELINES)
    (group,) = plan_groups(request)
    assert [(method.variant, method.attention) for method in group.methods] == [
        ("none", "auto"),
        *[(guided, attention) for guided in ("mdg", "pdg", "both") for attention in ("auto", "reference")],
        *[(baseline, "auto") for baseline in BASELINES],
    ]
    assert len({method.name for method in group.methods}) == len(group.methods)
    assert len({id(method.workload.examples) for method in group.methods}) == 1
    assert {method.variant for method in group.methods if method.workload.multiple == 24} == {"authors"}


def test_groups_are_models_by_lengths_and_padding_reaches_all_methods(request_for: Make) -> None:
    groups = plan_groups(request_for(lengths=(24, 48), padding="max", against=("sdpa",)))
    assert [group.length for group in groups] == [24, 48]
    assert [{method.workload.multiple for method in group.methods} for group in groups] == [{24}, {48}]
    assert [max(method.workload.lengths) <= group.length for group in groups for method in group.methods] == [True] * 6


def test_as_many_examples_are_taken_as_the_steps_need(request_for: Make) -> None:
    (few,) = plan_groups(request_for(steps=6))
    assert [len(method.workload.batches(0)) for method in few.methods] == [6, 6]
    assert (few.population, few.epochs, few.data) == (44, None, "pairs")
    (all_of_them,) = plan_groups(request_for(steps=40))
    assert len(all_of_them.methods[0].workload.examples) == 44


def test_whole_epochs_are_all_of_the_steps_that_there_are(request_for: Make) -> None:
    (group,) = plan_groups(request_for(epochs=2))
    assert (sum(group.blocks), len(group.blocks), group.epochs) == (22, 3, 2)
    with pytest.raises(UsageError, match="--rounds: 30 is more than the 22 steps of --epochs 2"):
        plan_groups(request_for(epochs=2, rounds=30))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"variants": ("none", "bth")},
            "--variants: 'bth' is none of none, mdg, pdg, both, .* such as mdg.next. Did you mean 'both'?",
        ),
        ({"attention": ("fast",)}, "--attention: 'fast' is not allowed; allowed: one of auto, reference"),
        (
            {"against": ("hf",)},
            "--against: 'hf' is not allowed; allowed: one of authors, hf-trainer, hf-guided, eager, sdpa",
        ),
        ({"padding": "some"}, "--padding: 'some' is not allowed; allowed: one of dynamic, max"),
        ({"lengths": (0,)}, "--lengths: 0 is not allowed; allowed: at least 8"),
        ({"lengths": ()}, "--lengths: it is empty"),
        ({"models": ()}, "--models: it is empty"),
        ({"variants": ()}, "--variants: it is empty"),
        ({"attention": ()}, "--attention: it is empty"),
        ({"steps": 2}, "--steps: 2 is not allowed; allowed: at least --rounds, which is 3"),
        ({"rounds": 0}, "--rounds: 0 is not allowed"),
        ({"warmup": 0}, "--warmup: 0 is not allowed"),
        ({"epochs": 0}, "--epochs: 0 is not allowed"),
        ({"shape": "mednli"}, "--dataset and --shape: give one of them"),
        ({"dataset": None, "epochs": 1}, "--epochs: a whole epoch needs --dataset or --shape"),
        ({"dataset": None, "shape": "snli"}, "--shape: 'snli' is not allowed; allowed: one of mednli, multinli"),
        ({"training": TrainingOptions(batch_size=500)}, "--batch-size: 500 is more than the .* pairs of"),
        ({"attention": ("triton",)}, "^--attention triton: "),
        ({"lengths": (24, 65)}, "--lengths 65: .* reads at most 64 tokens"),
    ],
)
def test_what_cannot_be_names_its_flag(request_for: Make, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError, match=problem.replace("?", r"\?")):
        plan_groups(request_for(**changes))


def test_all_problems_of_the_options_are_reported_together(request_for: Make) -> None:
    found = list(request_problems(request_for(variants=("x",), lengths=(1,), steps=0, padding="y")))
    assert [problem.split(":")[0] for problem in found] == ["--variants", "--lengths", "--padding", "--steps"]


def test_a_missing_checkpoint_can_be_timed_with_random_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object, **__: object) -> None:
        raise ModelError("it is not here", hint="hf download it")

    monkeypatch.setattr(examples_module, "load_tokenizer", absent)
    with pytest.raises(ModelError, match="not here") as raised:
        find_encoder("roberta", random_weights=False, offline=True)
    assert raised.value.hint is not None
    assert raised.value.hint.startswith("hf download it; or --random-weights")
    with pytest.raises(ModelError, match="not here") as unknown:
        find_encoder("robberta", random_weights=False, offline=True)
    assert unknown.value.hint == "hf download it", "random weights do not help where the dimensions are unknown"
    monkeypatch.setattr(examples_module, "locate", lambda _: None)
    found = find_encoder("roberta", random_weights=True, offline=True)
    assert (found.tokenizer, found.vocab_size, found.pad_token_id, found.max_length) == (None, 50265, 1, 512)
    with pytest.raises(ModelError, match=r"'robberta' has no dimensions in the zoo.* 'roberta'"):
        find_encoder("robberta", random_weights=True, offline=True)
