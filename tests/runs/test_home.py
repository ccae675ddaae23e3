"""A user without HOME and without an entry in /etc/passwd, as in a container started with --user."""

from __future__ import annotations

import pwd
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from safetensors.torch import load_file
from tiny_runs import as_flags

from agcli.errors import UsageError
from agcli.runs.paths import expanded


@pytest.fixture(autouse=True)
def _nameless(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_: object) -> NoReturn:
        raise KeyError("no such user")

    for name in ("HOME", "AGCLI_CACHE", "USER", "LOGNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.setattr(pwd, "getpwnam", nobody)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", "~/.cache/huggingface/hub")  # as it is read then


def test_the_models_are_listed(ag: Callable[..., Any]) -> None:
    assert "minilm" in ag("models").stdout


def test_a_pickle_is_read_without_a_place_to_keep_it_converted(
    options: dict[str, Any], encoder: Path, ag: Callable[..., Any], tmp_path: Path
) -> None:
    folder = tmp_path / "old"
    folder.mkdir()
    for path in encoder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    flags = as_flags(options | {"model": str(folder), "epochs": 1, "train_limit": 8})
    assert "AGCLI_CACHE may name another" in ag("finetune", *flags, "--output", tmp_path / "run").stderr


def test_a_path_in_a_home_folder_that_is_not_known(ag: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="~/x: no home folder is known"):
        expanded("~/x")
    assert "~/x.csv: no home folder" in ag("prepare", "--dataset", "x", "--from", "~/x.csv", code=2).stderr
    assert "is not known here" in ag("finetune", "--model", "~/m", "--output", tmp_path / "r", code=2).stderr
    assert "no home folder" in ag("ablate", "--report", "~/sweep", code=2).stderr
