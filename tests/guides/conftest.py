"""Received attention of a small batch in float64, with and without padding."""

import pytest
import torch


@pytest.fixture
def received():
    """Shape (batch 3, layers 2, heads 3, length 5); padded positions carry rubbish that guides must ignore."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand((3, 2, 3, 5), generator=generator, dtype=torch.float64)


@pytest.fixture
def mask():
    return torch.arange(5) < torch.tensor([5, 3, 4])[:, None]
