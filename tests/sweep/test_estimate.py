"""What a sweep will cost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agcli.sweep import estimate as estimates
from agcli.sweep.grid import Grid
from agcli.sweep.sweep import Sweep
from agcli.training.assemble import Assembly


def test_every_variant_is_measured_and_data_are_tokenised_once(
    grid: Callable[..., Grid], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seconds of a step differ between guides, so no guide stands for the others."""
    seconds = {(): 1.0, ("mdg=0.01",): 10.0, ("next=0.01",): 100.0}
    examples = []

    def measured(parts: Assembly) -> tuple[int, float, int]:
        examples.append(parts.examples)
        return 6, seconds[parts.config.guides.texts], 1000

    monkeypatch.setattr(estimates, "_measured", measured)
    sweep = Sweep((grid(variants=("none", "mdg", "next"), seeds=(1, 2)),), tmp_path, threads=1)
    estimate = estimates.estimate(sweep, workers=1)
    assert (estimate.cells, estimate.steps, estimate.seconds) == (6, 36, 6 * 2 * (1 + 10 + 100))
    assert len(examples) == 3
    assert examples[0] is examples[1] is examples[2]
