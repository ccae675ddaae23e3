"""From the options of guides to terms of the loss: layers, heads, own options, schedules, and what a run reports."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from toy_guides import Ahead, Behind, Spread, register_toys

from agcli import MDG, PDG
from agcli.attention import Capture, EncoderAttention, Request
from agcli.config import RunConfig
from agcli.errors import UsageError
from agcli.guides.schedule import Schedule
from agcli.options import GuideOptions
from agcli.runs.folder import RunFolder
from agcli.training.assemble import Assembly
from agcli.training.engine import Engine
from agcli.training.loss_terms import LossTerms, make_terms
from agcli.training.report import Plan, RunCallback, StepReport
from agcli.training.run import finetune, plan_run

Make = Callable[..., RunConfig]
OFF: dict[str, Any] = {"mdg": 0.0, "pdg": 0.0}
EXACT = ("history.csv", "predictions.csv", "metrics.json", "config.json", "model/model.safetensors")


@pytest.fixture(autouse=True)
def _toys(monkeypatch: pytest.MonkeyPatch) -> None:
    register_toys(monkeypatch)


def build(config: RunConfig) -> Engine:
    return Assembly(config, RunFolder(Path("unused"))).engine


def terms_of(config: RunConfig) -> tuple[Any, ...]:
    return tuple(build(config).terms.terms)


def plan_of(config: RunConfig) -> Plan:
    return plan_run(config, Path("unused"))


def test_weight_heads_layers_and_own_options_reach_the_guide(config: Make) -> None:
    guides = ["ahead=0.5,form=double,distance=2,heads=2,layers=1", "spread=0.25", "behind=0.1"]
    assert terms_of(config(guide=guides, pdg=0.0, reduction="sum")) == (
        MDG(weight=0.01, reduction="sum"),
        Ahead(weight=0.5, form="double", distance=2, layers=(1,), heads=(0, 1)),
        Spread(weight=0.25),
        Behind(weight=0.1, heads=(2,)),
    )


def test_shared_layers_and_heads_serve_guides_that_name_none(config: Make) -> None:
    guides = ["ahead=0.5", "spread=1,heads=0-1", "mdg=1,layers=0,heads=2-2"]
    assert terms_of(config(guide=guides, guide_layers="1", guide_heads="1-3")) == (
        MDG(weight=1.0, layers=(0,), heads=(2,)),
        PDG(weight=0.001, layers=(1,), heads=(1, 2, 3)),
        Ahead(weight=0.5, layers=(1,), heads=(1,)),
        Spread(weight=1.0, layers=(1,), heads=(0, 1)),
    )


def test_a_layer_that_is_not_there(config: Make) -> None:
    with pytest.raises(
        UsageError, match=r"--guide ahead=1,layers=1-2: layer 2 is too high; .* has 2 layers, .* 0 to 1"
    ):
        build(config(guide=["ahead=1,layers=1+2"]))
    with pytest.raises(UsageError, match=r"--guide-layers: layer 4 is too high; .* has 2 layers, allowed: 0 to 1"):
        build(config(guide_layers="0,4"))


def test_layers_and_heads_of_no_guide_are_no_matter() -> None:
    options = GuideOptions(mdg=0.0, pdg=0.0, guide_layers="0-5", guide_heads="0-3")
    assert not make_terms(options, EncoderAttention("none", 0, 0, "a baseline without guides"))


def test_a_monitored_guide_takes_the_next_free_heads(config: Make) -> None:
    terms = build(config(**OFF, guide=["ahead=1"], monitor="mdg,behind,ahead")).terms
    assert tuple(terms.terms) == (Ahead(weight=1.0, heads=(0,)),)
    assert tuple(terms.monitors) == (MDG(weight=0.0), Behind(weight=0.0, heads=(1,)))


def test_a_monitored_guide_leaves_the_run_as_it_was(config: Make) -> None:
    reports = [list(build(config(**OFF, monitor=names)).train_epoch()) for names in ("", "ahead,spread")]
    assert [report.task_loss for report in reports[0]] == [report.task_loss for report in reports[1]]
    assert set(reports[1][0].guides) == {"ahead", "spread"}
    assert reports[1][0].weights == {}


def test_the_released_arithmetic_is_that_of_guides_with_a_flag(config: Make) -> None:
    terms = build(config(guide=["ahead=1"], guide_mode="released")).terms
    assert tuple(terms.terms) == (
        MDG(weight=0.01, temperature=2.0),
        PDG(weight=0.001, columns=None),
        Ahead(weight=1.0, heads=(0,)),
    )
    assert {request.quantity for request in terms.capture.requests} == {"released", "mass:ahead"}


def test_a_guide_that_needs_received_attention_and_the_released_one_exclude_each_other(
    config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Spread, "needs", ("received",))
    with pytest.raises(UsageError, match="--guide-mode released: spread needs received attention"):
        build(config(guide=["spread=1"], guide_mode="released"))


def test_only_the_guided_layers_and_heads_are_captured(config: Make) -> None:
    capture = build(config(**OFF, guide=["ahead=1,layers=1,heads=2", "spread=1,layers=0"])).terms.capture
    assert [capture.of_layer(layer) for layer in (0, 1)] == [{"squared_norm": "all"}, {"mass:ahead": (0, 1)}]


def test_what_a_forced_implementation_does_not_give_is_named_with_the_guide_that_needs_it(config: Make) -> None:
    with pytest.raises(UsageError, match=r"--attention cpu: the guide disagreement on \S*tiny: attention maps .* only"):
        build(config(guide=["ahead=1", "disagreement=1"], attention="cpu"))


def test_the_plan_names_guides_by_their_texts_with_the_heads_they_take(config: Make) -> None:
    guides = ["ahead=0.05", "behind=share:0.1,heads=2,schedule=linear:0.5", "spread=1,heads=0-2", "mdg=0.1,layers=0"]
    plan = plan_of(config(guide=guides, pdg=0.0, monitor="pdg,toward"))
    assert plan.guides == (
        "mdg=0.1,layers=0",
        "ahead=0.05 (head 0)",
        "behind=share:0.1,heads=2,schedule=linear:0.5 (heads 1-2)",
        "spread=1,heads=0-2",
    )
    assert plan.monitors == ("pdg", "toward (head 3)")


def test_the_estimate_of_memory_counts_maps_of_the_layers_that_keep_them(
    config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agcli.training import assemble

    def keeps(implementation: str, query: torch.Tensor, capture: Any) -> str | None:
        return "a cause" if "squared_norm" in capture else None

    monkeypatch.setattr(assemble, "why_maps_are_kept", keeps)
    none, one, both = (
        plan_of(config(**OFF, guide=guides)).memory_estimate_bytes
        for guides in ([], ["spread=1,layers=1"], ["spread=1"])
    )
    longest = plan_of(config(**OFF)).length["longest"]
    assert one - none == both - one == 4 * 3 * 8 * 4 * longest**2  # float32, three a head, batch 8, 4 heads


class TestSchedules:
    """Weights over training."""

    GUIDES = ("ahead=0.5,schedule=linear:0.5", "behind=0.25,schedule=warmup:0.5", "spread=0.125,schedule=off:0.3")

    @pytest.fixture
    def run(self, config: Make, tmp_path: Path) -> Path:
        """12 steps, 6 of each epoch; `spread` is on in the first 4."""
        return finetune(config(**OFF, guide=self.GUIDES), tmp_path / "run").path

    def test_history_has_the_weight_of_each_step(self, run: Path) -> None:
        history = pd.read_csv(run / "history.csv")
        factors = {
            "ahead": [1] * 7 + [1 - (step / 12 - 0.5) / 0.5 for step in range(7, 12)],
            "behind": [step / 6 for step in range(6)] + [1] * 6,
            "spread": [1] * 4 + [0] * 8,
        }
        total = history["task_loss"].copy()
        for name, weight in {"ahead": 0.5, "behind": 0.25, "spread": 0.125}.items():
            expected = pd.Series(factors[name]) * weight * history[name].fillna(0.0)
            pd.testing.assert_series_equal(history[f"{name}_weighted"], expected, check_names=False, rtol=1e-12)
            total += expected
        pd.testing.assert_series_equal(history["loss"], total, check_names=False, rtol=1e-9)
        assert history["spread"].isna().tolist() == [False] * 4 + [True] * 8
        assert (history["spread_weighted"][4:] == 0).all()

    def test_an_epochs_mean_is_over_the_steps_that_computed_it(self, run: Path) -> None:
        history, times = pd.read_csv(run / "history.csv"), pd.read_csv(run / "timing.csv")
        metrics = json.loads((run / "metrics.json").read_text())
        first, second = metrics["epochs"]
        examples = times["examples"][:4]
        assert first["spread"] == pytest.approx((history["spread"][:4] * examples).sum() / examples.sum(), rel=1e-9)
        examples = times["examples"][6:]
        assert second["ahead"] == pytest.approx((history["ahead"][6:] * examples).sum() / examples.sum(), rel=1e-9)
        assert "spread" not in second
        assert metrics["guides"] == {name: second[name] for name in ("ahead", "behind")}

    def test_the_first_gradients_are_at_full_weight(self, config: Make) -> None:
        plain = next(build(config(**OFF, guide=["behind=0.25"])).train_epoch())
        rising = next(build(config(**OFF, guide=["behind=0.25,schedule=warmup:0.5"])).train_epoch())
        assert rising.weights == {"behind": 0.0}
        assert rising.shares == plain.shares
        assert rising.shares["behind"] > 0

    def test_what_is_off_is_neither_computed_nor_captured(self, config: Make, monkeypatch: pytest.MonkeyPatch) -> None:
        calls = []
        call = Spread.__call__
        monkeypatch.setattr(Spread, "__call__", lambda self, attention: calls.append(1) or call(self, attention))
        engine = build(config(**OFF, guide=["spread=0.5,schedule=off:0.5"]))
        reports = [report for _ in range(2) for report in engine.train_epoch()]
        assert len(calls) == 6
        assert [list(report.guides) for report in reports] == [["spread"]] * 6 + [[]] * 6
        assert not engine.terms.after(0.5)
        assert engine.terms.after(0.49).capture == Capture((Request("squared_norm"),))

    def test_until_it_is_off_the_run_is_that_of_a_constant_weight(self, config: Make) -> None:
        losses = []
        for guide in ("spread=3,schedule=off:0.5", "spread=3", "spread=0"):
            engine = build(config(**OFF, guide=[guide]))
            losses.append([report.task_loss for _ in range(2) for report in engine.train_epoch()])
        assert losses[0][:7] == losses[1][:7]
        assert losses[0][7:] != losses[1][7:]
        assert losses[0] != losses[2]

    def test_the_terms_that_are_left_are_one_object(self) -> None:
        """A compiled model would be compiled anew for another capture."""
        schedules = {"spread": Schedule("off", 0.25), "mdg": Schedule("linear", 0.5)}
        terms = LossTerms((MDG(weight=2.0), Spread()), schedules=schedules)
        assert terms.after(0.0) is terms.after(0.2) is terms
        assert terms.after(0.25) is terms.after(0.9)
        assert [term.name for term in terms.after(0.25).terms] == ["mdg"]
        assert terms.after(0.75).weights(0.75) == {"mdg": 1.0}
        assert terms.weights() == {"mdg": 2.0, "spread": 1.0}
        assert (terms.num_captures, LossTerms((MDG(),)).num_captures) == (2, 1)

    def test_a_schedule_of_no_term(self) -> None:
        with pytest.raises(ValueError, match="a schedule of 'spread', which is no term of the loss; those are: mdg"):
            LossTerms((MDG(),), schedules={"spread": Schedule("off", 0.25)})

    def test_an_interrupted_run_goes_on_exactly(self, config: Make, run: Path, tmp_path: Path) -> None:
        class Break(RunCallback):
            def step(self, report: StepReport) -> None:
                if report.step == 8:
                    raise RuntimeError("the plug is out")

        settings, folder = config(**OFF, guide=self.GUIDES, checkpoint_every=3), tmp_path / "broken"
        with pytest.raises(RuntimeError, match="the plug is out"):
            finetune(settings, folder, callback=Break())
        finetune(settings, folder, resume=True)
        for name in set(EXACT) - {"config.json"}:
            assert (folder / name).read_bytes() == (run / name).read_bytes(), name
