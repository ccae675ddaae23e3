"""Variants, which are the guides that are on together, and their weights as results and tables have them; no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from agcli.errors import did_you_mean, shortened
from agcli.guides.registry import COMBINED, GUIDES
from agcli.guides.spec import GuideSpec, guide_values, parse_guide

PAPER_VARIANTS = ("none", "mdg", "pdg", "both")
"""What Wang et al. 2022 compare: without guides, with one, with both."""
Weight = float | str
"""A guide's weight in results: a number, or the text behind `NAME=` where that says more: `share:0.05`, `1,heads=2`."""

_LOOKS = {"none": ("#777777", "o"), "both": ("#0072B2", "D")}
"""Colours and markers of the combined variants."""


def variant_names() -> tuple[str, ...]:
    """The variants with a name of their own; others are sums of these, such as `mdg+next`."""
    return tuple(dict.fromkeys((*PAPER_VARIANTS, *COMBINED, *GUIDES)))


def variant_guides(variant: str) -> tuple[str, ...]:
    """The guides of a variant, in the order in which they take heads: `mdg+next` -> ("mdg", "next"), `none` -> ().

    Raises:
        ValueError: no such guide or variant, or a guide twice; the message says what is allowed.
    """
    if variant in COMBINED:
        return COMBINED[variant]
    known = [name for name in (*GUIDES, *COMBINED) if COMBINED.get(name) != ()]
    guides: list[str] = []
    for part in (part.strip() for part in variant.split("+")):
        if COMBINED.get(part) == ():
            raise ValueError(f"{part!r} is the variant without guides, and no part of a sum: {variant!r}.")
        if part not in known:
            names = variant_names()
            allowed = f"{', '.join(names)}, or a sum of some, such as mdg+next"
            raise ValueError(f"{shortened(part)} is none of {allowed}.{did_you_mean(part, names)}")
        guides += COMBINED.get(part, (part,))
    if len(set(guides)) < len(guides):
        raise ValueError(f"{shortened(variant)} has a guide twice.")
    return tuple(guides)


def guides_in(variants: Iterable[str], *, sums_only: bool = False) -> dict[str, None]:
    """The guides in these variants, or in those with several, each once.

    Raises:
        ValueError: no such variant.
    """
    several = [guides for guides in map(variant_guides, variants) if len(guides) > 1 or not sums_only]
    return dict.fromkeys(guide for guides in several for guide in guides)


def is_variant(name: str) -> bool:
    """Whether a name is that of a variant; results may be of guides that are not registered here."""
    try:
        variant_guides(name)
    except ValueError:
        return False
    return True


def variant_specs(variant: str, given: Iterable[str] = ()) -> tuple[GuideSpec, ...]:
    """The guides of a variant at their default weights, or as `next=0.05,heads=2` gives one of them.

    Raises:
        ValueError: no such variant, or text of a guide.
    """
    by_name = {spec.name: spec for spec in map(parse_guide, given)}
    return tuple(by_name.get(name) or GuideSpec(name, GUIDES[name].weight) for name in variant_guides(variant))


def run_options(specs: Sequence[GuideSpec]) -> dict[str, Any]:
    """The options of a run with these guides and no other."""
    off = {name: 0.0 for name, entry in GUIDES.items() if entry.by_default}
    return {name: value for name, value in (off | guide_values(specs)).items() if value is not None}


def weights_in(options: Mapping[str, Any]) -> dict[str, Weight]:
    """The weights that options of a run state, 0 included, in the order of the options."""
    weights: dict[str, Weight] = {name: float(value) for name, value in options.items() if name in GUIDES}
    return weights | {spec.name: weight_of(spec) for spec in map(parse_guide, options.get("guide") or ())}


def weight_of(spec: GuideSpec) -> Weight:
    """A guide's weight, with whatever else its text says."""
    return spec.weight if not (spec.options or spec.of_task) else str(spec).partition("=")[2]


def bare_weight(spec: GuideSpec) -> Weight:
    """A guide's weight without the options behind it: a number or `share:0.05`."""
    return weight_of(replace(spec, options={}))


def read_weight(guide: str, text: str) -> Weight:
    """A weight in its one spelling.

    Raises:
        ValueError: neither a number nor what may stand behind `NAME=`.
    """
    return weight_of(parse_guide(f"{guide}={text}"))


def with_weight(spec: GuideSpec, weight: Weight) -> GuideSpec:
    """The guide with another weight, a number or `share:0.05`, and its own options."""
    text = weight if isinstance(weight, str) else repr(float(weight))
    return replace(parse_guide(f"{spec.name}={text}"), options=spec.options)


def weight_text(weight: Weight) -> str:
    """A weight without the options behind it."""
    return weight.partition(",")[0] if isinstance(weight, str) else f"{weight:g}"


def weight_order(weight: Weight) -> tuple[bool, float]:
    """Sort key: numbers, then shares of the task."""
    text = weight_text(weight)
    return text.startswith("share:"), float(text.removeprefix("share:"))


def stated_guides(present: Iterable[str]) -> list[str]:
    """The guides whose weight is stated: those that are present, and those that a run has by default, off or on.

    The others are left out, so that cells and fingerprints do not depend on which guides there are.
    """
    names = set(present)
    return [name for name, entry in GUIDES.items() if name in names or entry.by_default]


def variant_title(variant: str) -> str:
    """`no guide`, `MDG`, `MDG + PDG`; a variant that is not known here goes by its name."""
    if not is_variant(variant):
        return variant
    return " + ".join(GUIDES[name].title for name in variant_guides(variant)) or "no guide"


def variant_colour(variant: str) -> str | None:
    """A variant's colour in figures, of a sum the mean of its guides', or None."""
    if variant in GUIDES:
        return GUIDES[variant].colour
    if variant in _LOOKS or not is_variant(variant):
        return _LOOKS.get(variant, (None, None))[0]
    colours = [bytes.fromhex(GUIDES[name].colour[1:]) for name in variant_guides(variant)]
    return "#" + bytes(sum(shades) // len(colours) for shades in zip(*colours, strict=True)).hex().upper()


def variant_marker(variant: str) -> str | None:
    """A variant's marker in figures, of a sum the number of its guides, or None."""
    if variant in GUIDES:
        return GUIDES[variant].marker
    if variant in _LOOKS or not is_variant(variant):
        return _LOOKS.get(variant, (None, None))[1]
    return f"${len(variant_guides(variant))}$"


def weights_text(weights: Mapping[str, Weight], form: Literal["name", "symbol"] = "name") -> tuple[str, ...]:
    """`mdg=0.01` (`α = 0.01`) for each guide whose weight is not 0: how guides read in commands, files and tables."""
    present = {name: weight if isinstance(weight, str) else f"{weight:g}" for name, weight in weights.items() if weight}
    if form == "name":
        return tuple(f"{name}={weight}" for name, weight in present.items())
    return tuple(f"{GUIDES[name].symbol} = {weight}" for name, weight in present.items())
