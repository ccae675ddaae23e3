"""What the user gave beside a recipe, as a line below the paper's table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agcli.declare import flag
from agcli.guides.registry import COMBINED, GUIDES
from agcli.options import OPTIONS
from agcli.paper.recipes import SMALL, guides_of, own_options, own_variants, weights_tried

_OF_THE_GRID = ("model", "dataset", "guide", *COMBINED["both"], "seed", "guide_layers", "train_fraction")
"""Options that a recipe's grid sets, whatever else is given."""


def given_beside(name: str, scale: str, grids: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A line on the run options that the user gave beside a recipe, which win over its own.

    Args:
        grids: the saved plan's, each with `models`, the weights of each guide, and `options`.
    """
    given: dict[str, Any] = {}
    for grid in grids:
        names = grid.get("variants", own_variants(name))
        if list(names) != own_variants(name):
            given["variants"] = ",".join(names)
        given |= _weights(weights_tried(name, scale, names), grid)
        if texts := [text for text in grid.get("guide", ()) if text not in guides_of(name, names)]:
            given["guide"] = " --guide ".join(texts)
        own = own_options(scale, grid["models"])
        for option, value in grid["options"].items():
            shapes = option in OPTIONS and OPTIONS[option].spec.shapes_result and option not in _OF_THE_GRID
            limited = option == "train_limit" and scale == "small" and int(value) <= SMALL["examples"]
            if shapes and not limited and own.get(option) != value:
                given[option] = value
    if given:
        yield f"Given beside the recipe: {', '.join(f'{flag(option)} {value}' for option, value in given.items())}."


def _weights(own: Mapping[str, Sequence[Any]], grid: Mapping[str, Any]) -> dict[str, str]:
    """Option -> the weights of a guide, or of all, where they are not the recipe's own."""
    changed = {guide: ",".join(map(str, grid[guide])) for guide, tried in own.items() if tuple(grid[guide]) != tried}
    if len(changed) == len(own) and len({*changed.values()}) == 1:
        return {"guide_grid all": next(iter(changed.values()))}
    return {guide if GUIDES[guide].has_flag else f"guide_grid {guide}": tried for guide, tried in changed.items()}
