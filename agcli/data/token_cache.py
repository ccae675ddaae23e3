"""Tokenised data that the cells of a sweep share, in the sweep's folder; read memory-mapped.

SWEEP/tokenised/<key>/  entry.json  what the key is made of, and the hash of each array
                        *.npy       the rows' tokens one after another, and where each row begins
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from filelock import FileLock
from numpy.typing import NDArray

from agcli.data.batching import TRUNCATION, Examples, Rows
from agcli.data.prepared import PreparedPairs
from agcli.data.ranking.prepared import PreparedRanking
from agcli.errors import RunError
from agcli.runs.atomic import clear_leftovers, sha256, write_folder

FORMAT = 1
"""Increased when the stored form changes."""
ENTRY, BOUNDS, TRUNCATED = "entry.json", "bounds", "truncated"
WHOLE_FROM = 0.1
"""Part of a split from which all of it is tokenised and kept. Each seed draws another subset: the ten seeds of a recipe
together need as much as there is once each needs a tenth, and further variants and sizes cost nothing. With 4,000
of 18,000 MultiNLI pairs the first cell takes 4.5 s instead of 1.6, each further one 0.1. A smaller subset (200 of a
million pairs) is kept by itself, for the other cells of its seed."""

Tokens = NDArray[np.int32]
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class TokenRows(Sequence[Mapping[str, Any]]):
    """Rows of stored tokens as views of the arrays: nothing is copied before a batch is made.

    Attributes:
        fields: `input_ids` and perhaps `token_type_ids`: the tokens of all stored rows one after another.
        bounds: where each stored row begins, and where the last one ends; shape (stored + 1,).
        rows: the stored rows that these are, in this order.
    """

    fields: Mapping[str, Tokens]
    bounds: Rows
    rows: Rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> Mapping[str, Any]:  # type: ignore[override]
        stored = self.rows[row]
        start, end = self.bounds[stored], self.bounds[stored + 1]
        return {name: values[start:end] for name, values in self.fields.items()}

    @property
    def lengths(self) -> Rows:
        """Tokens of each row, shape (rows,)."""
        lengths: Rows = np.diff(self.bounds)[self.rows]
        return lengths


@dataclass(frozen=True, eq=False)
class TokenStore:
    """The tokens of one data set by a fast Hugging Face tokenizer, stored in a folder.

    Where the folder cannot be used, each run tokenises for itself. `max_length` is that of a pair or a text, in tokens.
    """

    folder: Path
    data_digest: str
    tokenizer: Any
    max_length: int

    def pairs(
        self, split: str, rows: Rows, available: int, make: Callable[[Rows], Examples]
    ) -> tuple[TokenRows, NDArray[np.bool_]]:
        """These rows of a split as `make` encodes them, and which of them it truncates; `available` rows exist."""

        def arrays(chosen: Rows) -> Arrays:
            made = make(chosen)
            return {**_packed(made.encoded), TRUNCATED: made.truncated}

        tokens, kept_arrays = self._kept(f"{split}: pairs, {TRUNCATION}", rows, available, arrays)
        return tokens, kept_arrays[TRUNCATED][tokens.rows]

    def texts(
        self, kind: str, rows: Rows, available: int, make: Callable[[Rows], Sequence[Tokens]]
    ) -> Sequence[Tokens]:
        """The same for single texts without special tokens; `kind` names the texts."""

        def arrays(chosen: Rows) -> Arrays:
            return _packed([{"input_ids": tokens} for tokens in make(chosen)])

        tokens, _ = self._kept(f"{kind}: texts apart", rows, available, arrays)
        return [fields["input_ids"] for fields in tokens]

    def _kept(self, what: str, rows: Rows, available: int, make: Callable[[Rows], Arrays]) -> tuple[TokenRows, Arrays]:
        """The tokens of these rows, and the arrays that hold them."""
        rows = np.ascontiguousarray(rows, dtype=np.int64)
        everything = np.arange(available)
        whole = len(rows) >= WHOLE_FROM * available
        entry = {
            "format": FORMAT,
            "data": self.data_digest,
            "tokenizer": self._tokenizer_digest,
            "tokenizers": tokenizers.__version__,
            "max_length": self.max_length,
            "what": what,
            "rows": "all" if whole else hashlib.sha256(rows.tobytes()).hexdigest(),
        }
        key = hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()
        arrays = kept(self.folder / key[:32], entry, lambda: make(everything if whole else rows))
        fields = {name: values for name, values in arrays.items() if name not in (BOUNDS, TRUNCATED)}
        return TokenRows(fields, arrays[BOUNDS], rows if whole else everything[: len(rows)]), arrays

    @cached_property
    def _tokenizer_digest(self) -> str:
        """SHA-256 of the content of `tokenizer.json`, and of what transformers adds to it."""
        beside = ("model_input_names", "truncation_side", "split_special_tokens")
        settings: dict[str, Any] = {name: getattr(self.tokenizer, name, None) for name in beside}
        settings |= json.loads(self.tokenizer.backend_tokenizer.to_str())
        # Truncation and padding are those of the tokenizer's last call; ours are in the key.
        settings = {name: value for name, value in settings.items() if name not in ("truncation", "padding")}
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def open_store(
    folder: Path | None, dataset: PreparedPairs | PreparedRanking, tokenizer: Any, max_length: int
) -> TokenStore | None:
    """The store of a data set; None without a folder, and for credentialed data, whose text tokens would give away."""
    if folder is None or dataset.credentialed:
        return None
    return TokenStore(folder, dataset.digest, tokenizer, max_length)


def kept(place: Path, entry: Mapping[str, object], make: Callable[[], Arrays]) -> Arrays:
    """Arrays from their folder, memory-mapped; made and written there if they are absent or damaged.

    Of several processes one makes them and the others wait. Where the disk refuses or has no locks, each makes its own.
    """
    arrays = _read(place)
    if arrays is not None:
        return arrays
    with ExitStack() as stack:
        with suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(place.with_name(f".{place.name}.lock"), fallback_to_soft=False))
            clear_leftovers(place.parent, f"{place.name}.*")  # what killed processes left half-written
            arrays = _read(place)
        if arrays is None:
            arrays = make()
            with suppress(RunError):
                _write(place, entry, arrays)
                arrays = _read(place) or arrays
    return arrays


def _write(place: Path, entry: Mapping[str, object], arrays: Arrays) -> None:
    def write(aside: Path) -> None:
        for name, values in arrays.items():
            np.save(aside / f"{name}.npy", values, allow_pickle=False)
        hashes = {name: sha256(aside / f"{name}.npy") for name in arrays}
        (aside / ENTRY).write_text(json.dumps({**entry, "sha256": hashes}, indent=2) + "\n", encoding="utf-8")

    write_folder(place, write)


def _read(place: Path) -> Arrays | None:
    """The arrays of a folder; None unless every one is there as it was written.

    The hashes cost a reading: 0.01 s for 25,000 MultiNLI pairs (8 MB), which take seconds to tokenise.
    """
    try:
        hashes = json.loads((place / ENTRY).read_text(encoding="utf-8"))["sha256"]
        if any(sha256(place / f"{name}.npy") != recorded for name, recorded in hashes.items()):
            return None
        # A plain view of the map: slices of np.memmap itself cost a Python call each.
        return {name: np.asarray(np.load(place / f"{name}.npy", mmap_mode="r")) for name in hashes}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # not there, cut short, or no longer JSON
        return None


def _packed(encoded: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[Any]]:
    """Rows as one flat array for each field, and `bounds`."""
    bounds = np.concatenate([[0], np.cumsum([len(row["input_ids"]) for row in encoded], dtype=np.int64)])
    flat = {
        name: np.fromiter(chain.from_iterable(row[name] for row in encoded), dtype=np.int32, count=int(bounds[-1]))
        for name in encoded[0]
    }
    return {**flat, BOUNDS: bounds}
