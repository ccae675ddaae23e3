"""Pointwise mutual information against counts by hand."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from known_words import prepared
from tiny_rankings import write_ranking_dataset

from agcli.data.knowledge.inputs import training_inputs
from agcli.data.knowledge.pmi import pmi_relations
from agcli.data.knowledge.relations import Relations

TRAIN = [
    ("the new york times", "a paper"),
    ("the york of new", "a town and a town"),
    ("the new dog", "the dog"),
    ("the cat", "a cat"),
    ("the new new york", "paper"),
    ("", ""),
]


def bits(words: list[str], relations: Relations) -> dict[tuple[str, str], float]:
    first, second = relations.pairs
    return {(words[a], words[b]): v for a, b, v in zip(first, second, relations.values.tolist(), strict=True)}


def test_counts_are_of_inputs_smoothed_and_positive(tmp_path: Path) -> None:
    inputs = training_inputs(prepared(tmp_path / "d", TRAIN))
    got = bits(*pmi_relations(inputs, lambda *_: None))
    sets = [{*f"{a} {b}".split()} for a, b in TRAIN]
    expected = {}
    for one, other in itertools.combinations(sorted(set().union(*sets)), 2):
        both = sum(one in each and other in each for each in sets)
        chance = sum(one in each for each in sets) * sum(other in each for each in sets) / len(sets)
        value = math.log2((both + 1) / (chance + 1))
        if both >= 2 and value > 0:
            expected[one, other] = value
    assert got == pytest.approx(expected, rel=1e-6)
    assert got["new", "york"] > 0.4
    assert not [pair for pair in got if pair[0] == pair[1]]


def test_a_repeated_text_is_no_new_evidence(tmp_path: Path) -> None:
    """Three hypotheses of one premise count a third each: its words come together in one input only."""
    once = [("rare couple", "x"), ("other", "y"), ("more", "z"), ("words", "u")]
    thrice = [("rare couple", "p"), ("rare couple", "q"), ("rare couple", "x"), *once[1:]]
    assert bits(*pmi_relations(training_inputs(prepared(tmp_path / "a", thrice)), lambda *_: None)) == {}
    twice = [*thrice, ("a rare and a couple", "v")]
    got = bits(*pmi_relations(training_inputs(prepared(tmp_path / "b", twice)), lambda *_: None))
    assert [*got] == [("couple", "rare")]
    assert math.isclose(got["couple", "rare"], math.log2(3 / (2 * 2 / 5 + 1)), rel_tol=1e-6)


def test_dev_and_test_are_not_counted(tmp_path: Path) -> None:
    words, relations = pmi_relations(training_inputs(prepared(tmp_path / "d", TRAIN)), lambda *_: None)
    assert not {"devword", "testword", "here"} & {*words}
    other = prepared(tmp_path / "e", [*TRAIN, ("both", ""), ("here", ""), ("both", ""), ("here", "")])
    assert ("both", "here") not in bits(*pmi_relations(training_inputs(other), lambda *_: None))
    assert len(relations.keys)


def test_a_query_is_related_to_its_relevant_document_only(tmp_path: Path) -> None:
    dataset = write_ranking_dataset(tmp_path / "r")
    inputs = training_inputs(dataset)
    texts = [tuple(inputs.texts[text] for text in group) for group in inputs.related]
    documents = dataset.documents.column("text").to_pylist()
    lists = dataset.lists
    assert lists is not None
    pairs = {(dataset.queries["text"][row[0]], documents[row[1]]) for row in lists}
    assert {group for group in texts if len(group) == 2} == pairs
    used = {documents[row] for row in np.unique(lists[:, 1:])}
    assert {text for group in texts for text in group if len(group) == 1} == used - {second for _, second in pairs}
    assert len(inputs.examples) == lists[:, 1:].size
