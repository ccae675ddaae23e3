"""A launcher's variables and Accelerate's settings in the environment do nothing to a run that nobody asked for."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import as_flags

from agcli.config import RunConfig
from agcli.errors import UsageError
from agcli.runs.launcher import has_launcher, process_rank
from agcli.timing.plan import plan_groups
from agcli.timing.request import TimingRequest
from agcli.training.run import finetune, plan_run

TORCHRUN = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
FOREIGN = (
    {"RANK": "16"},
    {"RANK": "high"},
    {"RANK": ""},
    {"LOCAL_RANK": "3"},
    {"WORLD_SIZE": "2", "ACCELERATE_USE_CPU": "true"},
    {"SLURM_NTASKS": "4", "SLURM_PROCID": "3", "OMPI_COMM_WORLD_SIZE": "2", "PMI_SIZE": "2", "PMI_RANK": "1",
     "ACCELERATE_USE_CPU": "true"},
    TORCHRUN | {"RANK": "2"},
    TORCHRUN | {"LOCAL_RANK": ""},
)  # fmt: skip
"""Environments of scripts and batch systems: none has the whole set of a launcher's variables."""
RESULTS = ("history.csv", "predictions.csv", "metrics.json", "model/model.safetensors")


def set_all(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def plain(dataset: Path, encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in an environment that says nothing."""
    from tiny_runs import short_options

    from agcli.config import make_config

    return finetune(
        make_config(short_options(dataset, encoder) | {"epochs": 1}), tmp_path_factory.mktemp("plain") / "run"
    ).path


def same_results(one: Path, other: Path) -> bool:
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in RESULTS)


def test_a_launcher_is_known_by_the_whole_set_of_its_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, TORCHRUN)
    assert (has_launcher(), process_rank()) == (True, 1)
    for name in TORCHRUN:
        monkeypatch.delenv(name)
        assert (has_launcher(), process_rank()) == (False, 0)
        monkeypatch.setenv(name, TORCHRUN[name])


@pytest.mark.parametrize("variables", FOREIGN, ids=lambda each: " ".join(f"{k}={v}" for k, v in each.items())[:40])
def test_variables_without_a_launcher_have_no_effect(
    variables: dict[str, str], plain: Path, options: dict[str, Any], ag: Callable[..., Any], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    set_all(monkeypatch, variables)
    before = dict(os.environ)
    ended = ag("finetune", "--output", tmp_path / "run", *as_flags(options | {"epochs": 1}))
    assert "run folder" in ended.stdout
    assert same_results(plain, tmp_path / "run")
    assert dict(os.environ) == before
    assert "minilm" in ag("models").stdout


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        (
            {"ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "4"},
            "ACCELERATE_GRADIENT_ACCUMULATION_STEPS=4 has no effect: --accumulate decides",
        ),
        ({"ACCELERATE_MIXED_PRECISION": "fp16"}, "ACCELERATE_MIXED_PRECISION=fp16 has no effect: --precision decides"),
        ({"ACCELERATE_DYNAMO_BACKEND": "EAGER"}, "ACCELERATE_DYNAMO_BACKEND=EAGER has no effect: --compile decides"),
        ({"ACCELERATE_MIXED_PRECISION": "no", "ACCELERATE_DYNAMO_BACKEND": "NO"}, ""),
    ],
)
def test_settings_of_accelerate_change_no_number(
    variables: dict[str, str], words: str, plain: Path, options: dict[str, Any], ag: Callable[..., Any],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    set_all(monkeypatch, variables)
    ended = ag("finetune", "--output", tmp_path / "run", *as_flags(options | {"epochs": 1}))
    assert same_results(plain, tmp_path / "run")
    assert words in ended.stderr
    assert ("has no effect" in ended.stderr) == bool(words)


@pytest.mark.parametrize("kind", ["DEEPSPEED", "FSDP", "MEGATRON_LM", "PARALLELISM_CONFIG"])
def test_another_way_of_training_is_refused_before_anything_is_written(
    kind: str, options: dict[str, Any], config: Callable[..., RunConfig], ag: Callable[..., Any], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv(f"ACCELERATE_USE_{kind}", "true")
    monkeypatch.chdir(tmp_path)
    ended = ag("finetune", "--output", "run", *as_flags(options), code=2)
    assert f"ACCELERATE_USE_{kind} is set" in ended.stderr
    ag("ablate", "--output", "sweep", "--variants", "none", "--seeds", 1, *as_flags(options), code=2)
    with pytest.raises(UsageError, match=kind):
        plan_run(config(), Path("run"))
    with pytest.raises(UsageError, match=kind):
        plan_groups(TimingRequest(models=("minilm",), lengths=(32,), shape="multinli", random_weights=True))
    assert list(tmp_path.iterdir()) == []
