"""Golden values of guides on rows by the Triton kernels, in float32."""

from __future__ import annotations

import pytest
import torch
from golden_captures import CASES, TARGETED, captured_by, golden_values


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
@pytest.mark.parametrize("name", [*TARGETED, "entropy"])
def test_golden_values_of_captured_rows(name, case):
    """The last form of a guide needs the most, and its capture serves the others too."""
    forms = golden_values(case, name)
    attention = captured_by(case, forms[-1][0], torch.float32, implementation="triton")
    for guide, expected in forms:
        torch.testing.assert_close(guide(attention).double(), expected, rtol=1e-5, atol=1e-5)
