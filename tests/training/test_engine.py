"""The training loop: what guides, monitors, accumulation and precision change, and what they must not."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial, partialmethod
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate.utils import set_seed
from torch import Tensor

from agcli import MDG, PDG
from agcli.config import RunConfig
from agcli.data.batching import epoch_order
from agcli.errors import RunError, UsageError
from agcli.runs.device import make_accelerator
from agcli.runs.folder import RunFolder
from agcli.training.assemble import Assembly
from agcli.training.engine import Engine
from agcli.training.loss_terms import LossTerms
from agcli.training.report import Measured, StepReport

Make = Callable[..., RunConfig]
OFF = {"mdg": 0.0, "pdg": 0.0}


@dataclass
class Trained:
    """What a training run left in memory."""

    reports: list[StepReport]
    weights: dict[str, Tensor]
    engine: Engine


def build(config: RunConfig, terms: LossTerms | None = None) -> Engine:
    """The engine of these settings; `terms` take the place of theirs."""
    engine = Assembly(config, RunFolder(Path("unused"))).engine
    if terms is not None:
        engine.terms = terms
    return engine


def train(config: RunConfig, terms: LossTerms | None = None, epochs: int = 2) -> Trained:
    engine = build(config, terms)
    reports = [report for _ in range(epochs) for report in engine.train_epoch()]
    weights = {name: weight.detach().clone() for name, weight in engine.bare_model.state_dict().items()}
    return Trained(reports, weights, engine)


def same_weights(one: Trained, other: Trained) -> bool:
    return one.weights.keys() == other.weights.keys() and all(
        torch.equal(one.weights[name], other.weights[name]) for name in one.weights
    )


def test_two_runs_of_one_seed_are_the_same_and_of_two_are_not(config: Make) -> None:
    one, same, other = train(config(seed=1)), train(config(seed=1)), train(config(seed=2))
    assert same_weights(one, same)
    assert not same_weights(one, other)
    assert [report.task_loss for report in one.reports] == [report.task_loss for report in same.reports]


@pytest.mark.slow
@pytest.mark.parametrize("multiple", [None, 1])
def test_a_compiled_engine_learns_the_same_at_every_length(
    config: Make, monkeypatch: pytest.MonkeyPatch, multiple: int | None
) -> None:
    """Padded to a few lengths, or to each its own: none of them is left to run uncompiled."""
    compile = torch.nn.Module.compile  # without the C++ compiler that torch would call for
    monkeypatch.setattr(torch.nn.Module, "compile", partialmethod(compile, backend="aot_eager"))
    settings = config(precision="fp32", dropout=0.0, batch_size=4)
    plain, other = train(settings, epochs=1), build(settings)
    engine = Engine(
        other.bare_model, other.encoder_attention, other.losses, other.examples, other.terms, other.options,
        other.data_seed,
        compile=True, multiple=multiple,
    )  # fmt: skip
    assert multiple is None or len(set(engine.lengths.tolist())) > 8  # dynamo's own limit
    with torch._dynamo.config.patch(fail_on_recompile_limit_hit=True):
        reports = list(engine.train_epoch())
    for one, expected in zip(reports, plain.reports, strict=True):
        assert one.task_loss == pytest.approx(expected.task_loss, rel=1e-4)
        assert one.guides == pytest.approx(expected.guides, rel=1e-4)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("dropout", [0.1, 0.0])
def test_a_weight_of_0_through_the_guided_path_equals_no_guide_bit_for_bit(
    config: Make, precision: str, dropout: float
) -> None:
    plain = config(**OFF, precision=precision, dropout=dropout)
    unguided = train(plain)
    forced = train(plain, LossTerms((MDG(weight=0.0), PDG(weight=0.0))))
    assert same_weights(unguided, forced)
    assert [report.task_loss for report in unguided.reports] == [report.task_loss for report in forced.reports]
    assert "mdg" in forced.reports[0].guides
    assert not same_weights(unguided, train(config(mdg=1.0, pdg=0.0, precision=precision, dropout=dropout)))


def test_monitors_leave_a_run_as_it_was_and_report_what_the_guides_would(config: Make) -> None:
    unguided, watched = train(config(**OFF)), train(config(**OFF, monitor="mdg,pdg"))
    assert same_weights(unguided, watched)
    assert unguided.reports[0].guides == {}
    first = train(config(mdg=0.5, pdg=0.5), epochs=1).reports[0].guides
    assert watched.reports[0].guides == first  # before any update the two arms are one model
    assert set(first) == {"mdg", "pdg"}


def test_a_guide_of_weight_0_is_absent(config: Make) -> None:
    engine = build(config(mdg=0.0, pdg=0.3))
    assert [guide.name for guide in engine.terms.terms] == ["pdg"]
    assert not build(config(**OFF)).terms.capture


@pytest.mark.parametrize(("name", "weight"), [("mdg", 30.0), ("pdg", 30.0)])
def test_a_guide_lowers_what_it_guides(config: Make, name: str, weight: float) -> None:
    def last_epoch(**guides: object) -> float:
        reports = train(config(dropout=0.0, epochs=6, **guides), epochs=6).reports
        return float(np.mean([report.guides[name] for report in reports[-6:]]))

    unguided = last_epoch(**OFF, monitor=name)
    guided = last_epoch(**(OFF | {name: weight}))
    assert guided < 0.97 * unguided


def test_the_first_report_alone_has_each_terms_share(config: Make) -> None:
    with_shares = train(config(mdg=0.5, pdg=0.25))
    assert set(with_shares.reports[0].shares) == {"task", "mdg", "pdg"}
    assert all(value > 0 for value in with_shares.reports[0].shares.values())
    assert all(not report.shares for report in with_shares.reports[1:])
    doubled = train(config(mdg=1.0, pdg=0.25), epochs=1).reports[0].shares
    assert doubled["mdg"] == pytest.approx(2 * with_shares.reports[0].shares["mdg"], rel=1e-5)
    assert doubled["task"] == with_shares.reports[0].shares["task"]
    assert train(config(**OFF)).reports[0].shares == {}


def in_float64(config: RunConfig) -> Engine:
    """The engine in an arithmetic where the order of sums does not show."""
    engine = build(config)
    engine.model.double()
    engine.losses = partial(torch.nn.functional.cross_entropy, reduction="none")
    return engine


@pytest.mark.parametrize("guides", [OFF, {"mdg": 0.7, "pdg": 0.3}])
def test_accumulated_batches_equal_one_batch(config: Make, guides: dict[str, float]) -> None:
    """44 examples: the last step has 12, in batches of 8 and 4."""
    whole = in_float64(config(batch_size=16, dropout=0.0, **guides))
    parts = in_float64(config(batch_size=8, accumulate=2, dropout=0.0, **guides))
    reports = list(zip(whole.train_epoch(), parts.train_epoch(), strict=True))
    assert sorted(part.examples for _, part in reports) == [12, 16, 16]
    for one, part in reports:
        assert (one.examples, one.tokens) == (part.examples, part.tokens)
        assert part.task_loss == pytest.approx(one.task_loss, rel=1e-6)
        assert part.guides == pytest.approx(one.guides, rel=1e-6)
        assert part.gradient_norm == pytest.approx(one.gradient_norm, rel=1e-9)
    for one_weight, weight in zip(whole.model.parameters(), parts.model.parameters(), strict=True):
        torch.testing.assert_close(weight, one_weight, rtol=0, atol=1e-8)


def test_the_loss_that_is_reported_is_the_loss_of_those_rows(config: Make) -> None:
    engine = build(config(**OFF, dropout=0.0, batch_size=8))
    rows = epoch_order(engine.lengths, 8, engine.data_seed, 0)[0]
    logits = engine.predict(engine.examples.take(rows))
    expected = torch.nn.functional.cross_entropy(logits, torch.from_numpy(engine.examples.labels[rows]))
    assert next(engine.train_epoch()).task_loss == pytest.approx(float(expected), abs=1e-5)


def test_prediction_keeps_the_order_the_mode_and_the_random_state(config: Make) -> None:
    engine = build(config())
    engine.model.train()
    before = torch.get_rng_state()
    logits = engine.predict(engine.examples)
    assert torch.equal(torch.get_rng_state(), before)
    assert engine.model.training
    one = engine.predict(engine.examples.take(np.array([7])))
    torch.testing.assert_close(logits[7:8], one, rtol=0, atol=1e-5)


def test_the_rate_rises_and_falls(config: Make) -> None:
    rates = [report.learning_rate for report in train(config(warmup_ratio=0.25, learning_rate=0.004)).reports]
    assert rates == pytest.approx([0.004 * factor for factor in (0, 1 / 3, 2 / 3, *np.arange(9, 0, -1) / 9)])
    constant = train(config(warmup_ratio=0.0, schedule="constant", learning_rate=0.004))
    assert {report.learning_rate for report in constant.reports} == {0.004}


def test_clipping_limits_the_step_and_reports_the_norm_before_it(config: Make) -> None:
    """Plain Adam hides the size of a gradient; its first moment shows it."""

    def first_moment(limit: float) -> tuple[float, float]:
        engine = build(config(**OFF, max_grad_norm=limit, optimizer="adam"))
        report = next(engine.train_epoch())
        moments = [state["exp_avg"] for state in engine.optimizer.state.values()]
        return report.gradient_norm, float(torch.nn.utils.get_total_norm(moments)) / 0.1

    free_norm, free_moment = first_moment(0.0)
    clipped_norm, clipped_moment = first_moment(0.5)
    assert free_norm == clipped_norm > 0.5
    assert free_moment == pytest.approx(free_norm, rel=1e-4)
    assert clipped_moment == pytest.approx(0.5, rel=1e-3)


def test_weight_decay_spares_biases_and_norms(config: Make) -> None:
    engine = build(config(weight_decay=0.1))
    decayed, spared = engine.optimizer.param_groups
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    assert {weight.dim() for weight in decayed["params"]} == {2}
    assert {weight.dim() for weight in spared["params"]} == {1}
    assert isinstance(build(config(optimizer="adam")).optimizer.optimizer, torch.optim.Adam)


@pytest.mark.parametrize("guides", [OFF, {"mdg": 0.7, "pdg": 0.3}])
def test_recomputed_activations_give_the_same_weights(config: Make, guides: dict[str, float]) -> None:
    kept, recomputed = train(config(**guides)), train(config(**guides, activation_checkpointing=True))
    assert recomputed.engine.bare_model.is_gradient_checkpointing
    assert same_weights(kept, recomputed)


def test_bf16_changes_the_arithmetic_but_not_the_dtype_of_the_weights(config: Make) -> None:
    full, half = train(config()), train(config(precision="bf16"))
    assert not same_weights(full, half)
    assert {weight.dtype for weight in half.weights.values() if weight.is_floating_point()} == {torch.float32}
    assert half.reports[0].task_loss == pytest.approx(full.reports[0].task_loss, rel=0.05)
    assert half.engine.predict(half.engine.examples).dtype == torch.float32


def test_precisions_may_follow_each_other_in_one_process(config: Make) -> None:
    first = train(config(precision="fp32"))
    train(config(precision="bf16"))
    assert same_weights(first, train(config(precision="fp32")))


@pytest.mark.skipif(torch.cuda.is_available(), reason="fp16 is allowed with a GPU")
def test_fp16_needs_a_gpu() -> None:
    with pytest.raises(UsageError, match="--precision fp16 needs a GPU; allowed here: auto, fp32, bf16"):
        make_accelerator("fp16")


@contextmanager
def poisoned(engine: Engine, step: int) -> Iterator[None]:
    """The task loss of the second batch of `step` is not a number."""
    calls = 0
    losses = engine.losses

    def poison(logits: Tensor, labels: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return losses(logits, labels) * (math.nan if calls == 2 * step else 1.0)

    engine.losses = poison
    yield
    engine.losses = losses


def test_a_loss_that_is_no_number_stops_before_the_weights_are_touched(config: Make) -> None:
    set_seed(0)
    engine = build(config(accumulate=2, batch_size=8))
    rows = epoch_order(engine.lengths, 16, engine.data_seed, 0)[1]
    steps = engine.train_epoch()
    with poisoned(engine, step=2):
        next(steps)
        before = {name: weight.clone() for name, weight in engine.bare_model.state_dict().items()}
        with pytest.raises(RunError, match="the loss is nan at step 2 of 6") as caught:
            next(steps)
    assert all(torch.equal(before[name], weight) for name, weight in engine.bare_model.state_dict().items())
    for row in rows[8:]:
        assert engine.examples.ids[row] in str(caught.value)
    assert caught.value.hint is not None
    assert "lower learning rate" in caught.value.hint


def test_weights_rest_until_what_went_wrong_is_read(config: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU's numbers are read when the next step is on its way already."""
    set_seed(0)
    engine = build(config(accumulate=2, batch_size=8))
    read = Measured.read
    monkeypatch.setattr(Measured, "read", lambda self: {})
    steps = engine.train_epoch()
    with poisoned(engine, step=2):
        next(steps)
        before = {name: weight.clone() for name, weight in engine.bare_model.state_dict().items()}
        late = [next(steps), next(steps)]
    assert all(torch.equal(before[name], weight) for name, weight in engine.bare_model.state_dict().items())
    with pytest.raises(RunError, match="the loss is nan at step 2 of 6"):
        read(late[0].measured)


def test_a_gradient_that_is_no_number_stops_too(config: Make) -> None:
    engine = build(config(**OFF))
    weight = next(engine.model.parameters())
    weight.register_hook(lambda gradient: gradient * math.inf)
    with pytest.raises(RunError, match=r"the gradient norm is (nan|inf) at step 1"):
        next(engine.train_epoch())
