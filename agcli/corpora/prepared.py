"""The one prepared form: a folder of parquet files, one a split, and a manifest that says where they came from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from agcli.errors import DataError

MANIFEST = "manifest.json"
FORMAT = 1
SPLITS = ("train", "dev", "test")
COLUMNS = ("id", "text_a", "text_b", "label", "document")


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


def data_digest(labels: tuple[str, ...], splits: dict[str, pd.DataFrame]) -> str:
    """SHA-256 of the labels and every cell in order; independent of how parquet happens to encode them."""
    digest = hashlib.sha256(json.dumps(list(labels)).encode())
    for split in SPLITS:
        if split in splits:
            digest.update(split.encode())
            for row in splits[split][list(COLUMNS)].itertuples(index=False):
                digest.update(json.dumps(list(row), ensure_ascii=False).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def load_prepared(folder: Path) -> PreparedDataset:
    """Read a prepared folder and check it against its manifest.

    Raises:
        DataError: no manifest, an unknown format, or a parquet file that is missing, broken or altered.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError("this folder is not a prepared data set: it has no manifest.json", file=folder) from None
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(f"the manifest is not valid JSON ({error})", file=path) from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise DataError(
            f"this manifest is not of format {FORMAT}", file=path, hint="run `ag prepare` again with this version"
        )
    splits = {split: _read_split(folder / f"{split}.parquet") for split in manifest["splits"]}
    labels = tuple(manifest["labels"])
    if data_digest(labels, splits) != manifest["digest"]:
        raise DataError(
            "the data differ from what the manifest recorded (digest mismatch)",
            file=folder,
            hint="prepare the data again; do not edit prepared files by hand",
        )
    return PreparedDataset(folder, str(manifest["name"]), labels, splits, manifest)


def _read_split(path: Path) -> pd.DataFrame:
    try:
        frame = pd.read_parquet(path)
    except FileNotFoundError:
        raise DataError("the manifest lists this file, but it is missing", file=path) from None
    except Exception as error:
        raise DataError(f"not a readable parquet file ({type(error).__name__})", file=path) from None
    missing = [column for column in COLUMNS if column not in frame.columns]
    if missing:
        raise DataError("a prepared file lacks a column", file=path, column=missing[0], allowed=COLUMNS)
    return frame[list(COLUMNS)]
