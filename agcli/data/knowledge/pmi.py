"""Pointwise mutual information of word pairs in the training inputs."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from agcli.data.knowledge.inputs import TrainingInputs, joint_counts, occurrences
from agcli.data.knowledge.relations import Relations
from agcli.data.ranking.candidates import Progress

MIN_COUNT = 2
"""Inputs in which a word, and a pair of words, has to occur, repeated texts counted once."""
SMOOTHING = 1.0
"""Added to the inputs that a pair is in and to those that chance would give it; draws rare pairs towards 0 bits."""
SETTINGS = {"min_count": MIN_COUNT, "smoothing": SMOOTHING, "unit": "bits", "repeated_texts": "1/n"}
_ROUNDING = 1e-9  # of sums of thirds and their like
_BLOCK = 512  # words whose counts with all others are in memory at a time
COUNTING = "counting word pairs"


def pmi_relations(inputs: TrainingInputs, progress: Progress) -> tuple[list[str], Relations]:
    """The words, and their positive pointwise mutual information in bits.

    Source: Church & Hanks 1990, over inputs in place of windows: `log2((c_xy + k) / (c_x c_y / N + k))`, where c counts
    the inputs that have a word (or both), N inputs in all, and k is `SMOOTHING`. A word with itself has none.

    An input with a text that is in n inputs, such as a premise with n hypotheses, counts 1/n: the text is no new
    evidence each time.
    """
    words = sorted(frozenset().union(*inputs.words))
    numbers = {word: number for number, word in enumerate(words)}
    weights = _weights(inputs)
    occurring = occurrences(inputs, inputs.related, numbers)
    often = np.flatnonzero(weights @ occurring >= MIN_COUNT - _ROUNDING)
    words, occurring = [words[number] for number in often], occurring[:, often]
    single = weights @ occurring
    firsts, seconds = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    values = [np.empty(0)]
    for start in range(0, len(words), _BLOCK):
        first, second, both = joint_counts(occurring, start, _BLOCK, weights)
        expected = single[first] * single[second] / weights.sum()
        bits = np.log2((both + SMOOTHING) / (expected + SMOOTHING))
        kept = (bits > 0) & (both >= MIN_COUNT - _ROUNDING)
        firsts.append(first[kept])
        seconds.append(second[kept])
        values.append(bits[kept])
        progress(COUNTING, min(start + _BLOCK, len(words)), len(words))
    bits_of_pairs = np.concatenate(values).astype(np.float32)
    return words, Relations.of(len(words), np.concatenate(firsts), np.concatenate(seconds), bits_of_pairs)


def _weights(inputs: TrainingInputs) -> NDArray[np.float64]:
    """1 / n of each related group, n the number of groups with its most frequent text."""
    repeats = Counter(text for group in inputs.related for text in set(group))
    return np.array([1 / max(repeats[text] for text in group) for group in inputs.related])
