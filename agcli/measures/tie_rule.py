"""The one tie rule: score descending, then document id descending; and scores that leave no tie to anybody else.

Source: trec_eval (`comp_sim_docno` in its form_res_rels.c), and with it pytrec_eval and ir_measures' RR, R@k, nDCG and
AP. They keep scores as float32 and compare ids byte by byte; so does this file. Ids are UTF-8 there, whose bytes sort
as Python's strings do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SIGN = 0x80000000


def descending(ids: Sequence[str], scores: NDArray[Any]) -> NDArray[np.int64]:
    """Order of a ranking: score descending as float32, then id descending.

    Args:
        ids: document ids, no two the same.
        scores: their scores; two that float32 cannot tell apart are tied, as they are for trec_eval.

    Shape:
        scores: (num_documents,); the result likewise, indices into `ids`.

    Raises:
        ValueError: a score is NaN, or there is not one for every id.
    """
    kept = np.asarray(scores).astype(np.float32)
    if kept.shape != (len(ids),):
        raise ValueError(f"{len(ids)} ids, but scores of shape {kept.shape}")
    if np.isnan(kept).any():
        raise ValueError("a score that is NaN has no place in a ranking")
    by_id = np.array(sorted(range(len(ids)), key=ids.__getitem__, reverse=True), dtype=np.int64)
    return by_id[np.argsort(-kept[by_id], kind="stable")]


def strictly_decreasing(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores of a ranking with its ties taken apart, so that every tool reads the order that was meant.

    Each score that is not below the one before becomes the next float32 below that one; the others stay as they are.

    Args:
        scores: in the order of the ranking (see `descending`), so never rising.

    Shape:
        (num_documents,), the result likewise.

    Raises:
        ValueError: the scores rise, one is not finite, or float32 has no room below them.
    """
    kept = np.asarray(scores, dtype=np.float32)
    if not np.isfinite(kept).all() or (np.diff(kept.astype(np.float64)) > 0).any():
        raise ValueError("the scores of a ranking are finite and never rise")
    # The place of each float32 on the line of all float32: next neighbours differ by 1, and -0 is 0. With it the chain
    # "at least one place below the one before" is one running minimum.
    bits = kept.view(np.uint32).astype(np.int64)
    places = np.where(bits >= _SIGN, _SIGN - bits, bits)
    steps = np.arange(len(kept))
    places = np.minimum.accumulate(places + steps) - steps
    lowered = np.where(places < 0, _SIGN - places, places).astype(np.uint32).view(np.float32)
    if not np.isfinite(lowered).all():
        raise ValueError("float32 has no room below the lowest score for its ties")
    return lowered
