"""The paper's tables and figures as sweeps: what is run, with which settings, and what is not as in the paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from agcli.errors import UsageError, did_you_mean
from agcli.paper import tables

RECIPES = ("table1", "table2", "table3", "table4", "figure3", "figure6")
SCALES = ("full", "small")
SEEDS = 10
"""Twice what a claim takes at least, so that a seed may be lost."""
SMALL_MODEL = "minilm"
SMALL_EXAMPLES = 2000
SMALL_EPOCHS = 2
SMALL_BATCH = 32
SMALL_LENGTH = 128
FIXED = ((0.01,), (0.001,))
"""α and β where none are searched: the defaults of a run, at which guiding is a few per cent of the gradient."""

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
        """The recipe with some of its models and data sets only; none named: all.

        Raises:
            UsageError: one that the recipe has not.
        """
        for option, asked, known in (("--model", models, self.models), ("--dataset", datasets, self.datasets)):
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
                models=tuple(each for each in part.models if each in (models or self.models)),
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
    timed, search = name == "table4", scale == "full" and name in ("table1", "table2", "table3", "figure6")
    grid = tuple(tables()["hyperparameters"]["grid"])
    return Recipe(
        name=name,
        scale=scale,
        title=_TITLES[name],
        parts=_full_parts(name) if scale == "full" else _small_parts(name, at_hand),
        variants=_VARIANTS[name],
        mdg=grid if search else FIXED[0],
        pdg=grid if search else FIXED[1],
        each_layer=name == "figure3",
        seeds=SEEDS,
        timed=timed,
        notes=tuple(_notes(name, scale)),
    )


def _full_parts(name: str) -> tuple[Part, ...]:
    """The paper's encoders and data."""
    paper = tables()
    datasets = tuple(paper["datasets"])
    encoders = tuple(row.lower() for row in paper["table1"] if not row.endswith("+AG"))
    if name == "table2":
        encoders = ("bert",)
    if name == "table3":
        return tuple(Part((model,), (dataset,), options=_settings("batch_size")) for model, dataset in _BEST)
    if name in ("figure3", "figure6"):
        sizes = _SHARES if name == "figure6" else ()
        return (Part(("bert",), ("mednli",), sizes=sizes, options=_settings("batch_size")),)
    if name == "table4":
        datasets = tuple(dataset for dataset in datasets if dataset != "cross-genre-ir")  # timing reads no rankings
    others = tuple(model for model in encoders if model != "albert")
    parts = (Part(others, datasets, options=_settings("batch_size", timed=name == "table4")),)
    if "albert" not in encoders:
        return parts
    return (*parts, Part(("albert",), datasets, options=_settings("batch_size_albert", timed=name == "table4")))


def _settings(batch_size: str, *, timed: bool = False) -> dict[str, Any]:
    """Options of section 3.3.

    Rate and batch size are spelt out although `recipe=paper` implies them: a search spaces rates around the former.
    """
    paper = tables()["hyperparameters"]
    if timed:
        return _timing(paper["max_length"], paper[batch_size])
    return {"recipe": "paper", "learning_rate": paper["learning_rate"], "batch_size": paper[batch_size]}


def _small_parts(name: str, at_hand: Mapping[str, int]) -> tuple[Part, ...]:
    """A part for each data set, since each has its own number of examples."""
    if name == "table4":
        return (Part((SMALL_MODEL,), tuple(at_hand), options=_timing(SMALL_LENGTH, SMALL_BATCH)),)
    return tuple(_small_part(name, dataset, min(SMALL_EXAMPLES, count)) for dataset, count in at_hand.items())


def _small_part(name: str, dataset: str, count: int) -> Part:
    options = {"epochs": SMALL_EPOCHS, "max_length": SMALL_LENGTH, "batch_size": SMALL_BATCH}
    if name == "figure6":
        sizes = dict.fromkeys(max(1, round(share * count)) for share in _SHARES)
        return Part((SMALL_MODEL,), (dataset,), sizes=tuple(sizes), options=options)
    return Part((SMALL_MODEL,), (dataset,), options={**options, "train_limit": count})


def _timing(length: int, batch_size: int) -> dict[str, Any]:
    """Options of `ag timing` under which every pair is as long as the paper's."""
    return {"lengths": (length,), "padding": "max", "batch_size": batch_size}


def _notes(name: str, scale: str) -> list[str]:
    """What belongs under every output."""
    small = scale == "small"
    if name == "table4":
        notes = [_SMALL_TIMING] if small else list(_FULL_TIMING)
        return [*notes, _WHAT_AN_EPOCH_IS]
    notes = [_SMALL] if small else list(_FULL)
    notes += [_SMALL_WEIGHTS] if small else [_LAYER_WEIGHTS if name == "figure3" else _WEIGHTS]
    return [*notes, *_OF_ONE.get(name, ())]


_SMALL = (
    f"Small scale: {SMALL_MODEL} on the data at hand, at most {SMALL_EXAMPLES:,} training examples, {SMALL_EPOCHS} "
    f"epochs, batches of {SMALL_BATCH}, {SMALL_LENGTH} tokens, the tool's default optimiser and learning rate. "
    "Neither encoder, data nor settings are the paper's: its numbers stand beside for orientation, not as a target."
)
_SMALL_WEIGHTS = f"Weights are fixed (α {FIXED[0][0]}, β {FIXED[1][0]}), not searched: one trial for every variant."
_FULL = (
    "Settings are those of the paper's section 3.3: Adam, learning rate 1e-5, 256 tokens, batches of 64 (ALBERT 56), "
    "5 epochs (MedNLI 20), τ = 1. It names no warm-up, weight decay, clipping or precision: here none of the first "
    "three, and the precision that the hardware suggests.",
    "Guides are means over maps and over 256 columns, as in the authors' released code, with which the weights were "
    "presumably searched; Equations 11 and 12 are sums (--set reduction=sum).",
    "The best epoch is chosen on dev; how the paper chose, it does not say. MultiNLI's matched development set is "
    "the test set and dev is cut from train: the labels of its real test set are not public.",
)
_WEIGHTS = (
    "The paper chose α and β from {0.1, 0.01, 0.001, 0.0001} by grid search and names neither the weights nor the "
    "data it chose them on. Here the whole grid is tried: weights are chosen on dev, reported on test with other "
    "seeds, and the unguided baseline has as many trials, over its learning rate."
)
_LAYER_WEIGHTS = (
    f"Which weights the figure was drawn with, the paper does not say: here α {FIXED[0][0]} and β {FIXED[1][0]} at "
    "every layer, not searched."
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
