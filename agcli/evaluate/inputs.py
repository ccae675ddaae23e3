"""Runs or rankings to evaluate together: opened with one error for all that fail, named, and aligned with the first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from agcli.errors import DataError, RunError, UsageError, counted
from agcli.measures.classification import Predictions
from agcli.ranking.saved_rankings import SavedRanking
from agcli.runs.folder import RunFolder

T = TypeVar("T")
C = TypeVar("C")
Folder = TypeVar("Folder", RunFolder, SavedRanking)
NAMED_PATHS = 8
"""Paths that one message lists."""


@dataclass(frozen=True, eq=False)
class Evaluation(Generic[T, C]):
    """Runs or rankings on one split.

    Attributes:
        dataset: name of the data set; None where it is each run's own.
        seed: of the bootstrap and of the permutation tests.
        comparisons: of each further one with the first; of a single ranking with its own first stage.
        notes: warnings about the numbers.
    """

    split: str
    dataset: str | None
    resamples: int
    seed: int
    runs: tuple[T, ...]
    comparisons: tuple[C, ...]
    notes: tuple[str, ...]


def open_all(paths: Sequence[Path], open_one: Callable[[Path], T]) -> list[T]:
    """Open every path.

    Raises:
        DataError: several cannot be opened, each named with its reason.
        AgError: one cannot: its own error.
    """
    opened: list[T] = []
    errors: dict[Path, DataError | RunError] = {}
    for path in paths:
        try:
            opened.append(open_one(path))
        except (DataError, RunError) as error:
            errors[path] = error
    if len(errors) == 1:
        raise next(iter(errors.values()))
    if errors:
        named = [f"{path} ({_reason(path, error)})" for path, error in list(errors.items())[:NAMED_PATHS]]
        named += [f"and {len(errors) - NAMED_PATHS} more"] if len(errors) > NAMED_PATHS else []
        problem = f"{len(errors)} of {len(paths)} paths cannot be evaluated: {'; '.join(named)}"
        raise DataError(problem, hint="leave them out")
    return opened


def open_distinct(
    paths: Sequence[Path], open_one: Callable[[Path], Folder], noun: str
) -> tuple[list[Folder], list[str]]:
    """`open_all`, and the names: folders' names, or the given paths where two names are equal.

    Raises:
        UsageError: two paths lead to the same run or ranking; `noun` names which.
        AgError: as of `open_all`.
    """
    opened = open_all(paths, open_one)
    if len({item.path.resolve() for item in opened}) < len(opened):
        raise UsageError(f"the same {noun} is given twice", hint=f"name each {noun} once")
    names = [item.name for item in opened]
    return opened, names if len(set(names)) == len(names) else list(map(str, paths))


def different_splits(what: str, names: Sequence[str], splits: Sequence[str]) -> UsageError:
    """The error for runs or rankings of which no one split is meant."""
    listed = "; ".join(f"{name}: {split}" for name, split in zip(names, splits, strict=True))
    return UsageError(f"the {what} different splits ({listed})", hint="choose one with --split dev")


def aligned_all(items: Sequence[T], names: Sequence[str], align: Callable[[T, T], T]) -> list[T]:
    """Predictions or rankings in the order of the first.

    Raises:
        DataError: of `align`, with the names of both.
    """
    matched = [items[0]]
    for name, other in zip(names[1:], items[1:], strict=True):
        try:
            matched.append(align(items[0], other))
        except DataError as error:
            problem = f"{names[0]!r} and {name!r} cannot be compared: {error}"
            raise DataError(problem, hint=error.hint) from None
    return matched


def aligned(reference: Predictions, other: Predictions) -> Predictions:
    """`other` with its rows and labels in the order of `reference`.

    Raises:
        DataError: the two differ in labels, ids or gold labels, or an id occurs twice.
    """
    same_data = "evaluate both on the same data set with --dataset"
    if set(reference.labels) != set(other.labels):
        raise DataError(
            "the two runs have different labels",
            value=list(other.labels),
            allowed=reference.labels,
            hint="evaluate each by itself: `ag evaluate RUN`; runs can be compared whose labels are the same",
        )
    place = {identifier: row for row, identifier in enumerate(other.ids)}
    if len(place) < len(other.ids) or len(set(reference.ids)) < len(reference.ids):
        raise DataError(
            "an id occurs twice, so that the examples of the two runs cannot be matched",
            hint="evaluate each by itself: `ag evaluate RUN`",
        )
    unmatched = len(place.keys() ^ set(reference.ids))
    if unmatched:
        problem = f"the two runs were evaluated on different examples ({counted(unmatched, 'id')} in only one of them)"
        raise DataError(problem, hint=same_data)
    rows = np.array([place[identifier] for identifier in reference.ids])
    columns = [other.labels.index(label) for label in reference.labels]
    gold = np.argsort(columns)[other.gold[rows]]
    differ = int((gold != reference.gold).sum())
    if differ:
        raise DataError(f"the second run has another gold label of {counted(differ, 'example')}", hint=same_data)
    probabilities = other.probabilities[rows][:, columns]
    return replace(other, ids=reference.ids, labels=reference.labels, gold=gold, probabilities=probabilities)


def _reason(path: Path, error: DataError | RunError) -> str:
    """The error without the path, and without what would be allowed."""
    message = error.message if isinstance(error, DataError) else str(error).removeprefix(f"{path}: ")
    return message.removesuffix(".")
