"""Pointwise mutual information of word pairs in the training inputs."""

from __future__ import annotations

from collections import Counter

import numpy as np

from agcli.data.knowledge.inputs import TrainingInputs, joint_counts, occurrences
from agcli.data.knowledge.relations import Relations
from agcli.data.ranking.candidates import Progress

MIN_COUNT = 2
"""Inputs in which a word, and a pair of words, has to occur."""
SMOOTHING = 1.0
"""Added to the inputs that a pair is in and to those that chance would give it; draws rare pairs towards 0 bits."""
SETTINGS = {"min_count": MIN_COUNT, "smoothing": SMOOTHING, "unit": "bits"}
_BLOCK = 512  # words whose counts with all others are in memory at a time
COUNTING = "counting word pairs"


def pmi_relations(inputs: TrainingInputs, progress: Progress) -> tuple[list[str], Relations]:
    """The words, and their positive pointwise mutual information in bits.

    Source: Church & Hanks 1990, over inputs in place of windows: `log2((c_xy + k) / (c_x c_y / N + k))`, where c counts
    the inputs that have a word (or both), N inputs in all, and k is `SMOOTHING`. A word with itself has none.
    """
    counts = Counter(
        word for group in inputs.related for word in frozenset().union(*(inputs.words[text] for text in group))
    )
    words = sorted(word for word, count in counts.items() if count >= MIN_COUNT)
    numbers = {word: number for number, word in enumerate(words)}
    occurring = occurrences(inputs, inputs.related, numbers).tocsc()
    single = np.array([counts[word] for word in words], dtype=np.float64)
    pairs: list[tuple[np.ndarray[tuple[int], np.dtype[np.int64]], ...]] = []
    values = []
    for start in range(0, len(words), _BLOCK):
        first, second, both = joint_counts(occurring, start, _BLOCK)
        expected = single[first] * single[second] / len(inputs.related)
        bits = np.log2((both + SMOOTHING) / (expected + SMOOTHING))
        kept = (bits > 0) & (both >= MIN_COUNT)
        pairs.append((first[kept], second[kept]))
        values.append(bits[kept])
        progress(COUNTING, min(start + _BLOCK, len(words)), len(words))
    nothing = np.empty(0, dtype=np.int64)
    joined = [np.concatenate([nothing, *column]) for column in zip(*pairs, strict=True)] or [nothing, nothing]
    return words, Relations.of(len(words), joined[0], joined[1], np.concatenate([np.empty(0), *values]))
