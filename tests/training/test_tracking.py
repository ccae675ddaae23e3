"""Project, run and group reach each tracker in its own words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from accelerate import Accelerator

from agcli.config import RunConfig
from agcli.options import OutputOptions
from agcli.training.assemble import tracker_settings
from agcli.training.run import finetune


@pytest.mark.parametrize(
    ("options", "project", "settings"),
    [
        ({"track": "wandb"}, "agcli", {"name": "run-1"}),
        ({"track": "wandb", "track_group": "g"}, "agcli", {"name": "run-1", "group": "g"}),
        ({"track": "trackio", "track_project": "p", "track_name": "n"}, "p", {"name": "n"}),
        ({"track": "mlflow", "track_project": "p"}, "p", {"run_name": "run-1"}),
        ({"track": "mlflow", "track_group": "g"}, "agcli", {"run_name": "run-1", "tags": {"group": "g"}}),
        ({"track": "tensorboard", "track_project": "p"}, "tracking", {}),
    ],
)
def test_each_tracker_s_own_words(options: dict[str, str], project: str, settings: dict[str, Any]) -> None:
    assert tracker_settings(OutputOptions(**options), "run-1") == (project, settings)


def test_a_run_hands_them_over(
    config: Callable[..., RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr("accelerate.tracking.get_available_trackers", lambda: [_Named("wandb")])
    monkeypatch.setattr("accelerate.accelerator.filter_trackers", lambda *_: [])

    def init_trackers(_: Accelerator, project: str, config: Any, init_kwargs: Any) -> None:
        seen.append((project, init_kwargs))

    monkeypatch.setattr(Accelerator, "init_trackers", init_trackers)
    short: dict[str, Any] = {"epochs": 1, "train_limit": 8, "offline": False}
    chosen = config(track="wandb", track_project="guiding", track_group="mednli", **short)
    finetune(chosen, tmp_path / "first-run")
    assert seen == [("guiding", {"wandb": {"name": "first-run", "group": "mednli"}})]
    assert chosen.fingerprint() == config(**short).fingerprint()


class _Named:
    def __init__(self, value: str) -> None:
        self.value = value
