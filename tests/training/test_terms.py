"""The terms of the loss: what is captured for the guides among them, and terms that are no guides."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pytest
import torch
from torch import Tensor

from agcli import MDG, PDG
from agcli.attention import Capture, Request
from agcli.config import RunConfig
from agcli.data.batching import collate, epoch_order
from agcli.errors import UsageError
from agcli.guides.base import CapturedAttention, Needs
from agcli.runs.folder import RunFolder
from agcli.training import assemble
from agcli.training.assemble import Assembly
from agcli.training.engine import Engine
from agcli.training.loss_terms import RESERVED, LossTerms
from agcli.training.run import finetune

Make = Callable[..., RunConfig]
OFF: dict[str, Any] = {"mdg": 0.0, "pdg": 0.0}


@dataclass(frozen=True)
class Diagonal:
    """A guide on maps: how much attention real tokens of the guided heads pay to themselves."""

    name: ClassVar[str] = "diagonal"
    needs: ClassVar[Needs] = ("maps",)

    weight: float = 1.0
    layers: tuple[int, ...] | None = None
    heads: tuple[int, ...] | None = None

    def __call__(self, attention: CapturedAttention) -> Tensor:
        layers = [
            maps.diagonal(dim1=-2, dim2=-1).mean(1) for maps in attention.each_layer("maps", self.layers, self.heads)
        ]
        return (torch.stack(layers).mean(0) * attention.mask).sum(-1) / attention.mask.sum(-1)


def captured_maps(maps: dict[int, Tensor], mask: Tensor) -> CapturedAttention:
    return CapturedAttention(mask, {"maps": maps}, Capture((Request("maps"),)))


@dataclass(frozen=True, eq=False)
class SquaredNorm:
    """A term that is no guide: one number for the batch."""

    parameter: Tensor
    weight: float = 1.0
    name: str = "l2"

    def __call__(self, _: CapturedAttention) -> Tensor:
        return self.parameter.square().sum()


def build(config: RunConfig) -> Engine:
    return Assembly(config, RunFolder(Path("unused"))).engine


def trained(engine: Engine) -> tuple[list[dict[str, float]], dict[str, Tensor]]:
    """The guides' values of each step of an epoch, and the weights after it."""
    values = [report.guides | {"norm": report.gradient_norm} for report in engine.train_epoch()]
    return values, engine.bare_model.state_dict()


@pytest.mark.parametrize("subset", [{"guide_layers": "1"}, {"guide_layers": "0", "guide_heads": "1,3"}])
def test_guided_layers_alone_are_captured_and_train_as_if_all_were(config: Make, subset: dict[str, str]) -> None:
    settings, layer = config(mdg=0.5, pdg=0.5, **subset), int(subset["guide_layers"])
    one = build(settings)
    heads = (1, 3) if "guide_heads" in subset else "all"
    assert one.terms.capture == Capture((Request("received", (layer,), heads),))
    values, weights = trained(one)
    every = build(settings)
    every.terms.__dict__["capture"] = Capture((Request("received"),))
    expected, expected_weights = trained(every)
    assert values == expected
    assert all(torch.equal(weight, expected_weights[name]) for name, weight in weights.items())


def test_the_capture_is_what_terms_and_monitors_need_together(config: Make) -> None:
    assert build(config(**OFF, monitor="mdg", guide_layers="0")).terms.capture == Capture((Request("received", (0,)),))
    assert build(config(guide_mode="released")).terms.capture == Capture((Request("released"),))
    assert not LossTerms((SquaredNorm(torch.zeros(())),)).capture
    terms = LossTerms((MDG(layers=(3,)), Diagonal(layers=(1, 2))), (PDG(layers=(0,), heads=(2,)),))
    of_layers = [{"received": (2,)}, {"maps": "all"}, {"maps": "all"}, {"received": "all"}]
    assert [terms.capture.of_layer(layer) for layer in range(4)] == of_layers


