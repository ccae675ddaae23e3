"""What the tests of timing start from: a small request."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agcli.options import ModelOptions, TrainingOptions
from agcli.timing.request import TimingRequest

Make = Callable[..., TimingRequest]


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
