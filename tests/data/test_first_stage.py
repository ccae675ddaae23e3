"""BM25 against the formula in a naive loop; the tie rule at the cut-off; the saved index against the built one."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import bm25s
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from Stemmer import Stemmer

from agcli.data.bm25 import STOPWORDS, Analysis, FirstStage, build, open_index
from agcli.errors import DataError, RunError, UsageError

TEXTS = (
    "Aspirin reduces the risk of strokes",
    "Statins reduce risks of a heart attack; statins are studied",
    "Running and the heart: a study of 12 runners",
    "",
    "The of and",
    "Coffee",
    "coffee",
)
IDS = ("d10", "d9", "d8", "empty", "stop", "c1", "c2")
PLAIN = Analysis(stemmer=None, stopwords=None)


def words_of(text: str, analysis: Analysis) -> list[str]:
    """The analysis once more, by hand."""
    stop = {"en": bm25s.stopwords.STOPWORDS_EN, None: ()}[analysis.stopwords]
    words = [word for word in re.findall(r"\b\w\w+\b", text.lower()) if word not in stop]
    return Stemmer(analysis.stemmer).stemWords(words) if analysis.stemmer else words


def naive(texts: Sequence[str], query: str, analysis: Analysis, k1: float, b: float) -> list[float]:
    """Lucene's BM25, literally, with logarithms and divisions at every word."""
    documents = [words_of(text, analysis) for text in texts]
    mean_length = sum(map(len, documents)) / len(documents)
    scores = [0.0] * len(documents)
    for word in words_of(query, analysis):
        df = sum(word in document for document in documents)
        for row, document in enumerate(documents):
            tf = document.count(word)
            if tf == 0:
                continue  # 0 / 0 where k1 is 0
            idf = math.log(1 + (len(documents) - df + 0.5) / (df + 0.5))
            scores[row] += idf * tf / (tf + k1 * (1 - b + b * len(document) / mean_length))
    return scores


def built(folder: Path, texts: Sequence[str] = TEXTS, analysis: Analysis | None = None) -> FirstStage:
    """An index that is saved in `folder` too."""
    ids = IDS if texts is TEXTS else [f"d{row}" for row in range(len(texts))]
    stage = build(texts, ids, analysis)
    stage.save(folder / "index")
    return stage


@pytest.mark.parametrize("analysis", [Analysis(), PLAIN, Analysis(stopwords=None), Analysis(stemmer=None)], ids=str)
@pytest.mark.parametrize("query", ["heart risk", "Does RUNNING reduce heart attacks? heart", "unknown words", "coffee"])
def test_scores_are_those_of_the_formula(tmp_path: Path, analysis: Analysis, query: str) -> None:
    expected = naive(TEXTS, query, analysis, k1=1.2, b=0.75)
    rows, scores = built(tmp_path, analysis=analysis).search(query, len(TEXTS))
    assert set(rows.tolist()) == {row for row, score in enumerate(expected) if score > 0}
    assert scores.tolist() == pytest.approx([expected[row] for row in rows], rel=1e-6)
    assert (rows.dtype, scores.dtype) == (np.int32, np.float32)


WORD = st.sampled_from(["ab", "cd", "ef", "gh"])
SENTENCE = st.lists(WORD, max_size=6).map(" ".join)


@given(st.lists(SENTENCE, min_size=1, max_size=20).filter(any), SENTENCE, st.integers(1, 25))
def test_every_depth_is_the_head_of_the_whole_ranking(texts: list[str], query: str, depth: int) -> None:
    """Few words, so many ties, the cut-off among them; ids whose order is not that of the rows."""
    ids = [f"d{(7 * row + 3) % 23}" for row in range(len(texts))]
    stage = build(texts, ids, PLAIN)
    rows, scores = stage.search(query, depth)
    scored = zip(*stage.search(query, len(texts)), strict=True)
    whole = sorted(((float(score), ids[row]) for row, score in scored), reverse=True)
    assert [(float(score), ids[row]) for row, score in zip(rows, scores, strict=True)] == whole[:depth]
    assert len(whole) == sum(score > 0 for score in naive(texts, query, PLAIN, 1.2, 0.75))


def test_ties_at_the_cut_go_to_the_greater_id() -> None:
    ids = [f"d{number}" for number in range(12)]
    stage = build(["same words", *["other thing"] * 10, "same words again"], ids)
    found = [ids[row] for row in stage.search("other", 3)[0]]
    assert found == ["d9", "d8", "d7"]  # of d1 to d10, by string: d10 is below d2
    assert [ids[row] for row in stage.search("same", 5)[0]] == ["d0", "d11"]  # the shorter one first


def test_documents_without_a_word_of_the_query_are_absent(tmp_path: Path) -> None:
    rows, _ = built(tmp_path).search("heart", 100)
    assert {IDS[row] for row in rows} == {"d9", "d8"}


@pytest.mark.parametrize("query", ["", "the of and", "?!", "a b c", "zebra"])
def test_a_query_without_a_known_word_finds_nothing(tmp_path: Path, query: str) -> None:
    rows, scores = built(tmp_path).search(query, 100)
    assert (rows.shape, scores.shape) == ((0,), (0,))


