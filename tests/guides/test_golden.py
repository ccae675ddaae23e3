"""Values that were computed once by literal loops over the equations: maps in, values out."""

import json
from pathlib import Path

import pytest
import torch

from agcli import MDG, PDG
from agcli.attention import received_attention

CASES = json.loads((Path(__file__).parent / "golden.json").read_text())
GUIDES = {
    "mdg_sum_tau1": MDG(reduction="sum"),
    "mdg_sum_tau2": MDG(reduction="sum", temperature=2.0),
    "mdg_mean_tau1": MDG(),
    "mdg_mean_tau2": MDG(temperature=2.0),
    "pdg_sum": PDG(reduction="sum"),
    "pdg_mean256": PDG(),
}


def inputs(case):
    """Received attention (batch, layers, heads, length) from the case's maps, and its mask."""
    maps = torch.tensor(case["attention"], dtype=torch.float64)
    mask = torch.arange(case["length"]) < torch.tensor(case["lengths"])[:, None]
    return torch.stack([received_attention(layer, mask) for layer in maps.unbind(1)], dim=1), mask


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", GUIDES)
def test_guides_hold_the_golden_values(case, name):
    expected = torch.tensor(case[name], dtype=torch.float64)
    torch.testing.assert_close(GUIDES[name](*inputs(case)), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_received_attention_holds_the_golden_values(case):
    expected = torch.tensor(case["received"], dtype=torch.float64)  # layers and heads flattened
    torch.testing.assert_close(inputs(case)[0].flatten(1, 2), expected, rtol=0, atol=1e-9)


def test_the_file_covers_every_guide_above():
    assert len(CASES) == 3
    assert all(set(GUIDES) <= set(case) for case in CASES)
