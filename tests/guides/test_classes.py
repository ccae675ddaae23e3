"""The classes of the registry: their names, options and public names are those of their entries."""

from dataclasses import fields

import pytest

import agcli
from agcli.guides.base import Guide, TargetGuide
from agcli.guides.registry import GUIDES

entries = pytest.mark.parametrize("entry", GUIDES.values(), ids=GUIDES)


@entries
def test_a_class_is_named_as_its_entry(entry):
    kind = entry.load()
    assert kind.name == entry.name
    assert getattr(agcli, kind.__name__) is kind
    assert isinstance(kind(), Guide)
    assert isinstance(kind(), TargetGuide) == ("mass" in kind().needs)


@entries
def test_options_are_fields_with_the_same_defaults(entry):
    kind = entry.load()
    defaults = {item.name: item.default for item in fields(kind)}
    assert {option.name: option.default for option in entry.options}.items() <= defaults.items()
    assert {"weight", "layers", "heads"} <= defaults.keys()
    for option in entry.options:
        if option.name == "form":
            assert option.limits["choices"] == kind.forms


@entries
def test_an_instance_needs_the_knowledge_that_its_entry_states_for_its_options(entry):
    kind = entry.load()
    for options in ({}, *({own.name: own.without_knowledge} for own in entry.options if own.without_knowledge)):
        assert getattr(kind(**options), "knowledge", None) == entry.knowledge_with(options)


@entries
def test_values_that_an_option_does_not_allow_are_refused(entry):
    for option in entry.options:
        if "choices" in (option.limits or {}):
            with pytest.raises(ValueError, match=f"{option.name} must be"):
                entry.load()(**{option.name: "wrong"})
            for choice in option.limits["choices"]:
                assert getattr(entry.load()(**{option.name: choice}), option.name) == choice


@entries
def test_layers_and_heads_are_tuples(entry):
    for subset in ("layers", "heads"):
        with pytest.raises(ValueError, match=f"{subset} must be None or a tuple"):
            entry.load()(**{subset: [0]})


def test_numbers_out_of_range_are_refused():
    with pytest.raises(ValueError, match="nearest must be at least 1, got 0"):
        agcli.Match(nearest=0)
    with pytest.raises(ValueError, match=r"level must lie between 0 and 1, got 1\.5"):
        agcli.EntropyBand(level=1.5)


def test_guides_that_differ_in_class_or_option_differ():
    kinds = [entry.load()() for entry in GUIDES.values()]
    assert len({*kinds, agcli.Next(form="squared"), agcli.Match(match="similar")}) == len(kinds) + 2
