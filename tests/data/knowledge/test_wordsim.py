"""Similarity of words in a small taxonomy by hand, and in WordNet where it is here."""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from known_words import prepared

from agcli.data.knowledge import wordnet
from agcli.data.knowledge.inputs import training_inputs
from agcli.data.knowledge.preparation import knowledge_maker
from agcli.data.knowledge.wordnet import open_wordnet
from agcli.data.knowledge.wordsim import Taxonomy, wordsim_relations
from agcli.errors import DataError, MissingExtraError, RunError, UsageError, install_command

ABOVE = {"dog": ["animal", "pet"], "cat": ["animal"], "animal": ["thing"], "pet": ["role"], "role": ["thing"]}
SENSES = {("dog", "n"): "dog", ("dogs", "n"): "dog", ("cat", "n"): "cat", ("barks", "v"): "bark", ("dog", "v"): "bark"}
TOY = Taxonomy(lambda word, kind: SENSES.get((word, kind)), lambda sense: ABOVE.get(sense, []))
DEBIAN = Path("/usr/share/wordnet")


def test_similarity_by_hand() -> None:
    assert TOY.similarity("dog", "dog") == 1
    # The lowest sense above both is `animal`, one step below `thing`, so of depth 2; each is one step from it.
    assert TOY.similarity("dog", "cat") == TOY.similarity("cat", "dog") == 2 * 2 / (1 + 1 + 2 * 2)
    assert TOY.similarity("pet", "cat") == 2 * 1 / (2 + 2 + 2 * 1)
    assert TOY.similarity("dog", "bark") == 0
    assert TOY.depths("dog") == (2, 3)


def test_words_of_one_input_that_are_similar_enough(tmp_path: Path) -> None:
    dataset = prepared(tmp_path / "d", [("the dog and the cat", "Jon barks"), ("dogs", "barks"), ("the", "s")])
    words, relations = wordsim_relations(training_inputs(dataset), TOY, lambda *_: None)
    assert words == ["barks", "cat", "dog", "dogs", "jon"]  # neither stop words nor single characters
    first, second = relations.pairs
    values = {(words[a], words[b]): v for a, b, v in zip(first, second, relations.values.tolist(), strict=True)}
    alike = {pair: round(value, 4) for pair, value in values.items() if pair[0] != pair[1]}
    # dog and dogs, and cat and dogs, are in no input together; jon has no sense; barks and dog share a verb.
    assert alike == {("cat", "dog"): 0.6667, ("barks", "dog"): 1.0}
    assert {pair for pair in values if pair[0] == pair[1]} == {(word, word) for word in words}


def test_without_nltk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "nltk", None)
    with pytest.raises(MissingExtraError, match="--knowledge wordsim needs the package 'nltk'") as error:
        knowledge_maker(["wordsim"], None, "").__enter__()
    assert error.value.hint == install_command("knowledge")


def test_the_lexicographer_files_are_the_documented_ones() -> None:
    rows = [row.split("\t") for row in wordnet._lexnames().splitlines()]
    assert len(rows) == 45
    assert [int(row[0]) for row in rows] == [*range(45)]
    by_number = {row[0]: row[1:] for row in rows}
    assert (by_number["03"], by_number["28"], by_number["29"]) == (
        ["noun.Tops", "1"],
        ["noun.time", "1"],
        ["verb.body", "2"],
    )
    assert (by_number["02"], by_number["43"], by_number["44"]) == (
        ["adv.all", "4"],
        ["verb.weather", "2"],
        ["adj.ppl", "3"],
    )


@pytest.fixture
def real() -> Iterator[Taxonomy]:
    """WordNet itself, from Debian's files or `AGCLI_TEST_WORDNET`."""
    pytest.importorskip("nltk")
    folder = Path(os.environ.get("AGCLI_TEST_WORDNET", DEBIAN))
    if not (folder / "data.noun").is_file():
        pytest.skip("no WordNet here")
    with open_wordnet(folder) as (taxonomy, _):
        yield taxonomy


def test_wordnet_agrees_with_nltk(real: Taxonomy) -> None:
    reader = wordnet._reader()
    words = ("dog", "cat", "animal", "car", "city", "aspirin", "sleep", "run", "eat", "give", "take", "london", "pain")
    drawn = random.Random(0)
    for kind in "nv":
        senses = [sense for word in words if (sense := real.first_sense(word, kind))]
        for one, other in drawn.choices([(a, b) for a in senses for b in senses], k=60):
            expected = reader.synset(one).wup_similarity(reader.synset(other), simulate_root=False) or 0.0
            assert real.similarity(one, other) == pytest.approx(expected, abs=1e-12)
    assert real.first_sense("dogs", "n") == "dog.n.01"
    assert real.first_sense("xyzzy", "n") is None


def test_files_that_cannot_be_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in wordnet._NEEDED:
        (tmp_path / name).touch()
    target = tmp_path / "staged"

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", refuse)
        with pytest.raises(RunError, match=r"cannot write .*data.noun: No space left") as error:
            wordnet._data_root(tmp_path, target)
        assert "TMPDIR" in str(error.value.hint)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(DataError, match=r"data.noun: cannot be read"):
        wordnet._data_root(tmp_path, tmp_path / "other")


def test_a_sense_that_is_not_in_damaged_files() -> None:
    class Reader:
        """NLTK's reader gives None for a sense that its index names and its data do not have, and warns."""

        def synsets(self, word: str, pos: str) -> list[None]:
            warnings.warn("No WordNet synset", stacklevel=1)
            return [None]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataError, match=r"^here: WordNet cannot be read \(AttributeError\)"):
            wordnet._taxonomy(Reader(), Path("here")).first_sense("dog", "n")


@pytest.mark.parametrize("layout", ["empty", "zip"])
def test_no_other_wordnet_is_read_in_place_of_a_named_one(tmp_path: Path, layout: str) -> None:
    nltk = pytest.importorskip("nltk")
    elsewhere = tmp_path / "elsewhere" / "corpora" / "wordnet"
    elsewhere.mkdir(parents=True)
    for name in (*wordnet._NEEDED, "lexnames", "index.sense"):
        (elsewhere / name).write_text("another WordNet\n")
    named = tmp_path / "named"
    (named / "corpora").mkdir(parents=True)
    if layout == "zip":
        (named / "corpora" / "wordnet.zip").write_bytes(b"no archive")
    before = list(nltk.data.path)
    nltk.data.path.insert(0, str(tmp_path / "elsewhere"))
    try:
        with pytest.raises((UsageError, DataError)) as caught:
            open_wordnet(named).__enter__()
    finally:
        nltk.data.path[:] = before
    assert str(named) in str(caught.value)


def test_a_folder_without_wordnet(tmp_path: Path) -> None:
    nltk = pytest.importorskip("nltk")
    before = list(nltk.data.path)
    with pytest.raises(UsageError, match=r"--wordnet .*: WordNet's data.noun is not there") as error:
        open_wordnet(tmp_path).__enter__()
    assert "wordnet-base" in str(error.value.hint)
    for name in wordnet._NEEDED:
        (tmp_path / name).write_text("nothing of the kind\n")
    with pytest.raises(DataError, match="WordNet cannot be read"):
        open_wordnet(tmp_path).__enter__()
    assert nltk.data.path == before
