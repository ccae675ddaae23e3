"""What the tests of timing start from: a small request."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agcli.options import ModelOptions, TrainingOptions
from agcli.timing import methods
from agcli.timing.request import TimingRequest
from agcli.training.engine import Engine

Make = Callable[..., TimingRequest]


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> list[Engine]:
    """The engines that methods are built with from here on."""
    built: list[Engine] = []

    class Seen(Engine):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            built.append(self)

    monkeypatch.setattr(methods, "Engine", Seen)
    return built


@pytest.fixture
def request_for(dataset: Path, encoder: Path) -> Make:
    """A small timing of the tiny encoder on the small data set, with changes."""

    def make(**changes: Any) -> TimingRequest:
        values: dict[str, Any] = {
            "models": (str(encoder),),
            "dataset": str(dataset),
            "lengths": (24,),
            "steps": 6,
            "rounds": 3,
            "model": ModelOptions(offline=True),
            "training": TrainingOptions(batch_size=4, precision="fp32"),
        }
        return TimingRequest(**(values | changes))

    return make
