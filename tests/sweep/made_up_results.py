"""Lines of results.csv, made up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Row = dict[str, Any]

UNGUIDED = [0.60, 0.62, 0.61, 0.63, 0.64]
MDG = [0.61, 0.64, 0.64, 0.65, 0.66]  # + 1, 2, 3, 2, 2 points: t = sqrt(40), p = 0.003198
PDG = [0.62, 0.61, 0.60, 0.64, 0.63]  # + 2, -1, -1, 1, -1 points: mean 0


def row(variant: str, seed: int, value: float | None, **changed: Any) -> Row:
    """A line of results.csv as a finished `single` cell of a classification leaves it."""
    found: Row = {
        **{"cell": f"{variant}{seed}", "model": "minilm", "dataset": "mnli", "variant": variant},
        **{"mdg": 0.01 if variant in ("mdg", "both") else 0.0, "pdg": 0.001 if variant in ("pdg", "both") else 0.0},
        **{"guide_mode": "paper", "layers": "all", "size": 1.0, "learning_rate": 2e-5, "seed": seed, "role": "single"},
        **{"state": "finished", "diverged": 0, "collapsed": 0, "reason": "", "metric": "accuracy"},
        **{"dev:accuracy": 0.5, "dev:f1_macro": 0.4, "test:accuracy": value, "test:f1_macro": 0.1},
    }
    return {**found, **changed}


def arm(variant: str, values: Iterable[float], **changed: Any) -> list[Row]:
    """Cells at the seeds 1, 2, ..."""
    return [row(variant, seed, value, **changed) for seed, value in enumerate(values, start=1)]


def failed(variant: str, seed: int, **changed: Any) -> Row:
    """A cell that died of a loss that is no number, and left no metric and not even the metric's name."""
    gone = {"metric": None, "dev:accuracy": None, "dev:f1_macro": None, "test:f1_macro": None}
    return row(variant, seed, None, **{**gone, "state": "failed", "diverged": 1, "reason": "loss is nan", **changed})
