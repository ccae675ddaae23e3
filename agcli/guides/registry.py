"""The list of guides, from which options, run names, variants, columns, colours and tables derive; no torch.

A new guide is a file in this folder, an entry here, and a test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

Reduction = Literal["mean", "sum"]
Needs = Literal["received", "maps", "tokens", "knowledge"]
"""What a guide is computed from: received attention (Eq. 8), whole attention maps, token ids, or outside knowledge."""


@dataclass(frozen=True)
class GuideOption:
    """An option of one guide: a run option of this name, and a keyword argument of the guide's class.

    Attributes:
        released: the only value that `--guide-mode released` allows, and its default there; None: no such rule.
        limits: keyword arguments of `agcli.options.Option`, such as `above`, `minimum`, `choices`.
    """

    name: str
    default: Any
    help: str
    released: Any = None
    limits: Mapping[str, Any] | None = None

    def default_in(self, mode: str) -> Any:
        """The default under a value of `--guide-mode`."""
        return self.released if mode == "released" and self.released is not None else self.default


@dataclass(frozen=True)
class GuideEntry:
    """A guide, described without importing it.

    Attributes:
        name: of the run option (`--mdg`), of the column in every CSV file, and of the variant.
        title: the abbreviation in tables and figures.
        symbol: of the weight in the loss.
        weight: default weight in a variant that has the guide.
        by_default: whether a run has the guide unless it is turned off.
        colour: in figures, as `#RRGGBB`; `marker`: matplotlib's, likewise.
        target: `module:class`, imported on first use.
    """

    name: str
    title: str
    symbol: str
    help: str
    weight: float
    colour: str
    marker: str
    target: str
    needs: Needs = "received"
    by_default: bool = False
    options: tuple[GuideOption, ...] = ()

    def load(self) -> type[Any]:
        """The guide's class."""
        module, _, name = self.target.partition(":")
        loaded: type[Any] = getattr(import_module(module), name)
        return loaded


GUIDES: dict[str, GuideEntry] = {}
"""Name -> guide, in the order in which they are shown and added up."""


_COMBINED: dict[str, tuple[str, ...]] = {"none": (), "both": ("mdg", "pdg")}
"""The variants that are not one guide alone; `both` is the paper's AG."""


def register(entry: GuideEntry) -> None:
    """Add a guide; must happen before `agcli.options` is imported.

    Raises:
        ValueError: the name is taken, by a guide or by a word for a variant.
    """
    if entry.name in GUIDES or entry.name in _COMBINED:
        raise ValueError(f"there is a guide or variant {entry.name!r} already")
    GUIDES[entry.name] = entry


register(
    GuideEntry(
        name="mdg",
        title="MDG",
        symbol="α",
        help="Weight of map discrimination guiding (α); 0 turns it off.",
        weight=0.01,
        by_default=True,
        colour="#E69F00",
        marker="s",
        target="agcli.guides.mdg:MDG",
        options=(
            GuideOption("temperature", 1.0, "MDG's temperature τ; default: 1 (released: 2).", 2.0, {"above": 0.0}),
        ),
    )
)
register(
    GuideEntry(
        name="pdg",
        title="PDG",
        symbol="β",
        help="Weight of pattern decorrelation guiding (β); 0 turns it off.",
        weight=0.001,
        by_default=True,
        colour="#56B4E9",
        marker="^",
        target="agcli.guides.pdg:PDG",
    )
)

_LOOKS = {"none": ("#777777", "o"), "both": ("#0072B2", "D")}
"""Colours and markers of the combined variants."""

PAPER_VARIANTS = ("none", "mdg", "pdg", "both")
"""What Wang et al. 2022 compare: without guides, with one, with both."""


def variants() -> dict[str, tuple[str, ...]]:
    """Variant -> its guides: the paper's variants, then every further guide alone."""
    return {name: _COMBINED.get(name, (name,)) for name in dict.fromkeys((*PAPER_VARIANTS, *GUIDES))}


def variant_weights(variant: str) -> dict[str, float]:
    """The weight of every guide in a variant: the guide's default, or 0 where the variant does not have it."""
    chosen = variants()[variant]
    return {name: entry.weight if name in chosen else 0.0 for name, entry in GUIDES.items()}


def variant_title(variant: str) -> str:
    """`no guide`, `MDG`, `MDG + PDG`."""
    return " + ".join(GUIDES[name].title for name in variants()[variant]) or "no guide"


def variant_colour(variant: str) -> str | None:
    """A variant's colour in figures, or None."""
    return GUIDES[variant].colour if variant in GUIDES else _LOOKS.get(variant, (None, None))[0]


def variant_marker(variant: str) -> str | None:
    """A variant's marker in figures, or None."""
    return GUIDES[variant].marker if variant in GUIDES else _LOOKS.get(variant, (None, None))[1]


def weights_text(weights: Mapping[str, float], form: Literal["name", "symbol"] = "name") -> tuple[str, ...]:
    """`mdg=0.01` (`α = 0.01`) for each guide whose weight is not 0: how guides read in commands, files and tables."""
    present = {name: weight for name, weight in weights.items() if weight}
    if form == "name":
        return tuple(f"{name}={weight:g}" for name, weight in present.items())
    return tuple(f"{GUIDES[name].symbol} = {weight:g}" for name, weight in present.items())
