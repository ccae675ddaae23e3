"""Length percentiles of texts and pairs, for the manifest."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from agcli.data.pairs import Pair

TokenCounter = Callable[[list[str], list[str]], list[int]]
_CHUNK = 1024


def percentiles(lengths: Sequence[int]) -> dict[str, float]:
    """Minimum, percentiles, maximum and mean; a percentile is a length that occurs (the lower neighbour)."""
    values = np.asarray(lengths)
    cuts = {f"p{q}": int(np.percentile(values, q, method="lower")) for q in (50, 90, 95, 99)}
    return {"min": int(values.min()), **cuts, "max": int(values.max()), "mean": round(float(values.mean()), 2)}


def characters(pairs: Sequence[Pair]) -> dict[str, dict[str, float]]:
    """Percentiles of both texts in characters."""
    return {
        "text_a": percentiles([len(pair.text_a) for pair in pairs]),
        "text_b": percentiles([len(pair.text_b) for pair in pairs]),
    }


def tokens(pairs: Sequence[Pair], count: TokenCounter) -> dict[str, float]:
    """Percentiles of whole pairs in tokens, special tokens included, before any truncation."""
    lengths: list[int] = []
    for start in range(0, len(pairs), _CHUNK):
        chunk = pairs[start : start + _CHUNK]
        lengths += count([pair.text_a for pair in chunk], [pair.text_b for pair in chunk])
    return percentiles(lengths)
