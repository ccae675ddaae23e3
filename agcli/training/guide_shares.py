"""Weights given as a share of the task's gradient norm, `next=share:0.05`: set once, and recorded. No torch."""

from __future__ import annotations

import gc
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from agcli.config import RunConfig
from agcli.errors import UsageError
from agcli.guides.spec import GuideSpec, guide_values, parse_guide
from agcli.runs.folder import RunFolder

if TYPE_CHECKING:
    from agcli.training.assemble import Assembly

RECORD = "guide_shares.json"
"""In a run folder: the weights that were set, beside the settings, which hold them as any other weight."""


@dataclass(frozen=True)
class SetShare:
    """A weight that was set from a share.

    Attributes:
        share: the guide's gradient norm over the task's, at the weight.
        task_norm: norm of the task's gradient on the first batch; `guide_norm`: of the guide's, at weight 1.
    """

    share: float
    weight: float
    task_norm: float
    guide_norm: float

    def line(self, name: str) -> str:
        """A line of log."""
        return (
            f"{name}=share:{self.share:g} is {name}={self.weight:g}: gradient norms on the first batch are "
            f"{self.task_norm:.3g} of the task and {self.guide_norm:.3g} of the guide at weight 1"
        )


def shares_of(config: RunConfig) -> dict[str, GuideSpec]:
    """The guides whose weight is still a share."""
    return {name: spec for name, spec in config.guides.specs.items() if spec.of_task}


def with_weights(config: RunConfig, weights: Mapping[str, float]) -> RunConfig:
    """The settings with these weights in the place of shares."""
    specs = [
        replace(spec, weight=weights[spec.name], of_task=False) if spec.name in weights else spec
        for spec in map(parse_guide, config.guides.guide or ())
    ]
    return replace(config, guides=replace(config.guides, **guide_values(specs)))


def with_recorded_weights(config: RunConfig, folder: RunFolder) -> RunConfig:
    """The settings with the weights that an earlier start of this run set from the same shares."""
    shares = shares_of(config)
    if not shares or not (folder.path / RECORD).is_file():
        return config
    record: Mapping[str, Any] = folder.read_json(RECORD)
    same = {name: spec for name, spec in shares.items() if record.get(name, {}).get("share") == spec.weight}
    return with_weights(config, {name: record[name]["weight"] for name in same})


def set_weights(parts: Assembly) -> tuple[Assembly, dict[str, SetShare]]:
    """A run with weights in the place of shares, on the same data; `parts` are spent.

    The first batch goes through an engine that is thrown away, so that the run is the one that its saved settings give.

    Raises:
        UsageError: the gradient of the task or of a guide is 0 or not finite.
    """
    config = parts.config
    trial = parts.with_config(replace(config, model=replace(config.model, compile=False)))
    norms = trial.engine.first_gradient_norms()
    shares = {name: _set(spec, norms["task"], norms[name]) for name, spec in shares_of(config).items()}
    run = trial.with_config(with_weights(config, {name: share.weight for name, share in shares.items()}))
    del trial
    gc.collect()
    return run, shares


def _set(spec: GuideSpec, task_norm: float, guide_norm: float) -> SetShare:
    for whose, norm in (("task", task_norm), ("guide", guide_norm)):
        if not 0 < norm < math.inf:
            raise UsageError(
                f"--guide {spec}: the norm of the {whose}'s gradient on the first batch is {norm:g}, so no weight "
                "gives that share.",
                hint=f"write a weight: --guide {spec.name}={spec.entry.weight:g}",
            )
    weight = float(f"{spec.weight * task_norm / guide_norm:.6g}")
    if not 0 < weight < math.inf:
        raise UsageError(f"--guide {spec}: the weight of that share is {weight:g}, which is no weight.")
    return SetShare(spec.weight, weight, task_norm, guide_norm)
