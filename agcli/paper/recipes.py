"""The paper's tables and figures as sweeps: what is run, with which settings, and what is not as in the paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from agcli.errors import UsageError, did_you_mean
from agcli.paper import tables
from agcli.paper.names import row_name
from agcli.paper.notes import notes
from agcli.paper.settings import (
    SMALL_BATCH,
    SMALL_EXAMPLES,
    SMALL_LENGTH,
    SMALL_MODEL,
    SMALL_OPTIONS,
    paper_options,
    paper_timing,
    timing_options,
    weights_tried,
)

RECIPES = ("table1", "table2", "table3", "table4", "figure3", "figure6")
SCALES = ("full", "small")
SEEDS = 10
"""Twice what a claim takes at least, so that a seed may be lost."""

_TITLES = {
    "table1": "The paper's Table 1: pre-trained encoders with and without attention guiding",
    "table2": "The paper's Table 2: ways of guiding BERT",
    "table3": "The paper's Table 3: ablation of the guides, on the best encoder of each data set",
    "table4": "The paper's Table 4: seconds of a training epoch",
    "figure3": "The paper's Figure 3: BERT guided at one layer",
    "figure6": "The paper's Figure 6: BERT with shares of the training data",
}
_VARIANTS = {
    "table1": ("none", "both"),
    "table2": ("none", "mdg", "pdg", "both"),
    "table3": ("none", "mdg", "pdg", "both"),
    "table4": ("none", "both"),
    "figure3": ("none", "mdg", "pdg", "both"),
    "figure6": ("none", "mdg", "pdg"),
}
_SHARES = (0.2, 0.4, 0.6, 0.8, 1.0)
_BEST = (("roberta", "multinli"), ("bluebert", "mednli"), ("biobert", "cross-genre-ir"))
"""The best encoder of each data set (section 4.1)."""


@dataclass(frozen=True)
class Part:
    """Models and data sets every pair of which runs with the same settings: one grid.

    Attributes:
        models: encoders.
        datasets: prepared data.
        sizes: shares (up to 1.0) or numbers of training examples; empty: what `options` say.
        options: the run options that all its runs share; of Table 4 those of `ag timing`.
    """

    models: tuple[str, ...]
    datasets: tuple[str, ...]
    sizes: tuple[float | int, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """One table or figure of the paper as a sweep.

    Attributes:
        name: `table1` to `table4`, `figure3` or `figure6`.
        scale: `full`, or `small` for what is at hand.
        title: what it shows.
        parts: what runs.
        variants: which guides are on.
        mdg: weights of MDG that are tried.
        pdg: weights of PDG that are tried.
        each_layer: whether layers are guided one at a time.
        seeds: how many are reported; those that choose weights are others.
        timed: whether it is measured by `ag timing` and trains nothing to the end.
        notes: what is not as in the paper, and what the paper does not say; they belong in every output.
    """

    name: str
    scale: str
    title: str
    parts: tuple[Part, ...]
    variants: tuple[str, ...]
    mdg: tuple[float, ...]
    pdg: tuple[float, ...]
    each_layer: bool
    seeds: int
    timed: bool
    notes: tuple[str, ...]

    @property
    def models(self) -> tuple[str, ...]:
        """All encoders, each once."""
        return tuple(dict.fromkeys(model for part in self.parts for model in part.models))

    @property
    def datasets(self) -> tuple[str, ...]:
        """All data sets, each once."""
        return tuple(dict.fromkeys(dataset for part in self.parts for dataset in part.datasets))

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """(model, data set) of all that runs."""
        return tuple((model, dataset) for part in self.parts for model in part.models for dataset in part.datasets)

    @property
    def searches(self) -> bool:
        """Whether weights are tried against each other."""
        return len(self.mdg) > 1 or len(self.pdg) > 1

    def narrowed(self, models: Sequence[str] = (), datasets: Sequence[str] = ()) -> Recipe:
        """The recipe with some of its models and data sets only; none named: all. At small scale any model will do.

        A model may be named by the hub id or the folder that a short name stands for; it runs as it is named.

        Raises:
            UsageError: one that the recipe has not.
        """
        if self.scale == "small" and models:
            return replace(self, parts=tuple(replace(part, models=tuple(models)) for part in self.parts))
        wanted = {row_name(each): each for each in models} or {each: each for each in self.models}
        for option, asked, known in (("--model", wanted, self.models), ("--dataset", datasets, self.datasets)):
            for name in asked:
                if name not in known:
                    raise UsageError(
                        f"{option}: the recipe {self.name} has no {name!r}.{did_you_mean(name, known)} "
                        f"It has {', '.join(known)}.",
                        hint="--scale small runs it on other data",
                    )
        kept = (
            replace(
                part,
                models=tuple(wanted[each] for each in part.models if each in wanted),
                datasets=tuple(each for each in part.datasets if each in (datasets or self.datasets)),
            )
            for part in self.parts
        )
        parts = tuple(part for part in kept if part.models and part.datasets)
        if not parts:
            pairs = "; ".join(f"{model} on {dataset}" for model, dataset in self.pairs)
            raise UsageError(f"The recipe {self.name} pairs no such model with such data. It has {pairs}.")
        return replace(self, parts=parts)


def recipe(name: str, scale: str = "full", at_hand: Mapping[str, int] = MappingProxyType({})) -> Recipe:
    """The sweep behind a table or figure of the paper.

    Args:
        name: one of `RECIPES`.
        scale: `full`: the paper's encoders, data and settings. `small`: a small encoder on the data at hand.
        at_hand: for `small`, the prepared data to use -> its training examples (of Table 4: any number).

    Raises:
        UsageError: no such recipe or scale, or nothing at hand.
    """
    for option, word, allowed in (("--recipe", name, RECIPES), ("--scale", scale, SCALES)):
        if word not in allowed:
            raise UsageError(f"{option}: {word!r} is none of {', '.join(allowed)}.{did_you_mean(word, allowed)}")
    if scale == "small" and not at_hand:
        raise UsageError(
            "--scale small runs on the data at hand, and none is named.",
            hint="--dataset NAME of prepared data; `sample` is always there",
        )
    mdg, pdg = weights_tried(name, scale)
    return Recipe(
        name=name,
        scale=scale,
        title=_TITLES[name],
        parts=_full_parts(name) if scale == "full" else _small_parts(name, at_hand),
        variants=_VARIANTS[name],
        mdg=mdg,
        pdg=pdg,
        each_layer=name == "figure3",
        seeds=SEEDS,
        timed=name == "table4",
        notes=tuple(notes(name, scale)),
    )


def _full_parts(name: str) -> tuple[Part, ...]:
    """The paper's encoders and data."""
    paper = tables()
    datasets = tuple(paper["datasets"])
    encoders = tuple(row.lower() for row in paper["table1"] if not row.endswith("+AG"))
    if name == "table2":
        encoders = ("bert",)
    if name == "table3":
        return tuple(Part((model,), (dataset,), options=paper_options("batch_size")) for model, dataset in _BEST)
    if name in ("figure3", "figure6"):
        sizes = _SHARES if name == "figure6" else ()
        return (Part(("bert",), ("mednli",), sizes=sizes, options=paper_options("batch_size")),)
    if name == "table4":
        datasets = tuple(dataset for dataset in datasets if dataset != "cross-genre-ir")  # timing reads no rankings
    others = tuple(model for model in encoders if model != "albert")
    options = paper_timing if name == "table4" else paper_options
    parts = (Part(others, datasets, options=options("batch_size")),)
    albert = Part(("albert",), datasets, options=options("batch_size_albert"))
    return (*parts, albert) if "albert" in encoders else parts


def _small_parts(name: str, at_hand: Mapping[str, int]) -> tuple[Part, ...]:
    """A part for each data set, since each has its own number of examples."""
    if name == "table4":
        return (Part((SMALL_MODEL,), tuple(at_hand), options=timing_options(SMALL_LENGTH, SMALL_BATCH)),)
    return tuple(_small_part(name, dataset, min(SMALL_EXAMPLES, count)) for dataset, count in at_hand.items())


def _small_part(name: str, dataset: str, count: int) -> Part:
    if name == "figure6":
        sizes = dict.fromkeys(max(1, round(share * count)) for share in _SHARES)
        return Part((SMALL_MODEL,), (dataset,), sizes=tuple(sizes), options=dict(SMALL_OPTIONS))
    return Part((SMALL_MODEL,), (dataset,), options={**SMALL_OPTIONS, "train_limit": count})
