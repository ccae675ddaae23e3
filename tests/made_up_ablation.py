"""Rows of sweeps that nobody ran: what pictures of an ablation are tested on."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

SEEDS = (1, 2, 3, 4, 5)


def cell(variant: str = "none", seed: int = 1, figure: float | None = 0.62, **changes: Any) -> dict[str, Any]:
    """A row of results.csv whose dev metric is a point above its test metric; without a figure it failed."""
    metric = changes.pop("metric", "accuracy")
    found: dict[str, Any] = {
        "cell": f"{variant}{seed}",
        "model": "minilm",
        "dataset": "mnli_20k",
        "variant": variant,
        "mdg": 0.01 if variant in ("mdg", "both") else 0.0,
        "pdg": 0.001 if variant in ("pdg", "both") else 0.0,
        "guide_mode": "received",
        "layers": "all",
        "size": 4000,
        "learning_rate": 5e-5,
        "seed": seed,
        "role": "single",
        "state": "failed" if figure is None else "finished",
        "diverged": 0,
        "reason": "the loss is nan" if figure is None else "",
        "metric": "" if figure is None else metric,
        f"dev:{metric}": None if figure is None else figure + 0.01,
        f"test:{metric}": figure,
    }
    return found | changes


def over_layers(layers: Sequence[int] = range(6), seeds: Sequence[int] = SEEDS) -> list[dict[str, Any]]:
    """Three variants guided one layer at a time, and the unguided model."""
    spread = random.Random(0)
    return [cell("none", seed, spread.gauss(0.62, 0.003)) for seed in seeds] + [
        cell(variant, seed, spread.gauss(0.622 + 0.0012 * layer, 0.004), layers=str(layer))
        for variant in ("mdg", "pdg", "both")
        for layer in layers
        for seed in seeds
    ]


def over_sizes(
    sizes: Sequence[float] = (0.2, 0.4, 0.6, 0.8, 1.0), seeds: Sequence[int] = SEEDS
) -> list[dict[str, Any]]:
    """All variants at several sizes; the larger, the better and the steadier."""
    spread = random.Random(1)
    return [
        cell(variant, seed, spread.gauss(0.55 + 0.1 * place / len(sizes) + gain, 0.009 / (place + 1)), size=size)
        for place, size in enumerate(sizes)
        for variant, gain in (("none", 0.0), ("mdg", 0.006), ("pdg", 0.002), ("both", 0.004))
        for seed in seeds
    ]


def over_weights(
    grid: Sequence[float] = (0.0001, 0.001, 0.01, 0.1), seeds: Sequence[int] = (101, 102, 103)
) -> list[dict[str, Any]]:
    """Cells that choose: every pair of weights, and the unguided model at as many learning rates."""
    spread = random.Random(2)
    shared = {"role": "select", "test:accuracy": None}
    pairs = [(alpha, beta) for alpha in (0.0, *grid) for beta in (0.0, *grid)][1:]
    return [
        cell("none", seed, spread.gauss(0.61, 0.004), learning_rate=rate, **shared)
        for rate in (1.25e-5, 2.5e-5, 5e-5, 1e-4)
        for seed in seeds
    ] + [
        cell(
            "both" if alpha and beta else "mdg" if alpha else "pdg",
            seed,
            spread.gauss(0.615 - (beta > 0.01) * 0.02, 0.004),
            mdg=alpha,
            pdg=beta,
            **shared,
        )
        for alpha, beta in pairs
        for seed in seeds
    ]


def contrast(variant: str = "both", difference: float | None = 0.004, **changes: Any) -> dict[str, Any]:
    """A saved contrast of five seeds: plus 0.4 points, give or take one."""
    known = difference is not None
    found: dict[str, Any] = {
        "model": "minilm",
        "dataset": "mnli_20k",
        "variant": variant,
        "metric": "",
        "size": 4000,
        "layers": "all",
        "difference": difference,
        "low": difference - 0.01 if difference is not None else None,
        "high": difference + 0.01 if difference is not None else None,
        "t_p": 0.321 if known else None,
        "holm_p": 0.654 if known else None,
        "stars": "",
        "n": 5 if known else 0,
    }
    return found | changes
