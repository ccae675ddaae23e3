"""Sums over resamples."""

from __future__ import annotations

import numpy as np
import pytest

from agcli.measures.bootstrap import resampled


@pytest.mark.parametrize("columns", [1, 3, 7, 12, 31])
def test_equal_tables_have_equal_sums_to_the_last_bit(columns: int) -> None:
    table = np.random.default_rng(columns).random((50, columns))
    first, second = resampled(np.stack([table, table]), 200, seed=1)
    assert first.shape == (200, columns)
    assert (first == second).all()
    assert np.allclose(first, resampled(table, 200, seed=1), rtol=1e-12)
