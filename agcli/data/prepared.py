"""The prepared form of every source: a folder with a manifest and, for pairs, a parquet file for each split."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

import agcli
from agcli.data.pairs import SPLITS, SourceRecord
from agcli.data.request import CLASSIFICATION, RANKING, PrepareRequest
from agcli.errors import DataError, unreadable
from agcli.runs.atomic import write_folder, writing

MANIFEST = "manifest.json"
KNOWLEDGE = "knowledge"
"""The folder beside the prepared files with what `ag prepare --knowledge` made of them; not part of the digest."""
FORMAT = 1
COLUMNS = ("id", "text_a", "text_b", "label", "document")
# Rows that the digest takes at a time, column by column: 400,000 rows take 0.3 s (row by row: 2 s). Part of FORMAT.
_DIGEST_ROWS = 4096
_RANKING_FILES = ("corpus.arrow", "queries.parquet", "qrels.parquet", "candidates.arrow", "bm25")
# What may lie beside the prepared files and outlives an overwrite: the sample's source, a note.
_MAY_LIE_BESIDE = frozenset({"pairs.tsv", "README.md", ".keep"})


@dataclass(frozen=True, eq=False)
class Prepared:
    """A prepared data set of either kind."""

    folder: Path
    manifest: dict[str, Any]

    @property
    def name(self) -> str:
        """The name in reports."""
        return str(self.manifest["name"])

    @property
    def digest(self) -> str:
        """SHA-256 over all data that can change a result."""
        return str(self.manifest["digest"])

    @property
    def credentialed(self) -> bool:
        """Whether the text must not be written or printed."""
        return bool(self.manifest.get("credentialed", False))

    @property
    def knowledge(self) -> tuple[str, ...]:
        """Names of the knowledge that has been made of the data, or of data that lay there before."""
        made = (self.folder / KNOWLEDGE).glob(f"*/{MANIFEST}")
        return tuple(sorted(path.parent.name for path in made if not path.parent.name.startswith(".")))

    def no_split(self, split: str, splits: Iterable[str]) -> DataError:
        """The error for a missing split."""
        return DataError(f"the data set has no {split} split", file=self.folder, allowed=splits)


@dataclass(frozen=True, eq=False)
class PreparedPairs(Prepared):
    """Pairs of texts with labels.

    Attributes:
        splits: for each split, a frame in source order with the columns `id`, `text_a`, `text_b`, `label` (one of
            `labels`) and `document` (empty where the source names none), all str.
    """

    splits: dict[str, pd.DataFrame]

    @property
    def labels(self) -> tuple[str, ...]:
        """Label names in the order of a model's outputs."""
        return tuple(self.manifest["labels"])

    def frame(self, split: str) -> pd.DataFrame:
        """The rows of a split.

        Raises:
            DataError: there is no such split.
        """
        if split not in self.splits:
            raise self.no_split(split, sorted(self.splits))
        return self.splits[split]


def load_prepared(folder: Path) -> PreparedPairs:
    """Read prepared pairs and check them against their manifest.

    Raises:
        DataError: no manifest, an unknown format, ranking data, or a parquet file that is missing, broken or altered.
    """
    manifest = read_manifest(folder)
    if manifest["task"] == RANKING:
        problem = "this data set holds queries with documents to rank, no pairs with labels"
        raise DataError(problem, file=folder, hint="ag rank --help")
    prepared = PreparedPairs(
        folder, manifest, {split: _read_split(folder / f"{split}.parquet") for split in manifest["splits"]}
    )
    if data_digest(prepared.labels, prepared.splits) != prepared.digest:
        raise DataError(
            "the data differ from what the manifest recorded (digest mismatch)",
            file=folder,
            hint="prepare the data again; do not edit prepared files by hand",
        )
    for split, frame in prepared.splits.items():
        strange = frame.loc[~frame["label"].isin(prepared.labels), "label"]
        if len(strange):
            raise DataError(
                "a label is outside the manifest's set",
                file=folder / f"{split}.parquet",
                row=int(strange.index[0]) + 1,
                column="label",
                allowed=prepared.labels,
            )
    return prepared


def write_pairs(
    folder: Path, splits: Mapping[str, pd.DataFrame], manifest: Mapping[str, Any], *, overwrite: bool = False
) -> PreparedPairs:
    """Write prepared pairs whole or not at all.

    Args:
        splits: for each split, a frame with `COLUMNS`.
        manifest: with `name`, `labels` and `splits`; the rest is filled in.

    Raises:
        DataError: see `check_target`.
        RunError: the disk refuses.
    """

    def write(aside: Path) -> dict[str, Any]:
        for split, frame in splits.items():
            frame.to_parquet(aside / f"{split}.parquet", index=False)
        return {"digest": data_digest(manifest["labels"], splits)}

    written = write_prepared(folder, {"task": CLASSIFICATION, **manifest}, write, overwrite=overwrite)
    return PreparedPairs(folder, written, dict(splits))


