"""Similarity of words in WordNet, for words that some training input has together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from agcli.data.knowledge.inputs import TrainingInputs, joint_counts, occurrences
from agcli.data.knowledge.relations import Relations
from agcli.data.ranking.candidates import Progress

THRESHOLD = 0.5
"""Smallest similarity that counts."""
PARTS_OF_SPEECH = ("n", "v")
SETTINGS = {
    "similarity": "wu-palmer",
    "parts_of_speech": list(PARTS_OF_SPEECH),
    "senses": "first",
    "threshold": THRESHOLD,
    "stop_words": "sklearn ENGLISH_STOP_WORDS, single characters",
}
COMPARING = "comparing words"
_BLOCK = 256  # words that are compared with all others at a time


@dataclass(frozen=True)
class Taxonomy:
    """Senses of words, and what lies above each.

    Attributes:
        first_sense: (word, part of speech) -> name of its most frequent sense, or None.
        above: sense -> the more general ones right above it.
    """

    first_sense: Callable[[str, str], str | None]
    above: Callable[[str], Sequence[str]]
    _distances: dict[str, Mapping[str, int]] = field(default_factory=dict)
    _depths: dict[str, tuple[int, int]] = field(default_factory=dict)

    def distances(self, sense: str) -> Mapping[str, int]:
        """Every sense above it, and itself, with the fewest steps to it."""
        if sense not in self._distances:
            steps, level = {sense: 0}, [sense]
            while level:
                level = [upper for each in level for upper in self.above(each) if upper not in steps]
                steps |= dict.fromkeys(level, max(steps.values()) + 1)
            self._distances[sense] = steps
        return self._distances[sense]

    def depths(self, sense: str) -> tuple[int, int]:
        """Steps to the top, at least and at most."""
        if sense not in self._depths:
            upper = [self.depths(each) for each in self.above(sense)]
            least = 1 + min(low for low, _ in upper) if upper else 0
            self._depths[sense] = least, 1 + max(high for _, high in upper) if upper else 0
        return self._depths[sense]

    def similarity(self, one: str, other: str) -> float:
        """Wu-Palmer similarity of two senses, from 0 (nothing above both) to 1 (the same).

        Source: Wu & Palmer 1994, with NLTK's depths and choice of the lowest common sense and without an artificial
        top; steps are counted along the shortest path, as NLTK does. Its own function finds every path anew for each
        pair, which takes fifty times as long.
        """
        ours, theirs = self.distances(one), self.distances(other)
        common = ours.keys() & theirs.keys()
        if not common:
            return 0.0
        lowest = max(self.depths(sense)[0] for sense in common)
        candidates = [sense for sense in common if self.depths(sense)[0] == lowest]
        subsumer = one if one in candidates else min(candidates)
        above = self.distances(subsumer)
        lengths = (
            min(steps[sense] + more for sense, more in above.items() if sense in steps) for steps in (ours, theirs)
        )
        depth = self.depths(subsumer)[1] + 1
        return 2.0 * depth / (sum(lengths) + 2 * depth)


def is_compared(word: str) -> bool:
    """Whether a word can be similar to another: no stop word, and no single character, such as the s of `it 's`."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return len(word) > 1 and word not in ENGLISH_STOP_WORDS


def wordsim_relations(inputs: TrainingInputs, taxonomy: Taxonomy, progress: Progress) -> tuple[list[str], Relations]:
    """The words, and their similarities: 1 for a word with itself, in WordNet or not."""
    words = sorted(filter(is_compared, frozenset().union(*inputs.words)))
    senses = {kind: [taxonomy.first_sense(word, kind) for word in words] for kind in PARTS_OF_SPEECH}
    has_sense = np.array([any(by_word) for by_word in zip(*senses.values(), strict=True)], dtype=bool)
    known = np.flatnonzero(has_sense)
    numbers = {words[number]: place for place, number in enumerate(known.tolist())}
    occurring = occurrences(inputs, inputs.examples, numbers)
    own = np.arange(len(words), dtype=np.int64)
    firsts, seconds, values = [own], [own], [np.ones(len(words), dtype=np.float32)]
    for start in range(0, len(known), _BLOCK):
        first, second, _ = joint_counts(occurring, start, _BLOCK)
        first, second = known[first], known[second]
        similar = np.array(
            [
                _of_words(taxonomy, senses, one, other)
                for one, other in zip(first.tolist(), second.tolist(), strict=True)
            ],
            dtype=np.float32,
        )
        kept = similar >= THRESHOLD
        firsts.append(first[kept])
        seconds.append(second[kept])
        values.append(similar[kept])
        progress(COMPARING, min(start + _BLOCK, len(known)), len(known))
    return words, Relations.of(len(words), np.concatenate(firsts), np.concatenate(seconds), np.concatenate(values))


def _of_words(taxonomy: Taxonomy, senses: Mapping[str, Sequence[str | None]], one: int, other: int) -> float:
    """The best similarity of two words over the parts of speech that both have."""
    best = 0.0
    for by_word in senses.values():
        left, right = by_word[one], by_word[other]
        if left is not None and right is not None:
            best = max(best, taxonomy.similarity(left, right))
    return best
