"""The description of a guide in the registry, and of its options; no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

Reduction = Literal["mean", "sum"]


@dataclass(frozen=True)
class GuideOption:
    """An option of a guide, and a keyword argument of the guide's class.

    Of a guide with a flag of its own it is a run option of this name; of others it is written behind the weight, as in
    `--guide next=0.05,form=squared`.

    Attributes:
        released: the only value that `--guide-mode released` allows, and its default there; None: no such rule.
        limits: keyword arguments of `agcli.options.Option`, such as `above`, `minimum`, `choices`.
        without_knowledge: the value with which the guide needs no knowledge of the data, where there is one.
    """

    name: str
    default: Any
    help: str
    released: Any = None
    limits: Mapping[str, Any] | None = None
    without_knowledge: Any = None

    def default_in(self, mode: str) -> Any:
        """The default under a value of `--guide-mode`."""
        return self.released if mode == "released" and self.released is not None else self.default


@dataclass(frozen=True)
class GuideEntry:
    """A guide, described without importing it.

    Attributes:
        name: in `--guide NAME=WEIGHT`, of the column in every CSV file, and of the variant.
        title: the abbreviation in tables and figures.
        symbol: of the weight in the loss.
        weight: default weight in a variant that has the guide.
        by_default: whether a run has the guide unless it is turned off.
        has_flag: whether the weight is also a run option `--NAME`, and `--NAME-grid` one of `ag ablate`.
        takes_heads: whether it guides the next free heads of every layer, one unless more are asked for; else all.
        knowledge: what `ag prepare --knowledge` must have made for it.
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
    by_default: bool = False
    has_flag: bool = False
    takes_heads: bool = False
    knowledge: str | None = None
    options: tuple[GuideOption, ...] = ()

    def knowledge_with(self, options: Mapping[str, Any]) -> str | None:
        """What `ag prepare --knowledge` must have made for the guide with these values of its own options."""
        does_without = any(
            own.without_knowledge is not None and options.get(own.name) == own.without_knowledge for own in self.options
        )
        return None if does_without else self.knowledge

    def load(self) -> type[Any]:
        """The guide's class."""
        module, _, name = self.target.partition(":")
        loaded: type[Any] = getattr(import_module(module), name)
        return loaded
