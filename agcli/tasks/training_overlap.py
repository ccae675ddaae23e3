"""Hashes of a run's training texts, so that an evaluation on the same texts is noticed.

trained_on.npy  one number of 8 bytes for each text or pair of texts, sorted; no text can be recovered from it
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agcli.data.pairs import folded
from agcli.errors import DataError, unreadable
from agcli.options import DataOptions, RankingOptions
from agcli.runs.atomic import write_bytes
from agcli.runs.folder import RunFolder
from agcli.tasks.base import load_dataset, make_task

FILE = "trained_on.npy"
Hashes = NDArray[np.uint64]
Texts = tuple[str, ...]


@dataclass(frozen=True)
class Overlap:
    """Number of evaluation rows, and how many of them are among a run's training rows."""

    shared: int
    of: int


def write_trained_on(folder: RunFolder, rows: Iterable[Texts]) -> None:
    """Record the training rows of a run.

    Raises:
        RunError: the disk refuses.
    """
    content = io.BytesIO()
    np.save(content, np.unique(_hashes(rows)), allow_pickle=False)
    write_bytes(folder.path / FILE, content.getvalue())


def training_overlaps(folders: Sequence[RunFolder], rows: Iterable[Texts]) -> list[Overlap | None]:
    """Count the rows that each run was trained on; case, white space and the order of a pair's texts do not count.

    Runs of earlier versions did not record their rows: theirs are read from the data set, where it is unchanged.

    Returns:
        A count for each run, or None where its training rows are unknown.

    Raises:
        DataError: a record cannot be read, or is damaged.
    """
    hashes = _hashes(rows)
    overlaps: list[Overlap | None] = []
    for folder in folders:
        file = folder.path / FILE
        known = _recorded(file) if file.is_file() else _from_data_set(folder)
        overlaps.append(None if known is None else Overlap(int(np.isin(hashes, known).sum()), len(hashes)))
    return overlaps


def overlap_warning(overlap: Overlap | None, run: str, rows: str, strict: bool = False) -> str:
    """A warning of rows that a run was, or may have been, trained on; else an empty string.

    Raises:
        DataError: the warning, under `strict`.
    """
    if overlap is None:
        warning = f"{run} has no {FILE}, and its data are gone or changed: it may have been trained on {rows}"
    elif overlap.shared:
        warning = f"{overlap.shared:,} of {overlap.of:,} {rows} are in what {run} was trained on"
    else:
        return ""
    if strict:
        raise DataError(f"{warning}: --strict-splits forbids that", hint="evaluate it on other data")
    return warning


def _hashes(rows: Iterable[Texts]) -> Hashes:
    """The first 8 bytes of BLAKE2b over the folded texts of each row, in alphabetical order; shape (num_rows,)."""
    digests = (blake2b("\n".join(sorted(map(folded, texts))).encode(), digest_size=8).digest() for texts in rows)
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


def _recorded(file: Path) -> Hashes:
    try:
        known = np.load(file, allow_pickle=False)
    except OSError as error:
        raise unreadable(file, error, file) from None
    except (ValueError, EOFError):
        known = None
    if not isinstance(known, np.ndarray) or known.dtype != np.uint64:
        raise DataError(
            "the record of what the run was trained on is damaged",
            file=file,
            hint="delete it: the rows are then read from the run's data set, as long as that is there",
        )
    return known


def _from_data_set(folder: RunFolder) -> Hashes | None:
    """Training rows of a run of an earlier version, from its data set; None where that is missing or has changed."""
    recorded = folder.environment.get("data", {})
    try:
        dataset = load_dataset(Path(recorded["folder"]))
    except (KeyError, DataError):
        return None
    if dataset.digest != recorded.get("digest"):
        return None
    options: dict[str, Any] = folder.config
    data, ranking = DataOptions(**_of(DataOptions, options)), RankingOptions(**_of(RankingOptions, options))
    seed = options["seed"] if data.subset_seed is None else data.subset_seed
    return _hashes(make_task(dataset, data, ranking, seed).training_texts())


def _of(section: type[DataOptions | RankingOptions], options: dict[str, Any]) -> dict[str, Any]:
    """The options of a section; those that a run of an earlier version did not have keep their defaults."""
    return {field.name: options[field.name] for field in fields(section) if field.name in options}
