"""Values of pairs of words, looked up for the words of one input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Values = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Relations:
    """Symmetric values of pairs of numbered words; 0 for every other pair.

    Attributes:
        size: the number of words.
        keys: `first * size + second` of each pair, first <= second, ascending.
        within_text: whether a pair counts inside one text of an input only.
    """

    size: int
    keys: Numbers
    values: Values
    within_text: bool = False

    @classmethod
    def of(cls, size: int, first: Numbers, second: Numbers, values: Values, within_text: bool = False) -> Relations:
        """From the two words of each pair, in either order; of a pair that is given twice the larger value counts."""
        low, high = np.minimum(first, second).astype(np.int64), np.maximum(first, second).astype(np.int64)
        keys = low * size + high
        order = np.lexsort((values, keys))
        last = np.append(np.diff(keys[order]) > 0, True)[: len(keys)]
        return cls(size, keys[order][last], values[order][last].astype(np.float32), within_text)

    @property
    def pairs(self) -> tuple[Numbers, Numbers]:
        """The two words of each pair."""
        return self.keys // self.size, self.keys % self.size

    def among(self, numbers: Numbers) -> Values:
        """The value of each two of these words, which are different and ascending; (n,) -> (n, n), symmetric."""
        values = np.zeros((len(numbers), len(numbers)), dtype=np.float32)
        if not len(self.keys) or not len(numbers):
            return values
        row, column = np.triu_indices(len(numbers))
        wanted = numbers[row] * self.size + numbers[column]
        places = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        here = self.keys[places] == wanted
        row, column, known = row[here], column[here], self.values[places[here]]
        values[row, column] = known
        values[column, row] = known
        return values

    def of_tokens(self, numbers: Numbers, sides: NDArray[np.signedinteger[Any]]) -> Values:
        """The value of each two tokens by the words that they stand for.

        Args:
            numbers: of each token's word; -1: none.
            sides: the text of the input that each token is from.

        Shape:
            (length,), (length,) -> (length, length), symmetric.
        """
        different, places = np.unique(numbers, return_inverse=True)
        nothing = int(len(different) > 0 and different[0] < 0)  # unique puts -1 first
        values = np.zeros((len(different), len(different)), dtype=np.float32)
        values[nothing:, nothing:] = self.among(different[nothing:])
        tokens: Values = values[np.ix_(places, places)]
        return tokens * (sides[:, None] == sides) if self.within_text else tokens
