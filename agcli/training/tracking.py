"""What each tracker calls project, run and group."""

from __future__ import annotations

from typing import Any

from agcli.options import OutputOptions

TENSORBOARD_FOLDER = "tracking"
"""In the run folder; tensorboard tells runs apart by their paths."""


def tracker_settings(options: OutputOptions, run: str) -> tuple[str, dict[str, Any]]:
    """The project that Accelerate hands to a tracker, and the tracker's further settings.

    Args:
        options: with a tracker.
        run: name of the run folder.
    """
    name, group = options.track_name or run, options.track_group
    match options.track:
        case "tensorboard":
            return TENSORBOARD_FOLDER, {}
        case "mlflow":
            return options.track_project, {"run_name": name, **({"tags": {"group": group}} if group else {})}
        case _:  # wandb.init and trackio.init
            return options.track_project, {"name": name, **({"group": group} if group else {})}
