"""The prepared form of ranking data: documents, queries, judgements, first-stage candidates and training lists.

corpus.arrow        id, text; memory-mapped             candidates.arrow  rows of the corpus and first-stage scores
queries.parquet     split, id, text, candidates         train.parquet     lists: a positive, then its negatives
qrels.parquet       query, document, relevance          bm25/             the index behind the candidates
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from agcli.data.prepared import SPLITS, PreparedDataset, load_prepared, read_manifest
from agcli.errors import DataError, unreadable
from agcli.runs.atomic import sha256

Rows = NDArray[np.int32]
Scores = NDArray[np.float32]

TASK = "ranking"
INDEX = "bm25"
TRAIN = "train.parquet"


@dataclass(frozen=True, eq=False)
class RankingDataset:
    """A prepared ranking data set.

    Attributes:
        folder: where it lies.
        name: its name in reports.
        documents: columns `id` and `text`, memory-mapped.
        queries: columns `split`, `id`, `text` and `candidates` (their number).
        qrels: columns `query`, `document` and `relevance`.
        candidate_rows: rows of `documents`, query by query, best first.
        candidate_scores: their first-stage scores.
        lists: see `contents.RankingContents`.
        manifest: the manifest as written.
    """

    folder: Path
    name: str
    documents: pa.Table
    queries: pd.DataFrame
    qrels: pd.DataFrame
    candidate_rows: Rows
    candidate_scores: Scores
    lists: Rows | None
    manifest: dict[str, Any]

    @property
    def digest(self) -> str:
        """SHA-256 over everything that a result rests on."""
        return str(self.manifest["digest"])

    @property
    def collection_digest(self) -> str:
        """SHA-256 over documents, claims and judgements: what rankings that are compared must have in common."""
        return str(self.manifest["collection_digest"])

    @property
    def credentialed(self) -> bool:
        """Whether the text must stay out of everything that is written or printed."""
        return bool(self.manifest.get("credentialed", False))

    @property
    def depth(self) -> int:
        """Candidates of a query at most."""
        return int(self.manifest["depth"])

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """The splits that have queries."""
        return tuple(split for split in SPLITS if (self.queries["split"] == split).any())

    @cached_property
    def document_ids(self) -> list[str]:
        """Document id by row."""
        ids: list[str] = self.documents.column("id").to_pylist()
        return ids

    @cached_property
    def judgements(self) -> dict[str, dict[str, int]]:
        """Query id -> document id -> relevance."""
        found: dict[str, dict[str, int]] = {}
        for query, document, relevance in self.qrels.itertuples(index=False, name=None):
            found.setdefault(query, {})[document] = int(relevance)
        return found

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        return np.concatenate([[0], np.cumsum(self.queries["candidates"].to_numpy(dtype=np.int64))])

    def rows(self, split: str) -> Rows:
        """Rows of the queries of a split.

        Raises:
            DataError: there is no such split.
        """
        if split not in self.splits:
            raise DataError(f"the data set has no {split} split", file=self.folder, allowed=self.splits)
        return np.flatnonzero((self.queries["split"] == split).to_numpy()).astype(np.int32)

    def judged(self, split: str) -> Rows:
        """Rows of the queries of a split that have a relevant document: those that can be scored."""
        relevant = set(self.qrels.loc[self.qrels["relevance"] > 0, "query"])
        rows = self.rows(split)
        return rows[self.queries["id"].isin(relevant).to_numpy()[rows]]

    def candidates(self, row: int, depth: int) -> tuple[Rows, Scores]:
        """The first `depth` candidates of a query: rows of the documents and first-stage scores, best first."""
        start = self._starts[row]
        end = min(start + depth, self._starts[row + 1])
        return self.candidate_rows[start:end], self.candidate_scores[start:end]

    def texts(self, rows: Rows) -> list[str]:
        """The texts of these documents."""
        texts: list[str] = self.documents.column("text").take(pa.array(rows)).to_pylist()
        return texts


def load_ranking(folder: Path) -> RankingDataset:
    """Open a prepared ranking folder and check its files against the manifest's hashes.

    Raises:
        DataError: no manifest, an unknown format, a file that is missing, cannot be read or is altered.
    """
    manifest = read_manifest(folder)
    if manifest.get("task") != TASK:
        raise DataError("this data set holds pairs with labels, no claims with documents to rank", file=folder)
    for name, recorded in manifest["files"].items():
        if name.startswith(f"{INDEX}/"):
            continue  # read where something is searched for, and checked there
        try:
            changed = sha256(folder / name) != recorded
        except FileNotFoundError:
            raise DataError("the manifest lists this file, but it is missing", file=folder / name) from None
        except OSError as error:
            raise unreadable(folder / name, error, folder / name) from None
        if changed:
            raise DataError(
                "the file differs from what the manifest recorded",
                file=folder / name,
                hint="prepare the data again; do not edit prepared files by hand",
            )
    return opened(folder, manifest)


def opened(folder: Path, manifest: dict[str, Any]) -> RankingDataset:
    """The files of a folder that is known to be whole, as one that was just written is."""
    candidates = _mapped(folder / "candidates.arrow")
    train = folder / TRAIN
    return RankingDataset(
        folder,
        str(manifest["name"]),
        _mapped(folder / "corpus.arrow"),
        pd.read_parquet(folder / "queries.parquet"),
        pd.read_parquet(folder / "qrels.parquet"),
        _column(candidates, "document", np.int32),
        _column(candidates, "score", np.float32),
        _lists(pyarrow.parquet.read_table(train)) if TRAIN in manifest["files"] else None,
        manifest,
    )


def load_dataset(folder: Path) -> PreparedDataset | RankingDataset:
    """Open prepared data of either kind.

    Raises:
        DataError: see `load_prepared` and `load_ranking`.
    """
    return load_ranking(folder) if read_manifest(folder).get("task") == TASK else load_prepared(folder)


def _lists(table: pa.Table) -> Rows:
    """The inverse of `contents._train_table`: a list begins at each relevant document."""
    query, document = (_column(table, name, np.int32) for name in ("query", "document"))
    size = len(query) // int(table.column("label").to_numpy().sum())
    return np.hstack([query[::size, None], document.reshape(-1, size)])


def _mapped(path: Path) -> pa.Table:
    """An Arrow file as a table whose cells stay on the disk until they are read."""
    try:
        return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"not a readable Arrow file ({type(error).__name__})", file=path) from None


def _column(table: pa.Table, name: str, kind: Any) -> NDArray[Any]:
    return np.asarray(table.column(name).to_numpy(), dtype=kind)
