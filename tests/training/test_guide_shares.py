"""Weights that are given as a share of the task's gradient norm."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from toy_guides import register_toys

from agcli.config import RunConfig, make_config
from agcli.errors import UsageError
from agcli.runs.folder import RunFolder
from agcli.training import run as training_run
from agcli.training.assemble import Assembly
from agcli.training.guide_shares import SetShare, set_weights, with_weights
from agcli.training.output_folder import choose
from agcli.training.report import RunCallback, StepReport
from agcli.training.run import finetune, plan_run

Make = Callable[..., RunConfig]
OFF: dict[str, Any] = {"mdg": 0.0, "pdg": 0.0}
EXACT = ("history.csv", "predictions.csv", "metrics.json", "config.json", "model/model.safetensors")
SHARED = ("ahead=share:0.05,schedule=linear:0.5", "mdg=share:0.5")


@pytest.fixture(autouse=True)
def _toys(monkeypatch: pytest.MonkeyPatch) -> None:
    register_toys(monkeypatch)


class Recorder(RunCallback):
    """Keeps the log, and breaks the run after a step."""

    def __init__(self, last: int = 99) -> None:
        self.lines: list[str] = []
        self.last = last

    def message(self, text: str) -> None:
        self.lines.append(text)

    def step(self, report: StepReport) -> None:
        if report.step == self.last:
            raise RuntimeError("the plug is out")


def norms_by_hand(config: RunConfig) -> dict[str, float]:
    """Norm of the gradient of the task's and each guide's own backward pass on the first batch."""
    norms = {}
    for name in ("task", *config.guides.specs):
        engine = Assembly(config, RunFolder(Path("unused"))).engine
        engine.model.train()
        rows = training_rows(engine)
        losses, values = engine._losses(engine._batch(rows)[0], engine.terms, 0.0)
        (losses["task"] if name == "task" else values[name]).backward()
        squares = [
            float(weight.grad.double().square().sum())
            for weight in engine.model.parameters()
            if weight.grad is not None
        ]
        norms[name] = sum(squares) ** 0.5
    return norms


def training_rows(engine: Any) -> Any:
    from agcli.data.batching import epoch_order

    return epoch_order(engine.lengths, engine.step_size, engine.data_seed, 0)[0][: engine.batch_size]


def test_the_guides_gradient_is_that_share_of_the_tasks(config: Make, tmp_path: Path) -> None:
    log = Recorder()
    folder = finetune(config(guide=SHARED, pdg=0.0, accumulate=2), tmp_path / "run", callback=log).path
    norms = norms_by_hand(config(guide=["ahead=1"], mdg=1.0, pdg=0.0, accumulate=2))
    saved = json.loads((folder / "config.json").read_text())
    weights = {"ahead": float(saved["guide"][0].removeprefix("ahead=").partition(",")[0]), "mdg": saved["mdg"]}
    assert saved["guide"] == [f"ahead={weights['ahead']:.6g},schedule=linear:0.5"]
    for name, share in {"ahead": 0.05, "mdg": 0.5}.items():
        assert weights[name] == pytest.approx(share * norms["task"] / norms[name], rel=1e-4)
        assert weights[name] == float(f"{weights[name]:.6g}")
    shown = json.loads((folder / "metrics.json").read_text())["gradient_norms"]
    assert shown["ahead"] == pytest.approx(0.05 * shown["task"], rel=1e-5)
    assert shown["mdg"] == pytest.approx(0.5 * shown["task"], rel=1e-5)
    record = json.loads((folder / "guide_shares.json").read_text())
    assert record["ahead"]["weight"] == weights["ahead"]
    assert log.lines[0].startswith(f"mdg=share:0.5 is mdg={weights['mdg']:g}: gradient norms on the first batch are")
    assert "(5.0 % of it)" in " ".join(log.lines)


def test_a_run_of_the_saved_settings_is_the_same_bit_for_bit(config: Make, tmp_path: Path) -> None:
    """So the trial that set the weight left no trace, and the number has all its digits in the file."""
    folder = finetune(config(guide=SHARED), tmp_path / "run").path
    saved = make_config(json.loads((folder / "config.json").read_text()))
    recorded = json.loads((folder / "environment.json").read_text())["fingerprint"]
    assert saved.fingerprint() == recorded != config(guide=SHARED).fingerprint()
    again = finetune(saved, tmp_path / "again").path
    for name in EXACT:
        assert (again / name).read_bytes() == (folder / name).read_bytes(), name
    assert not (again / "guide_shares.json").exists()


def test_a_resumed_run_keeps_the_recorded_weight(config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = config(guide=SHARED, checkpoint_every=3, output=str(tmp_path / "run"))
    with pytest.raises(RuntimeError, match="plug"):
        finetune(settings, tmp_path / "run", callback=Recorder(last=5))
    assert choose(settings, resume=True, overwrite=False).path == tmp_path / "run"
    other = config(guide=["ahead=share:0.06,schedule=linear:0.5", "mdg=share:0.5"], output=str(tmp_path / "run"))
    with pytest.raises(UsageError, match="--guide was"):
        choose(other, resume=True, overwrite=False)
    monkeypatch.setattr(training_run, "set_weights", lambda parts: pytest.fail("set twice"))
    finetune(settings, tmp_path / "run", resume=True)
    monkeypatch.undo()
    register_toys(monkeypatch)
    whole = finetune(config(guide=SHARED), tmp_path / "whole").path
    for name in ("history.csv", "predictions.csv", "metrics.json"):
        assert (tmp_path / "run" / name).read_bytes() == (whole / name).read_bytes(), name


def test_an_overwritten_run_leaves_no_record(config: Make, tmp_path: Path) -> None:
    finetune(config(guide=SHARED, epochs=1), tmp_path / "run")
    finetune(config(epochs=1), tmp_path / "run", overwrite=True)
    assert not (tmp_path / "run" / "guide_shares.json").exists()


def test_a_dry_run_shows_the_share_and_writes_nothing(config: Make, tmp_path: Path) -> None:
    plan = plan_run(config(guide=SHARED), tmp_path / "run")
    assert plan.guides == ("mdg=share:0.5", "pdg=0.001", "ahead=share:0.05,schedule=linear:0.5 (head 0)")
    assert not (tmp_path / "run").exists()


def test_a_guide_without_gradient_is_refused_before_the_run(config: Make, tmp_path: Path) -> None:
    """No text of eight tokens has one eight tokens ahead."""
    settings = config(guide=["ahead=share:0.05,distance=8"], max_length=8)
    with pytest.raises(
        UsageError, match=r"--guide ahead=share:0.05,distance=8: the norm of the guide's gradient"
    ) as caught:
        finetune(settings, tmp_path / "run")
    assert "is 0, so no weight gives that share" in str(caught.value)
    assert caught.value.hint == "write a weight: --guide ahead=0.05"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("task", "whose"), [(0.0, "task"), (float("nan"), "task"), (float("inf"), "task")])
def test_a_task_without_gradient_is_an_error(config: Make, task: float, whose: str) -> None:
    parts: Any = SimpleNamespace(config=config(guide=["ahead=share:0.05"]))
    parts.with_config = lambda config: parts
    parts.engine = SimpleNamespace(first_gradient_norms=lambda: {"task": task, "ahead": 1.0})
    with pytest.raises(UsageError, match=f"the norm of the {whose}'s gradient on the first batch is {task:g}"):
        set_weights(cast(Assembly, parts))


def test_a_share_beyond_all_weights_is_an_error(config: Make) -> None:
    parts: Any = SimpleNamespace(config=config(guide=["ahead=share:0.05"]))
    parts.with_config = lambda config: parts
    parts.engine = SimpleNamespace(first_gradient_norms=lambda: {"task": 1e10, "ahead": 1e-300})
    with pytest.raises(UsageError, match=r"--guide ahead=share:0.05: the weight of that share is inf"):
        set_weights(cast(Assembly, parts))


def test_weights_in_the_place_of_shares(config: Make) -> None:
    settings = config(guide=["mdg=share:0.5,layers=1", "ahead=share:0.05", "behind=0.1"], pdg=0.0)
    assert with_weights(settings, {"mdg": 0.25, "ahead": 1.5}) == config(
        guide=["mdg=0.25,layers=1", "ahead=1.5", "behind=0.1"], pdg=0.0
    )
    assert with_weights(config(guide=["mdg=share:0.5"]), {"mdg": 0.25}) == config(mdg=0.25)


def test_the_line_of_log() -> None:
    assert SetShare(0.05, 0.0123457, 2.5, 10.125).line("next") == (
        "next=share:0.05 is next=0.0123457: gradient norms on the first batch are 2.5 of the task and 10.1 of the "
        "guide at weight 1"
    )
