"""Variants: names and sums, their looks, and weights in one spelling."""

from __future__ import annotations

import pytest

from agcli.guides.registry import GUIDES
from agcli.guides.spec import parse_guide
from agcli.guides.variants import (
    Weight,
    is_variant,
    read_weight,
    run_options,
    stated_guides,
    variant_colour,
    variant_guides,
    variant_marker,
    variant_names,
    variant_specs,
    variant_title,
    weight_of,
    weight_order,
    weight_text,
    weights_in,
    weights_text,
    with_weight,
)


def test_every_guide_is_a_variant_and_so_is_every_sum() -> None:
    assert set(variant_names()) == {"none", "both", *GUIDES}
    assert variant_guides("none") == ()
    assert variant_guides("next+first") == ("next", "first")
    assert variant_guides("both + next") == ("mdg", "pdg", "next")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nxt", "'nxt' is none of none, mdg, .* Did you mean 'next'"),
        ("next+", "'' is none of"),
        ("none+next", "'none' is the variant without guides, and no part of a sum: 'none\\+next'"),
        ("both+mdg", "'both\\+mdg' has a guide twice"),
    ],
)
def test_what_is_no_variant(name: str, message: str) -> None:
    assert not is_variant(name)
    with pytest.raises(ValueError, match=message):
        variant_guides(name)


def test_titles_and_looks_of_sums_are_their_own() -> None:
    assert variant_title("next+mdg") == "[Next] + MDG"
    assert variant_title("none") == "no guide"
    assert variant_title("of another version") == "of another version"
    assert variant_colour("mdg+pdg") == "#9EA974"  # of #E69F00 and #56B4E9
    assert (variant_marker("next+first"), variant_marker("next+first+pdg")) == ("$2$", "$3$")
    assert (variant_colour("unknown"), variant_marker("unknown")) == (None, None)
    sums = ["mdg+next", "next+first", "next+prev", "both+next"]
    assert len({variant_colour(name) for name in (*variant_names(), *sums)}) == len(variant_names()) + len(sums)


def test_a_variant_as_options_of_a_run_and_back() -> None:
    specs = variant_specs("mdg+next+first", ["next=0.05,heads=2", "pmi=1"])
    options = run_options(specs)
    assert options == {"mdg": 0.01, "pdg": 0.0, "guide": ("next=0.05,heads=2", "first=0.01")}
    assert weights_in(options) == {"mdg": 0.01, "pdg": 0.0, "next": "0.05,heads=2", "first": 0.01}
    assert run_options(variant_specs("none")) == {"mdg": 0.0, "pdg": 0.0}
    layered = run_options(variant_specs("mdg", ["mdg=0.5,layers=3"]))
    assert weights_in(layered) == {"mdg": "0.5,layers=3", "pdg": 0.0}


@pytest.mark.parametrize(
    ("text", "weight", "shown", "order"),
    [
        ("0.10", 0.1, "0.1", (False, 0.1)),
        ("share:0.050", "share:0.05", "share:0.05", (True, 0.05)),
        ("0.1,heads=1+0,form=nll", "0.1,heads=0-1", "0.1", (False, 0.1)),
        ("share:0.1,heads=2", "share:0.1,heads=2", "share:0.1", (True, 0.1)),
    ],
)
def test_a_weight_has_one_spelling(text: str, weight: Weight, shown: str, order: tuple[bool, float]) -> None:
    assert read_weight("next", text) == weight
    assert read_weight("next", str(weight)) == weight
    assert (weight_text(weight), weight_order(weight)) == (shown, order)
    assert weight_of(parse_guide(f"next={text}")) == weight


def test_another_weight_leaves_the_options() -> None:
    spec = parse_guide("next=share:0.5,heads=2")
    assert str(with_weight(spec, 0.1)) == "next=0.1,heads=2"
    assert str(with_weight(spec, "share:0.2")) == "next=share:0.2,heads=2"


def test_weights_in_words() -> None:
    weights: dict[str, Weight] = {"mdg": 0.01, "pdg": 0.0, "next": "share:0.1,heads=2"}
    assert weights_text(weights) == ("mdg=0.01", "next=share:0.1,heads=2")
    assert weights_text(weights, "symbol") == ("α = 0.01", "λ_next = share:0.1,heads=2")
    assert stated_guides(["next"]) == ["mdg", "pdg", "next"]
