"""`sweep.json`: what a sweep was asked, as it is read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agcli.errors import DataError
from agcli.runs.folder import RunFolder

PLAN = "sweep.json"


def read_plan(folder: Path) -> dict[str, Any] | None:
    """The plan of the sweep in a folder: `threads`, `recipe`, `grids`; None where there is no sweep.

    Raises:
        DataError: it is damaged.
    """
    if not (folder / PLAN).is_file():
        return None
    plan = RunFolder(folder).read_json(PLAN)
    recipe = plan.get("recipe")
    whole = type(plan.get("threads")) is int and isinstance(plan.get("grids"), list)
    if not whole or not (recipe is None or (isinstance(recipe, dict) and {"name", "scale", "title"} <= recipe.keys())):
        raise DataError("not the plan of a sweep: it lacks threads, recipe or grids", file=folder / PLAN)
    return plan
