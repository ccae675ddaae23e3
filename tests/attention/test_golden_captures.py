"""Golden values of guides on rows by the reference and the CPU path, from what `guided_attention` captures."""

from __future__ import annotations

import pytest
import torch
from golden_captures import CASES, TARGETED, captured_by, golden_values

PATHS = [(name, path) for name in (*TARGETED, "entropy") for path in ("reference", "cpu")]


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
@pytest.mark.parametrize(("name", "implementation"), [*PATHS, ("disagreement", "reference")])
def test_golden_values_of_captured_rows(name, implementation, case):
    """The fit of maps to each other needs the maps, which the reference alone keeps."""
    for guide, expected in golden_values(case, name):
        found = guide(captured_by(case, guide, torch.float64, implementation=implementation))
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)
