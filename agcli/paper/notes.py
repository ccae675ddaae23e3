"""What must be said of a recipe: what is not as in the paper, what the paper does not say, what the user changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agcli.options import OPTIONS, flag
from agcli.paper.names import row_name
from agcli.paper.settings import (
    FIXED,
    SMALL_BATCH,
    SMALL_EPOCHS,
    SMALL_EXAMPLES,
    SMALL_LENGTH,
    SMALL_MODEL,
    SMALL_OPTIONS,
    paper_options,
    weights_tried,
)

_DECIDED = ("model", "dataset", "mdg", "pdg", "seed", "guide_layers", "train_fraction")
"""Options that a recipe's grid decides, whatever else is given."""


def notes(name: str, scale: str) -> list[str]:
    """What belongs under every output of a recipe."""
    small = scale == "small"
    if name == "table4":
        return [*([_SMALL_TIMING] if small else _FULL_TIMING), _WHAT_AN_EPOCH_IS]
    weights = _SMALL_WEIGHTS if small else _LAYER_WEIGHTS if name == "figure3" else _WEIGHTS
    return [*([_SMALL] if small else _FULL), weights, *_OF_ONE.get(name, ())]


def given_beside(recipe: str, scale: str, grids: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A line on the run options that the user gave beside a recipe, which win over its own; none, where none were.

    Args:
        recipe: its name.
        scale: its scale.
        grids: the saved plan's, each with `models`, `mdg`, `pdg` and `options`.
    """
    given: dict[str, Any] = {}
    for grid in grids:
        for guide, tried in zip(("mdg", "pdg"), weights_tried(recipe, scale), strict=True):
            if tuple(grid[guide]) != tried:
                given[guide] = ",".join(map(str, grid[guide]))
        own = SMALL_OPTIONS if scale == "small" else _paper_options(grid["models"])
        for name, value in grid["options"].items():
            shapes = name in OPTIONS and OPTIONS[name].spec.shapes_result and name not in _DECIDED
            as_said = name == "train_limit" and scale == "small" and int(value) <= SMALL_EXAMPLES
            if shapes and not as_said and own.get(name) != value:
                given[name] = value
    if given:
        yield f"Given beside the recipe: {', '.join(f'{flag(name)} {value}' for name, value in given.items())}."


def _paper_options(models: Sequence[str]) -> dict[str, Any]:
    return paper_options("batch_size_albert" if [row_name(each) for each in models] == ["albert"] else "batch_size")


_SMALL = (
    f"Small scale: the data at hand, at most {SMALL_EXAMPLES:,} training examples; where no option was given "
    f"{SMALL_MODEL}, {SMALL_EPOCHS} epochs, batches of {SMALL_BATCH}, {SMALL_LENGTH} tokens, the tool's default "
    "optimiser and learning rate. Neither encoder, data nor settings are the paper's: its numbers stand beside for "
    "orientation, not as a target."
)
_SMALL_WEIGHTS = f"Weights that are not given are fixed (α {FIXED[0][0]}, β {FIXED[1][0]}), not searched."
_FULL = (
    "Settings are, where no option was given, those of the paper's section 3.3: Adam, learning rate 1e-5, 256 tokens, "
    "batches of 64 (ALBERT 56), 5 epochs (MedNLI 20), τ = 1. It names no warm-up, weight decay, clipping or precision: "
    "here none of the first three, and the precision that the hardware suggests.",
    "Guides are means over maps and over 256 columns, as in the authors' released code, with which the weights were "
    "presumably searched; Equations 11 and 12 are sums (--reduction sum).",
    "The best epoch is chosen on dev; how the paper chose, it does not say. MultiNLI's matched development set is "
    "the test set and dev is cut from train: the labels of its real test set are not public.",
)
_WEIGHTS = (
    "The paper chose α and β from {0.1, 0.01, 0.001, 0.0001} by grid search and names neither the weights nor the "
    "data it chose them on. Here, where none are given, the whole grid is tried: weights are chosen on dev, reported "
    "on test with other seeds, and the unguided baseline has as many trials, over its learning rate."
)
_LAYER_WEIGHTS = (
    f"Which weights the figure was drawn with, the paper does not say: here, where none are given, α "
    f"{FIXED[0][0]} and β {FIXED[1][0]} at every layer, not searched."
)
_OF_ONE = {
    "table2": (
        "Of the guides that the table compares only AG (MDG + PDG) is built here; the rows in brackets are the paper's "
        "alone. MDG and PDG on their own, which the paper's table has not, are rows of their own.",
    ),
    "table3": (
        "Default is both guides, w/o-MDG is PDG alone, w/o-PDG is MDG alone. Whether the paper chose weights anew for "
        "the latter two, it does not say.",
    ),
    "figure3": (
        "Layers count from 0 here; from where the paper counts, it does not say. Of the figure only the numbers in its "
        "text (section 4.2) are known.",
    ),
    "figure6": (
        "Subsets are nested and drawn anew for each seed. Of the figure only the numbers in its text (section 4.3, at "
        "20 %) are known; it names MDG and PDG, so both together are left out.",
    ),
}
_FULL_TIMING = (
    "Measured by `ag timing` on the training pairs with the paper's batches (64, ALBERT 56), every pair padded to "
    "256 tokens; an epoch is projected from measured steps unless --epochs is given.",
    "Cross-genre-IR is not timed, since `ag timing` reads no rankings; at 256 tokens a pair costs what it costs on "
    "MultiNLI.",
)
_SMALL_TIMING = (
    f"Small scale: {SMALL_MODEL} on the data at hand, batches of {SMALL_BATCH}, every pair padded to {SMALL_LENGTH} "
    "tokens. Neither encoder, data, length nor hardware are the paper's; compare the share that guiding adds, not "
    "seconds."
)
_WHAT_AN_EPOCH_IS = (
    "The paper's seconds were presumably taken on a GeForce RTX 3090; what an epoch includes, it does not say. Here "
    "training steps only, without loading, evaluation and saving."
)
