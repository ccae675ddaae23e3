"""The paper's tables and figures as sweeps: runs, settings, and notes on what differs from the paper.

The recipes and the text of their notes are in `recipes.json`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from agcli.errors import UsageError, did_you_mean
from agcli.guides.registry import COMBINED, GUIDES
from agcli.guides.spec import parse_guide
from agcli.guides.variants import Weight, guides_in
from agcli.paper.published import published_table, shipped, short_name

_DATA: dict[str, Any] = json.loads(Path(__file__).with_name("recipes.json").read_text(encoding="utf-8"))
RECIPES: tuple[str, ...] = tuple(_DATA["recipes"])
SCALES = ("full", "small")
SMALL: dict[str, Any] = _DATA["small"]
SEEDS = 10
"""Twice as many as a claim needs, so that a seed may be lost."""
_PAPER_GUIDES = COMBINED["both"]


@dataclass(frozen=True)
class Part:
    """Models and data sets every pair of which runs with the same settings: one grid.

    Attributes:
        sizes: shares (up to 1.0) or numbers of training examples; empty: as in `options`.
        options: run options; of Table 4 those of `ag timing`.
    """

    models: tuple[str, ...]
    datasets: tuple[str, ...]
    sizes: tuple[float | int, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """One table or figure of the paper as a sweep.

    Attributes:
        scale: `full`, or `small` for a small encoder on any data.
        weights: guide -> weights that are tried.
        guide: texts of guides with options, such as `next=0.01,share=0.5`.
        tied: whether the weights of guides that are on together move together.
        each_layer: whether layers are guided one at a time.
        seeds: how many are reported; those that choose weights are others.
        timed: whether it is measured by `ag timing` and trains nothing to the end.
        notes: differences from the paper, and what the paper leaves open; every output shows them.
    """

    name: str
    scale: str
    title: str
    parts: tuple[Part, ...]
    variants: tuple[str, ...]
    weights: Mapping[str, tuple[Weight, ...]]
    each_layer: bool
    seeds: int
    timed: bool
    notes: tuple[str, ...]
    guide: tuple[str, ...] = ()
    tied: bool = False

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
        guides = _guides_in(self.variants)
        return any(len(tried) > 1 for guide, tried in self.weights.items() if guide in guides)

    def with_variants(self, variants: Sequence[str]) -> Recipe:
        """The recipe with these variants in place of its own, each guide tried as those of the recipe are."""
        return replace(
            self,
            variants=tuple(variants),
            weights=weights_tried(self.name, self.scale, variants),
            guide=guides_of(self.name, variants),
        )

    def with_guides(
        self, texts: Sequence[str], weights: Mapping[str, tuple[Weight, ...]], others: tuple[Weight, ...] = ()
    ) -> Recipe:
        """The recipe with these guides and weights in place of its own, and `others` as weights of all other guides.

        Raises:
            UsageError: a guide that no variant has.
        """
        present = _guides_in(self.variants)
        given = {parse_guide(text).name: text for text in texts}
        for name in (*given, *weights):
            if name not in present and name not in _PAPER_GUIDES:
                raise UsageError(
                    f"The recipe {self.name} has no variant with {name}.",
                    hint=f"--variants {','.join([*self.variants, name])}",
                )
        own = {parse_guide(text).name: text for text in self.guide}
        return replace(
            self,
            guide=tuple((own | given).values()),
            weights={**(dict.fromkeys(self.weights, others) if others else self.weights), **weights},
            tied=self.tied and not guides_in(self.variants, sums_only=True).keys() & weights.keys(),
        )

    def narrowed(self, models: Sequence[str] = (), datasets: Sequence[str] = ()) -> Recipe:
        """The recipe with some of its models and data sets only; none named: all. At small scale any model is allowed.

        A model may be named by short name, hub id or folder; it runs under that name.

        Raises:
            UsageError: one that the recipe has not.
        """
        if self.scale == "small" and models:
            return replace(self, parts=tuple(replace(part, models=tuple(models)) for part in self.parts))
        wanted = {short_name(model): model for model in models} or {model: model for model in self.models}
        for option, names, known in (("--model", wanted, self.models), ("--dataset", datasets, self.datasets)):
            for name in names:
                if name not in known:
                    raise UsageError(
                        f"{option}: the recipe {self.name} has no {name!r}.{did_you_mean(name, known)} "
                        f"It has {', '.join(known)}.",
                        hint="--scale small runs it on other data",
                    )
        parts = []
        for part in self.parts:
            kept = tuple(wanted[model] for model in part.models if model in wanted)
            kept_data = tuple(name for name in part.datasets if name in (datasets or self.datasets))
            if kept and kept_data:
                parts.append(replace(part, models=kept, datasets=kept_data))
        if not parts:
            pairs = "; ".join(f"{model} on {dataset}" for model, dataset in self.pairs)
            raise UsageError(f"The recipe {self.name} pairs no such model with such data. It has {pairs}.")
        return replace(self, parts=tuple(parts))


def recipe(name: str, scale: str = "full", at_hand: Mapping[str, int] = MappingProxyType({})) -> Recipe:
    """The sweep behind a table or figure of the paper.

    Args:
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
    entry = _DATA["recipes"][name]
    return Recipe(
        name=name,
        scale=scale,
        title=published_table(name).title,
        parts=tuple(_full_parts(entry) if scale == "full" else _small_parts(entry, at_hand)),
        variants=tuple(entry["variants"]),
        weights=weights_tried(name, scale),
        guide=guides_of(name, entry["variants"]),
        tied=entry.get("tied", False),
        each_layer=entry.get("each_layer", False),
        seeds=SEEDS,
        timed=entry.get("timed", False),
        notes=tuple(_note(key, entry) for key in entry["notes"][scale]),
    )