def data_digest(labels: Iterable[str], splits: Mapping[str, pd.DataFrame]) -> str:
    """SHA-256 of the labels and every cell in order; independent of how parquet happens to encode them."""
    digest = hashlib.sha256(json.dumps(list(labels)).encode())
    for split in SPLITS:
        if split in splits:
            digest.update(split.encode())
            for start in range(0, len(splits[split]), _DIGEST_ROWS):
                rows = splits[split].iloc[start : start + _DIGEST_ROWS]
                for column in COLUMNS:
                    digest.update(json.dumps(rows[column].tolist(), ensure_ascii=False).encode())
    return digest.hexdigest()


def _read_split(path: Path) -> pd.DataFrame:
    try:
        frame = pd.read_parquet(path)
    except FileNotFoundError:
        raise DataError("the manifest lists this file, but it is missing", file=path) from None
    except PermissionError as error:
        raise unreadable(path, error, path) from None
    except Exception as error:
        raise DataError(f"not a readable parquet file ({type(error).__name__})", file=path) from None
    missing = [column for column in COLUMNS if column not in frame.columns]
    if missing:
        raise DataError("a prepared file lacks a column", file=path, column=missing[0], allowed=COLUMNS)
    return frame[list(COLUMNS)]


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a prepared folder of either kind; `task` is filled in where an earlier version wrote none.

    Raises:
        DataError: no manifest, one that cannot be read, or one of an unknown format.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError("this folder is not a prepared data set: it has no manifest.json", file=folder) from None
    except OSError as error:
        raise unreadable(path, error, path) from None
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(f"the manifest is not valid JSON ({error})", file=path) from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        hint = "run `ag prepare` again with this version"
        raise DataError(f"this manifest is not of format {FORMAT}", file=path, hint=hint)
    manifest.setdefault("task", CLASSIFICATION)
    contents = "files" if manifest["task"] == RANKING else "labels"
    absent = [key for key in ("name", contents, "splits", "digest") if key not in manifest]
    if absent:
        raise DataError("the manifest lacks an entry", file=path, column=absent[0])
    unknown = [split for split in manifest["splits"] if split not in SPLITS]
    if unknown:
        raise DataError("the manifest names an unknown split", file=path, value=unknown[0], allowed=SPLITS)
    return manifest


def origin(
    request: PrepareRequest,
    source_format: str,
    sources: Iterable[SourceRecord],
    not_used: Mapping[str, str],
    credentialed: bool,
) -> dict[str, Any]:
    """The manifest's entries on the origin of the data."""
    return {
        "name": request.name,
        "source_format": source_format,
        "credentialed": credentialed,
        "license": request.license,
        "sources": [asdict(source) for source in sources],
        "not_used": dict(not_used),
    }


def write_prepared(
    folder: Path, manifest: Mapping[str, Any], write: Callable[[Path], dict[str, Any]], *, overwrite: bool = False
) -> dict[str, Any]:
    """Write a prepared data set whole or not at all, and return its manifest.

    Args:
        manifest: the entries that are known before.
        write: writes the files into the folder it is given, and returns the remaining entries.

    Raises:
        DataError: see `check_target`.
        RunError: the disk refuses.
    """
    check_target(folder, overwrite)
    written: dict[str, Any] = {"format": FORMAT, **manifest}

    def fill(aside: Path) -> None:
        written.update(write(aside), agcli_version=agcli.__version__)
        (aside / MANIFEST).write_text(json.dumps(written, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        for name in _MAY_LIE_BESIDE:
            if (folder / name).is_file():
                shutil.copy2(folder / name, aside / name)

    write_folder(folder, fill)
    return written


def check_target(folder: Path, overwrite: bool, sources: Iterable[Path] = ()) -> None:
    """Check that a prepared data set may be written here; done before a long reading, and again before writing.

    Args:
        overwrite: a prepared data set that is there may be replaced.
        sources: the files and folders that it is made from.

    Raises:
        DataError: something is there that may not be replaced.
        RunError: the folder cannot be read.
    """
    elsewhere = "choose another folder with --output DIR"
    with writing(folder, elsewhere):
        if not folder.exists():
            return
        if not folder.is_dir():
            raise DataError("a file is there already", file=folder, hint=elsewhere)
        entries = {entry.name for entry in folder.iterdir()}
        replaced = [path for path in sources if path.name not in _MAY_LIE_BESIDE]
        inside = [path for path in replaced if path.resolve().is_relative_to(folder.resolve())]
    if Path.cwd().is_relative_to(folder.resolve()):
        raise DataError("the current folder cannot be replaced", file=folder.resolve(), hint=elsewhere)
    if inside:
        raise DataError("the source lies where its prepared form would replace it", file=inside[0], hint=elsewhere)
    # Only with a manifest are parquet files named after splits our own.
    named = {MANIFEST, KNOWLEDGE, *(f"{split}.parquet" for split in SPLITS), *_RANKING_FILES}
    ours = named if MANIFEST in entries else set()
    foreign = sorted(entries - ours - _MAY_LIE_BESIDE)
    if foreign:
        problem = "this folder holds something that `ag prepare` did not write"
        raise DataError(problem, file=folder, value=foreign[0], hint=elsewhere)
    if entries & ours and not overwrite:
        raise DataError("already there", file=folder, hint="--overwrite replaces it; --output DIR writes elsewhere")
