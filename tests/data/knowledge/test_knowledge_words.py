"""Words with their places, and the word that a token stands for."""

from __future__ import annotations

import numpy as np
import pytest

from agcli.data.knowledge.words import word_of_token, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" \n\t ", []),
        ("?! --", []),
        ("The dog.", ["the", "dog"]),
        ("can't 'quoted' dogs' it 's", ["can't", "quoted", "dogs", "it", "s"]),
        ("it’s", ["it's"]),
        ("well-being under_score 2,000", ["well", "being", "under", "score", "2", "000"]),
        ("Ünïcode CAFÉ cafe\u0301", ["ünïcode", "café", "café"]),
        ("good👍🏽 👨‍👩‍👧 day", ["good", "day"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("\u0301a", ["a"]),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert [word for word, _, _ in words_of(text)] == words


def test_places_are_characters_of_the_text_as_it_stands() -> None:
    text = "👍🏽 İstanbul's cafe\u0301."
    assert [text[start:end] for _, start, end in words_of(text)] == ["İstanbul's", "cafe\u0301"]


def test_a_token_stands_for_the_first_word_that_it_overlaps() -> None:
    starts, ends = np.array([2, 6, 9]), np.array([5, 9, 12])
    tokens = [(0, 0), (0, 2), (1, 3), (2, 3), (4, 5), (5, 6), (5, 9), (4, 12), (9, 10), (12, 14), (13, 20), (6, 6)]
    got = word_of_token(starts, ends, *np.array(tokens).T)
    naive = [
        next((w for w, (s, e) in enumerate(zip(starts, ends, strict=True)) if s < b and a < e), -1) for a, b in tokens
    ]
    naive[-1] = -1  # of no characters
    assert got.tolist() == naive
    assert word_of_token(np.empty(0, int), np.empty(0, int), starts, ends).tolist() == [-1, -1, -1]