def test_an_implementation_that_cannot_capture_it_is_refused_before_the_run(config: Make, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--attention cpu: the guide mdg on .*tiny: the released arithmetic"):
        finetune(config(guide_mode="released", attention="cpu"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def first_batch(engine: Engine) -> Any:
    size = engine.batch_size
    return collate(engine.examples, epoch_order(engine.lengths, size, engine.data_seed, 0)[0][:size])


@pytest.mark.parametrize("heads", [None, (1, 3)])
def test_a_guide_on_maps_gets_the_maps_of_its_layers(config: Make, heads: tuple[int, ...] | None) -> None:
    """Attention dropout is on, and not in the maps of the first layer, whose input has none here."""
    engine = build(config(**OFF, precision="fp32"))
    for module in engine.bare_model.bert.embeddings.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    guide = Diagonal(0.5, layers=(0,), heads=heads)
    engine.terms = LossTerms((guide,))
    batch = first_batch(engine)
    eager = build(config(**OFF)).bare_model.eval()
    eager.set_attn_implementation("eager")
    with torch.no_grad():
        maps = eager(**batch.inputs, output_attentions=True).attentions[0]
    expected = guide(captured_maps({0: maps}, batch.mask)).mean()
    report = next(engine.train_epoch())
    assert report.guides["diagonal"] == pytest.approx(float(expected), rel=1e-5)
    assert report.shares["diagonal"] > 0


def test_a_guide_on_maps_lowers_them_beside_a_guide_on_received_attention(config: Make) -> None:
    engine = build(config(**OFF, dropout=0.0, epochs=6))
    engine.terms = LossTerms((Diagonal(30.0, layers=(1,)), MDG(weight=0.1, layers=(0,))), (PDG(layers=(0,)),))
    reports = [report.guides for _ in range(6) for report in engine.train_epoch()]
    assert set(reports[0]) == {"diagonal", "mdg", "pdg"}
    assert reports[-1]["diagonal"] < 0.5 * reports[0]["diagonal"]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_term_that_is_no_guide_is_added_once_a_step_and_reported(config: Make, accumulate: int) -> None:
    """Adam's first moment after one step is a tenth of the gradient."""
    moments = []
    for weight in (0.0, 0.25):
        settings = {"optimizer": "adam", "max_grad_norm": 0.0, "dropout": 0.0, "precision": "fp32"}
        engine = build(config(mdg=0.5, pdg=0.0, accumulate=accumulate, **settings))
        parameter = engine.bare_model.classifier.weight
        before = parameter.detach().clone()
        engine.terms = LossTerms((*engine.terms.terms, SquaredNorm(parameter, weight)))
        report = next(engine.train_epoch())
        moments.append(engine.optimizer.state[parameter]["exp_avg"])
    assert report.guides["l2"] == pytest.approx(float(before.square().sum()), rel=1e-6)
    assert report.shares["l2"] == pytest.approx(float(0.25 * 2 * before.norm()), rel=1e-5)
    torch.testing.assert_close(10 * (moments[1] - moments[0]), 0.25 * 2 * before, rtol=1e-4, atol=1e-6)


def test_such_a_term_alone_captures_nothing(config: Make) -> None:
    engine = build(config(**OFF))
    engine.terms = LossTerms((SquaredNorm(engine.bare_model.classifier.weight, 0.1),))
    assert engine.encoder_attention.forward_kwargs(engine.terms.capture) == {}
    assert set(next(engine.train_epoch()).guides) == {"l2"}


def test_such_a_term_is_in_history_and_metrics(config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_terms = assemble.make_terms

    def with_penalty(*args: Any) -> LossTerms:
        return LossTerms((*make_terms(*args).terms, SquaredNorm(torch.nn.Parameter(torch.tensor(3.0)), 0.5)))

    monkeypatch.setattr(assemble, "make_terms", with_penalty)
    folder = finetune(config(mdg=0.5, pdg=0.0, epochs=1), tmp_path / "run").path
    history = pd.read_csv(folder / "history.csv")
    assert (history["l2"] == 9).all()
    assert (history["l2_weighted"] == 4.5).all()
    weighted = history["mdg_weighted"] + history["l2_weighted"]
    torch.testing.assert_close(torch.tensor(history["loss"]), torch.tensor(history["task_loss"] + weighted))
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["guides"]["l2"] == pytest.approx(9)
    assert set(metrics["gradient_norms"]) == {"task", "mdg", "l2"}


@pytest.mark.parametrize("name", RESERVED)
def test_a_term_may_not_take_the_name_of_a_number_of_the_engine(name: str) -> None:
    with pytest.raises(ValueError, match=f"cannot be called '{name}'"):
        LossTerms((SquaredNorm(torch.zeros(()), name=name),))


def test_a_guide_without_what_it_needs_is_an_error() -> None:
    mask = torch.ones(2, 5, dtype=torch.bool)
    with pytest.raises(ValueError, match="received was not captured"):
        MDG()(captured_maps({0: torch.ones(2, 2, 5, 5)}, mask))
    attention = CapturedAttention(
        mask,
        {"received": {3: torch.ones(2, 2, 5)}, "maps": {4: torch.ones(2, 2, 5, 5)}},
        Capture((Request("received", (3,), (0, 6)), Request("maps", (4,)))),
    )
    with pytest.raises(ValueError, match=r"layer 2 was not captured, only \[3\]"):
        MDG(layers=(2,))(attention)
    with pytest.raises(ValueError, match=r"head 1 was not captured, only \[0, 6\]"):
        MDG(heads=(1,))(attention)
    with pytest.raises(ValueError, match=r"layer 3 was not captured, only \[4\]"):
        Diagonal(layers=(3,))(attention)
