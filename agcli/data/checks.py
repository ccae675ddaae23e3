"""Checks and counts that the preparation of pairs and that of ranking data share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import TypeVar

import numpy as np

from agcli.data.pairs import SPLITS
from agcli.errors import DataError

Split = TypeVar("Split")


def ordered(splits: Mapping[str, Split]) -> dict[str, Split]:
    """The splits in the order train, dev, test."""
    return {split: splits[split] for split in SPLITS if split in splits}


def split_pairs(splits: Mapping[str, object]) -> list[tuple[str, str]]:
    """Names of every two splits, the earlier one first."""
    return list(combinations(ordered(splits), 2))


def shared_between(contents: Mapping[str, Collection[str]]) -> Iterator[tuple[str, str, list[str]]]:
    """Names of every two splits that share something, and what they share, in the later one's order."""
    for earlier, later in split_pairs(contents):
        both = [item for item in contents[later] if item in contents[earlier]]
        if both:
            yield earlier, later, both


def with_roles(splits: Mapping[str, Split], one_is_test: bool) -> tuple[dict[str, Split], dict[str, str]]:
    """The splits in their order, and the roles that changed: where `one_is_test`, a dev without a test is the test."""
    if one_is_test and "dev" in splits and "test" not in splits:
        renamed = {"test" if name == "dev" else name: split for name, split in splits.items()}
        return ordered(renamed), {"dev": "test"}
    return ordered(splits), {}


def check_characters(file: str, row: int, *texts: str) -> None:
    """Check that texts can be written to a file.

    Raises:
        DataError: half of a surrogate pair.
    """
    for text in texts:
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                problem = "text with half of a surrogate pair, which is no character"
                raise DataError(problem, file=file, row=row) from None


def check_ids(
    what: str, rows: Iterable[tuple[str, str, int, str]], *, column: str | None = None, hint: str | None = None
) -> None:
    """Check that every id occurs once.

    Args:
        what: whose ids these are, for messages.
        rows: split, file, row and id of each.

    Raises:
        DataError: an id occurs twice; both rows are named.
    """
    seen: dict[str, tuple[str, str, int]] = {}
    for split, file, row, identifier in rows:
        if identifier in seen:
            other, first_file, first_row = seen[identifier]
            place = f"row {first_row}" if first_file == file else f"{first_file}, row {first_row}"
            problem = f"this {what} occurs already in {place}"
            problem += f" ({other}): it cannot be in {split} too" if other != split else ""
            raise DataError(problem, file=file, row=row, column=column, value=identifier, hint=hint)
        seen[identifier] = split, file, row


def dropped_text(dropped: Mapping[str, int]) -> str:
    """How many were dropped for which reason, for messages; empty where none was."""
    return "; ".join(f"{count} dropped: {reason}" for reason, count in dropped.items())


def dropped_warnings(dropped: Mapping[str, Counter[str]]) -> list[str]:
    """The same by split, a warning for each reason."""
    return [f"{split}: {count} dropped ({why})" for split, counts in dropped.items() for why, count in counts.items()]


def percentiles(lengths: Sequence[int]) -> dict[str, float]:
    """Minimum, percentiles, maximum and mean; a percentile is a length that occurs (the lower neighbour)."""
    values = np.asarray(lengths)
    cuts = {f"p{q}": int(np.percentile(values, q, method="lower")) for q in (50, 90, 95, 99)}
    return {"min": int(values.min()), **cuts, "max": int(values.max()), "mean": round(float(values.mean()), 2)}
