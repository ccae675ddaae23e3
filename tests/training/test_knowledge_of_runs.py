"""A run gets the knowledge that its guides need, or is refused before anything is trained."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import write_dataset

from agcli.config import RunConfig, make_config
from agcli.data.knowledge.preparation import KnowledgeMaker
from agcli.data.prepared import load_prepared
from agcli.errors import DataError
from agcli.guides.base import CapturedAttention
from agcli.guides.registry import GUIDES
from agcli.options import GuideOptions
from agcli.runs.folder import RunFolder
from agcli.training.assemble import Assembly
from agcli.training.output_folder import check_resumable
from agcli.training.run import finetune


def test_guides_that_are_present_or_monitored_say_what_they_need() -> None:
    known = {name: entry.knowledge for name, entry in GUIDES.items() if entry.knowledge}
    assert known, "guides of knowledge are registered"
    for name, needed in known.items():
        assert make_config({"guide": [f"{name}=0.1"]}).guides.knowledge == (needed,)
        assert make_config({"monitor": name}).guides.knowledge == (needed,)
        assert make_config({"guide": [f"{name}=0"]}).guides.knowledge == ()
    others = [name for name in GUIDES if name not in known]
    options = {"guide": [f"{name}=0.1" for name in others], "monitor": ",".join(others)}
    assert make_config(options).guides.knowledge == ()
    assert make_config({"guide": ["pmi=0.1,counts=sentence"]}).guides.knowledge == ()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = write_dataset(tmp_path / "known")
    KnowledgeMaker({}, {"pmi": {}}).add_to(load_prepared(folder))
    return folder


@pytest.fixture
def needs(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def needed(*names: str) -> None:
        monkeypatch.setattr(GuideOptions, "knowledge", names)

    return needed


def test_what_was_not_made_is_refused_first(
    config: Callable[..., RunConfig], data: Path, needs: Callable[..., None], tmp_path: Path
) -> None:
    needs("pmi", "wordsim", "dependency")
    with pytest.raises(DataError, match="these data have no knowledge 'wordsim' and 'dependency'") as error:
        finetune(config(dataset=str(data), model="no/such-model"), tmp_path / "run")
    assert error.value.hint == f"ag prepare --dataset {data} --knowledge wordsim,dependency"
    assert not (tmp_path / "run").exists()


def test_batches_of_a_run_have_it(
    config: Callable[..., RunConfig], data: Path, needs: Callable[..., None], tmp_path: Path
) -> None:
    needs("pmi")
    parts = Assembly(config(dataset=str(data), train_limit=9), RunFolder(tmp_path / "run"))
    seen: list[Any] = []

    @dataclass(frozen=True)
    class Watching:
        """A monitor that keeps the knowledge of each batch."""

        name: str = "watching"
        weight: float = 0.0
        needs: tuple[str, ...] = ("received",)
        layers: None = None
        heads: None = None

        def __call__(self, attention: CapturedAttention) -> torch.Tensor:
            assert attention.tokens is not None
            seen.append((attention.tokens.knowledge["pmi"], attention.mask))
            return torch.zeros(len(attention.mask))

    parts.engine.terms = replace(parts.engine.terms, monitors=(Watching(),))
    list(parts.engine.train_epoch())
    assert sum(len(mask) for _, mask in seen) >= 9
    for values, mask in seen:
        assert values.shape == (*mask.shape, mask.shape[1])
        assert values.dtype == torch.float32
        assert torch.equal(values, values.mT)
        assert not values[~mask].any()
    assert any(values.any() for values, _ in seen)


def test_a_run_records_its_knowledge_and_goes_on_with_no_other(
    config: Callable[..., RunConfig], data: Path, needs: Callable[..., None], tmp_path: Path
) -> None:
    needs("pmi")
    folder = finetune(config(dataset=str(data), epochs=1, train_limit=8), tmp_path / "run")
    recorded = json.loads((folder.path / "environment.json").read_text())
    dataset = load_prepared(data)
    manifest = json.loads((data / "knowledge" / "pmi" / "manifest.json").read_text())
    assert recorded["data"]["knowledge"] == {"pmi": manifest["digest"]}
    environment = {"data": {"digest": dataset.digest, "knowledge": {"pmi": manifest["digest"]}}}
    plan = dict.fromkeys(("processes", "precision", "device", "attention"))
    assert check_resumable(environment, dataset, plan, 1) == ""
    environment["data"]["knowledge"] = {"pmi": "another"}
    with pytest.raises(DataError, match="not the knowledge 'pmi' that the run began with"):
        check_resumable(environment, dataset, plan, 1)


def test_runs_without_such_guides_need_none(config: Callable[..., RunConfig], dataset: Path, tmp_path: Path) -> None:
    parts = Assembly(config(dataset=str(dataset)), RunFolder(tmp_path / "run"))
    assert parts.config.guides.knowledge == ()
    assert parts.examples["train"].knowledge == {}


def test_guides_towards_cells_train(config: Callable[..., RunConfig], data: Path, tmp_path: Path) -> None:
    guides = ["pmi=5,heads=1", "match=5,heads=1-1"]
    options = {"guide": guides, "mdg": 0, "pdg": 0, "learning_rate": 0.01, "dropout": 0, "epochs": 4}
    folder = finetune(config(dataset=str(data), train_limit=16, **options), tmp_path / "run")
    first, *_, last = json.loads((folder.path / "metrics.json").read_text())["epochs"]
    for name in ("pmi", "match"):
        assert 0 < last[name] < first[name]


def test_the_command_for_a_shipped_sample_writes_beside_the_user_and_not_into_the_package(
    config: Callable[..., RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a checkout has a folder data/sample of its own
    with pytest.raises(DataError) as error:
        finetune(config(dataset="sample", guide=["pmi=0.1"]), tmp_path / "run")
    assert error.value.hint == "ag prepare --dataset sample --knowledge pmi"