def weights_tried(name: str, scale: str, names: Sequence[str] = ()) -> dict[str, tuple[Weight, ...]]:
    """The weights that a recipe tries of the guides in these variants, or its own: the paper's grid, or defaults."""
    guides = dict.fromkeys((*_PAPER_GUIDES, *_guides_in(names or own_variants(name))))
    searched = _DATA["recipes"][name]["weights"]
    if searched == "grid at every scale" or (searched == "grid" and scale == "full"):
        return dict.fromkeys(guides, tuple(map(float, shipped()["hyperparameters"]["grid"])))
    return {guide: (GUIDES[guide].weight,) for guide in guides}


def guides_of(name: str, names: Sequence[str]) -> tuple[str, ...]:
    """Texts of the guides in these variants that a recipe gives a share of the heads."""
    share = _DATA["recipes"][name].get("share")
    entries = [GUIDES[guide] for guide in _guides_in(names) if share and GUIDES[guide].takes_heads]
    return tuple(f"{entry.name}={entry.weight:g},share={share:g}" for entry in entries)


def _guides_in(names: Sequence[str]) -> dict[str, None]:
    """The guides in variants, each once.

    Raises:
        UsageError: no such variant.
    """
    try:
        return guides_in(names)
    except ValueError as error:
        raise UsageError(f"--variants: {error}") from None


def legend(unit: str, *, each_size: bool) -> list[str]:
    """Explanations below a table of the paper with our results."""
    return [line.format(at_each_size=", at each size" if each_size else "") for line in _DATA["legend"][unit]]


def own_variants(name: str) -> list[str]:
    """The variants of a recipe, where none are given."""
    return list(_DATA["recipes"][name]["variants"])


def own_options(scale: str, models: Sequence[str]) -> dict[str, Any]:
    """Run options of a recipe at this scale, where none are given."""
    return _small_options() if scale == "small" else _paper_options(models)


def _note(key: str, entry: Mapping[str, Any]) -> str:
    text: str = _DATA["notes"][key]
    alpha, beta = (GUIDES[guide].weight for guide in _PAPER_GUIDES)
    return text.format(**SMALL, alpha=alpha, beta=beta, ratio=alpha / beta, share=entry.get("share"))


def _full_parts(entry: Mapping[str, Any]) -> Iterator[Part]:
    """The paper's encoders and data."""
    for part in entry["parts"]:
        models = tuple(part["models"])
        options = _paper_options(models)
        if entry.get("timed"):
            options = _timing_options(shipped()["hyperparameters"]["max_length"], options["batch_size"])
        yield Part(models, tuple(part["datasets"]), tuple(part.get("sizes", ())), options)


def _small_parts(entry: Mapping[str, Any], at_hand: Mapping[str, int]) -> Iterator[Part]:
    """A part for each data set, since each has its own number of examples."""
    models, shares = (SMALL["model"],), entry["parts"][0].get("sizes", ())
    if entry.get("timed"):
        yield Part(models, tuple(at_hand), options=_timing_options(SMALL["max_length"], SMALL["batch_size"]))
        return
    for dataset, available in at_hand.items():
        count = min(SMALL["examples"], available)
        sizes = tuple(dict.fromkeys(max(1, round(share * count)) for share in shares))
        limit = {} if sizes else {"train_limit": count}
        yield Part(models, (dataset,), sizes, _small_options() | limit)


def _paper_options(models: Sequence[str]) -> dict[str, Any]:
    """Options of section 3.3.

    Rate and batch size are spelt out although `recipe=paper` implies them: a search spaces rates around the former.
    """
    paper = shipped()["hyperparameters"]
    batch_size = "batch_size_albert" if [short_name(model) for model in models] == ["albert"] else "batch_size"
    return {"recipe": "paper", "learning_rate": paper["learning_rate"], "batch_size": paper[batch_size]}


def _small_options() -> dict[str, Any]:
    return {name: SMALL[name] for name in ("epochs", "max_length", "batch_size")}


def _timing_options(length: int, batch_size: int) -> dict[str, Any]:
    """Options of `ag timing` under which every pair has the same length."""
    return {"lengths": (length,), "padding": "max", "batch_size": batch_size}
