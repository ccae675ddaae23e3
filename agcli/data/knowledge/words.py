"""The words of a text with their places, by one rule for all languages that put spaces between words."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Offsets = NDArray[np.int64]
_LAST_MARK = 0x20000
"""Combining marks above the first two planes are variation selectors, which follow pictures."""


@lru_cache(maxsize=1)
def _pattern() -> re.Pattern[str]:
    """Letters, digits and their combining marks, with apostrophes between letters: `can't`, but `well` and `being`."""
    marks = "".join(chr(code) for code in range(_LAST_MARK) if unicodedata.category(chr(code)).startswith("M"))
    return re.compile(rf"[^\W_](?:[^\W_]|[{marks}]|['’](?=[^\W_]))*")


def words_of(text: str) -> list[tuple[str, int, int]]:
    """Each word, lower-cased and composed (NFC), with its first character and the one behind its last."""
    return [(_folded(match.group()), *match.span()) for match in _pattern().finditer(text)]


def _folded(word: str) -> str:
    word = word.lower()
    return word if word.isascii() else unicodedata.normalize("NFC", word).replace("’", "'")


def word_of_token(starts: Offsets, ends: Offsets, token_starts: Offsets, token_ends: Offsets) -> Offsets:
    """The first word that each token overlaps, -1 for none; places are characters of one text.

    A token may take in the space before its word (`Ġword`, `▁word`), or be a part of it; one of no characters, such as
    a special token, overlaps none. Words are in the order of the text.

    Shape:
        starts, ends (words,); token_starts, token_ends (tokens,) -> (tokens,).
    """
    if not len(starts):
        return np.full(len(token_starts), -1, dtype=np.int64)
    candidates = np.searchsorted(ends, token_starts, side="right")
    inside = np.minimum(candidates, len(starts) - 1)
    overlaps = (candidates < len(starts)) & (starts[inside] < token_ends) & (token_starts < token_ends)
    return np.where(overlaps, inside, -1)