def test_a_new_form_of_a_known_stem_is_found(tmp_path: Path) -> None:
    stage = built(tmp_path)
    assert [IDS[row] for row in stage.search("runs", 10)[0]] == ["d8"]  # "running", "runners" -> run, runner
    assert stage.search("runs", 10)[1].tolist() == stage.search("run", 10)[1].tolist()


def test_queries_leave_no_trace(tmp_path: Path) -> None:
    stage = built(tmp_path)
    before = [found.tolist() for found in stage.search("heart risk", 10)]
    stage.search("zebra zebras hearts risky zebra", 10)
    assert [found.tolist() for found in stage.search("heart risk", 10)] == before
    assert len(stage.search("zebra", 10)[0]) == 0


@pytest.mark.parametrize("analysis", [Analysis(), PLAIN, Analysis("german", "de")], ids=str)
def test_the_saved_index_answers_as_the_built_one(tmp_path: Path, analysis: Analysis) -> None:
    texts = [*TEXTS, "Études cliniques 漢字 naïve", "Die Häuser und das Haus"]
    ids = [f"d{row}" for row in range(len(texts))]
    made = build(texts, ids, analysis)
    made.save(tmp_path / "index")
    opened = open_index(tmp_path / "index", ids)
    assert (opened.analysis, len(opened)) == (made.analysis, len(texts))
    for query in ("heart risk reduces", "naïve 漢字", "Häuser", "running coffee", "the"):
        for mine, theirs in zip(made.search(query, 4), opened.search(query, 4), strict=True):
            assert mine.tobytes() == theirs.tobytes()


def test_the_opened_index_is_memory_mapped_and_holds_no_pickle(tmp_path: Path) -> None:
    built(tmp_path)
    opened = open_index(tmp_path / "index", IDS)
    assert isinstance(opened._scorer.scores["data"].base, np.memmap)
    assert {path.suffix for path in (tmp_path / "index").iterdir()} == {".npy", ".json"}
    for path in (tmp_path / "index").glob("*.npy"):
        assert np.load(path, allow_pickle=False).dtype.kind in "if"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [cut, flip, Path.unlink])
@pytest.mark.parametrize("name", ["data.csc", "indices.csc", "indptr.csc", "vocab", "params"])
def test_a_damaged_index_is_not_opened(tmp_path: Path, damage: Callable[[Path], None], name: str) -> None:
    built(tmp_path)
    (path,) = (tmp_path / "index").glob(f"{name}.index.*")
    damage(path)
    with pytest.raises(DataError, match="damaged") as caught:
        open_index(tmp_path / "index", IDS)
    assert caught.value.file == path


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "no BM25 index"),
        ("{", "no valid JSON"),
        ('{"format": 0}', "format 1"),
        ('{"format": 1}', "lack an entry"),
    ],
)
def test_settings_that_are_absent_or_broken(tmp_path: Path, content: str | None, problem: str) -> None:
    built(tmp_path)
    settings = tmp_path / "index" / "settings.json"
    settings.unlink() if content is None else settings.write_text(content)
    with pytest.raises(DataError, match=problem):
        open_index(tmp_path / "index", IDS)


def test_an_index_of_another_corpus_is_refused(tmp_path: Path) -> None:
    built(tmp_path)
    with pytest.raises(DataError, match="another corpus"):
        open_index(tmp_path / "index", IDS[::-1])


def test_settings_say_how_the_index_was_made(tmp_path: Path) -> None:
    built(tmp_path, analysis=PLAIN)
    settings = json.loads((tmp_path / "index" / "settings.json").read_text())
    assert settings["analysis"] == {"stemmer": None, "stopwords": None}
    assert settings["parameters"] == {"k1": 1.2, "b": 0.75, "method": "lucene"}


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Analysis(stemmer="englisch"), ["Did you mean 'english'", "porter", "none"]),
        (lambda: Analysis(stopwords="english"), ["en_plus", "zh", "none"]),
    ],
)
def test_unknown_settings_name_what_is_allowed(make: Callable[[], object], named: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        make()
    assert all(word in str(caught.value) for word in named)


@pytest.mark.parametrize("stopwords", STOPWORDS)
def test_every_list_of_stop_words_is_there(stopwords: str) -> None:
    assert len(build(["some words"], ["d"], Analysis(None, stopwords))) == 1


@pytest.mark.parametrize("texts", [[], ["", "the"]])
def test_a_corpus_without_a_word_is_refused(tmp_path: Path, texts: list[str]) -> None:
    with pytest.raises(DataError, match="holds a word"):
        built(tmp_path, texts)


def test_every_text_has_an_id() -> None:
    with pytest.raises(ValueError, match="2 ids for 1 texts"):
        build(["word"], ["a", "b"])


def test_a_depth_of_none_is_no_search(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="depth"):
        built(tmp_path).search("heart", 0)


def test_a_disk_that_refuses(tmp_path: Path) -> None:
    (tmp_path / "index").write_text("a file is in the way")
    with pytest.raises(RunError, match="cannot write"):
        built(tmp_path)


def test_progress_is_reported_and_nothing_is_printed(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    read: list[int] = []
    with caplog.at_level(logging.DEBUG):
        texts = (f"word{number} text" for number in range(600))
        build(texts, [str(number) for number in range(600)], on_document=read.append)
    assert read == [256, 512, 600]
    assert (*capfd.readouterr(), caplog.text) == ("", "", "")
