"""The one prepared form: a folder of parquet files, one a split, and a manifest that says where they came from."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from agcli.errors import DataError, unreadable
from agcli.runs.atomic import write_folder, writing

MANIFEST = "manifest.json"
FORMAT = 1
SPLITS = ("train", "dev", "test")
COLUMNS = ("id", "text_a", "text_b", "label", "document")
# Rows that the digest takes at a time, column by column: 400,000 rows take 0.3 s (row by row: 2 s). Part of FORMAT.
_DIGEST_ROWS = 4096
# What the prepared form of ranking data has beside a manifest and train.parquet; see `ranking/prepared.py`.
_RANKING_FILES = ("corpus.arrow", "queries.parquet", "qrels.parquet", "candidates.arrow", "bm25")
# What may lie beside the prepared files and outlives an overwrite: the sample's source, a note.
_MAY_LIE_BESIDE = frozenset({"pairs.tsv", "README.md", ".keep"})


@dataclass(frozen=True)
class PreparedDataset:
    """A prepared data set: what every command reads, whatever the source was.

    Attributes:
        folder: where it lies.
        name: its name in reports.
        labels: label names; a label's index in a model is its place here.
        splits: split name -> frame with the columns `id`, `text_a`, `text_b`, `label` (all str; `label` is one
            of `labels`) and `document` (str, empty where the source names no document), in source order.
        manifest: the manifest as written; `digest` identifies the data, `credentialed` forbids its text in
            logs, reports, model cards and error messages.
    """

    folder: Path
    name: str
    labels: tuple[str, ...]
    splits: dict[str, pd.DataFrame]
    manifest: dict[str, Any]

    @property
    def digest(self) -> str:
        """SHA-256 over labels and splits: equal digests mean equal data."""
        return str(self.manifest["digest"])

    @property
    def credentialed(self) -> bool:
        """Whether the text must stay out of everything that is written or printed."""
        return bool(self.manifest.get("credentialed", False))

    def frame(self, split: str) -> pd.DataFrame:
        """The rows of a split.

        Raises:
            DataError: there is no such split.
        """
        if split not in self.splits:
            raise DataError(f"the data set has no {split} split", file=self.folder, allowed=sorted(self.splits))
        return self.splits[split]


def data_digest(labels: tuple[str, ...], splits: dict[str, pd.DataFrame]) -> str:
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


def load_prepared(folder: Path) -> PreparedDataset:
    """Read a prepared folder and check it against its manifest.

    Raises:
        DataError: no manifest, an unknown format, or a parquet file that is missing, broken or altered.
    """
    manifest = read_manifest(folder)
    if manifest.get("task", "classification") != "classification":
        raise DataError(
            "this data set holds claims with documents to rank, no pairs with labels",
            file=folder,
            hint="ag rank --help",
        )
    splits = {split: _read_split(folder / f"{split}.parquet") for split in manifest["splits"]}
    labels = tuple(manifest["labels"])
    if data_digest(labels, splits) != manifest["digest"]:
        raise DataError(
            "the data differ from what the manifest recorded (digest mismatch)",
            file=folder,
            hint="prepare the data again; do not edit prepared files by hand",
        )
    for split, frame in splits.items():
        strange = frame.loc[~frame["label"].isin(labels), "label"]
        if len(strange):
            raise DataError(
                "a label is outside the manifest's set",
                file=folder / f"{split}.parquet",
                row=int(strange.index[0]) + 1,
                column="label",
                allowed=labels,
            )
    return PreparedDataset(folder, str(manifest["name"]), labels, splits, manifest)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a prepared folder of either kind.

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
        raise DataError(
            f"this manifest is not of format {FORMAT}",
            file=path,
            hint="run `ag prepare` again with this version",
        )
    _check_manifest(manifest, path)
    return manifest


def _check_manifest(manifest: dict[str, Any], path: Path) -> None:
    kind = "files" if "task" in manifest else "labels"
    absent = [key for key in ("name", kind, "splits", "digest") if key not in manifest]
    if absent:
        raise DataError("the manifest lacks an entry", file=path, column=absent[0])
    unknown = [split for split in manifest["splits"] if split not in SPLITS]
    if unknown:
        raise DataError("the manifest names an unknown split", file=path, value=unknown[0], allowed=SPLITS)


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


def check_target(folder: Path, overwrite: bool, sources: Iterable[Path] = ()) -> None:
    """Whether a prepared data set may be written here; asked before a long reading, and again before writing.

    Args:
        folder: where it shall lie.
        overwrite: a prepared data set that is there may be replaced.
        sources: the files and folders that it is made from.

    Raises:
        DataError: something is there already, and it may not, or must not, be replaced.
        RunError: the system does not let us look.
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
    ours = {MANIFEST, *(f"{split}.parquet" for split in SPLITS), *_RANKING_FILES} if MANIFEST in entries else set()
    foreign = sorted(entries - ours - _MAY_LIE_BESIDE)
    if foreign:
        problem = "this folder holds something that `ag prepare` did not write"
        raise DataError(problem, file=folder, value=foreign[0], hint=elsewhere)
    if entries & ours and not overwrite:
        raise DataError("already there", file=folder, hint="--overwrite replaces it; --output DIR writes elsewhere")


def write_prepared(
    folder: Path, splits: Mapping[str, pd.DataFrame], manifest: Mapping[str, Any], *, overwrite: bool = False
) -> PreparedDataset:
    """Write a prepared data set whole or not at all: a temporary folder beside it, synced, then renamed.

    Args:
        folder: where it shall lie.
        splits: split name -> frame with `COLUMNS`.
        manifest: the manifest; `name`, `labels` and `digest` must be in it.
        overwrite: replace a prepared data set that is there.

    Raises:
        DataError: see `check_target`.
        RunError: the disk refuses.
    """
    check_target(folder, overwrite)

    def write(aside: Path) -> None:
        for split, frame in splits.items():
            frame.to_parquet(aside / f"{split}.parquet", index=False)
        (aside / MANIFEST).write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        for name in _MAY_LIE_BESIDE:
            if (folder / name).is_file():
                shutil.copy2(folder / name, aside / name)

    write_folder(folder, write)
    return PreparedDataset(folder, str(manifest["name"]), tuple(manifest["labels"]), dict(splits), dict(manifest))
