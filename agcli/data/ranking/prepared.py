"""The prepared form of ranking data: documents, queries, relevance judgments, candidates and training lists.

corpus.arrow        id, text; memory-mapped             candidates.arrow  rows of the corpus and first-stage scores
queries.parquet     split, id, text, candidates         train.parquet     lists: a positive, then its negatives
qrels.parquet       query, document, relevance          bm25/             the index behind the candidates
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from agcli.data.pairs import SPLITS
from agcli.data.prepared import Prepared, read_manifest, write_prepared
from agcli.data.ranking.collection import Documents, RankingSplit
from agcli.data.request import RANKING
from agcli.errors import DataError, unreadable
from agcli.runs.atomic import sha256

Rows = NDArray[np.int32]
Scores = NDArray[np.float32]

INDEX = "bm25"
TRAIN = "train.parquet"
_DIGEST_ROWS = 4096  # documents that the digest takes at a time; part of FORMAT


@dataclass(frozen=True, eq=False)
class PreparedRanking(Prepared):
    """Queries, documents to rank, and relevance judgments.

    Attributes:
        documents: columns `id` and `text`, memory-mapped.
        queries: columns `split`, `id`, `text` and `candidates` (their number).
        qrels: columns `query`, `document` and `relevance`.
        candidate_rows: rows of `documents`, query by query, best first.
    """

    documents: pa.Table
    queries: pd.DataFrame
    qrels: pd.DataFrame
    candidate_rows: Rows
    candidate_scores: Scores
    lists: Rows | None

    @property
    def collection_digest(self) -> str:
        """SHA-256 over documents, queries and qrels: what rankings that are compared must have in common."""
        return str(self.manifest["collection_digest"])

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
        """Id of each document, by row."""
        ids: list[str] = self.documents.column("id").to_pylist()
        return ids

    @cached_property
    def relevance(self) -> dict[str, dict[str, int]]:
        """Query id -> document id -> relevance (0: not relevant)."""
        by_query: dict[str, dict[str, int]] = {}
        for query, document, relevance in self.qrels.itertuples(index=False, name=None):
            by_query.setdefault(query, {})[document] = int(relevance)
        return by_query

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        return np.concatenate([[0], self.queries["candidates"].cumsum().to_numpy(dtype=np.int64)])

    def rows(self, split: str) -> Rows:
        """Rows of the queries of a split.

        Raises:
            DataError: there is no such split.
        """
        if split not in self.splits:
            raise self.no_split(split, self.splits)
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


def load_ranking(folder: Path) -> PreparedRanking:
    """Open a prepared ranking folder and check its files against the manifest's hashes.

    Raises:
        DataError: no manifest, an unknown format, a file that is missing, cannot be read or is altered.
    """
    manifest = read_manifest(folder)
    if manifest["task"] != RANKING:
        raise DataError("this data set holds pairs with labels, no queries with documents to rank", file=folder)
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
    return _opened(folder, manifest)


def _opened(folder: Path, manifest: dict[str, Any]) -> PreparedRanking:
    """The files of a folder that is known to be whole."""
    candidates = _mapped(folder / "candidates.arrow")
    return PreparedRanking(
        folder,
        manifest,
        _mapped(folder / "corpus.arrow"),
        pd.read_parquet(folder / "queries.parquet"),
        pd.read_parquet(folder / "qrels.parquet"),
        _column(candidates, "document", np.int32),
        _column(candidates, "score", np.float32),
        _lists(pyarrow.parquet.read_table(folder / TRAIN)) if TRAIN in manifest["files"] else None,
    )


def _mapped(path: Path) -> pa.Table:
    """An Arrow file as a table whose cells stay on the disk until they are read."""
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def _column(table: pa.Table, name: str, kind: Any) -> NDArray[Any]:
    return np.asarray(table.column(name).to_numpy(), dtype=kind)


@dataclass(frozen=True, eq=False)
class RankingContents:
    """What a prepared folder is made of.

    Attributes:
        queries: columns `split`, `id` and `text`, the splits in the order train, dev, test.
        qrels: columns `query` and `document` (ids) and `relevance`.
        candidates: for each row of `queries`, its first-stage candidates: rows of `documents` and scores, best first.
        lists: training lists, shape (num_lists, 2 + negatives): row of `queries`, row of the positive, rows of its
            negatives; None where nothing can be trained.
        index: writes the first stage's index into the folder it is given; None where there is none.
    """

    documents: pa.Table
    queries: pd.DataFrame
    qrels: pd.DataFrame
    candidates: Sequence[tuple[Rows, Scores]]
    lists: Rows | None
    index: Callable[[Path], object] | None


def ranking_contents(
    documents: Documents,
    splits: Mapping[str, RankingSplit],
    candidates: Mapping[str, Sequence[tuple[Rows, Scores]]],
    lists: Rows | None,
    index: Callable[[Path], object],
) -> RankingContents:
    """The contents of a prepared folder out of what was read; `candidates` are those of each split's queries."""
    queries = [(name, query.id, query.text) for name, split in splits.items() for query in split.queries]
    qrels = [qrel[:3] for split in splits.values() for qrel in split.qrels]
    kinds = {"query": "str", "document": "str", "relevance": "int32"}
    return RankingContents(
        documents.table,
        pd.DataFrame(queries, columns=["split", "id", "text"], dtype="str"),
        pd.DataFrame(qrels, columns=list(kinds)).astype(kinds),
        [ranked for name in splits for ranked in candidates[name]],
        lists,
        index,
    )


def write_ranking(
    folder: Path, contents: RankingContents, manifest: Mapping[str, Any], *, overwrite: bool = False
) -> PreparedRanking:
    """Write a prepared ranking data set whole or not at all, and open it.

    Args:
        manifest: its manifest; `format`, `task`, the digests and `files` are filled in here.

    Raises:
        DataError: something is there that may not be replaced.
        RunError: the disk refuses.
    """

    def write(aside: Path) -> dict[str, Any]:
        _write_files(aside, contents)
        files = {str(path.relative_to(aside)): sha256(path) for path in sorted(aside.rglob("*")) if path.is_file()}
        return {**_digests(contents), "files": files}

    return _opened(folder, write_prepared(folder, {"task": RANKING, **manifest}, write, overwrite=overwrite))


def _write_files(folder: Path, contents: RankingContents) -> None:
    _write_arrow(folder / "corpus.arrow", contents.documents)
    counts = [len(rows) for rows, _ in contents.candidates]
    contents.queries.assign(candidates=counts).to_parquet(folder / "queries.parquet", index=False)
    contents.qrels.to_parquet(folder / "qrels.parquet", index=False)
    rows = np.concatenate([np.empty(0, np.int32), *(rows for rows, _ in contents.candidates)])
    scores = np.concatenate([np.empty(0, np.float32), *(scores for _, scores in contents.candidates)])
    _write_arrow(folder / "candidates.arrow", pa.table({"document": rows, "score": scores}))
    if contents.lists is not None:
        pyarrow.parquet.write_table(_train_table(contents.lists), folder / TRAIN)
    if contents.index is not None:
        (folder / INDEX).mkdir()
        contents.index(folder / INDEX)


def _write_arrow(path: Path, table: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def _train_table(lists: Rows) -> pa.Table:
    """A row for each pair: rows of query and document, and whether the document is relevant."""
    size = lists.shape[1] - 1
    return pa.table(
        {
            "query": np.repeat(lists[:, 0], size),
            "document": lists[:, 1:].reshape(-1),
            "label": np.tile(np.eye(1, size, dtype=np.int8)[0], len(lists)),
        }
    )


def _lists(table: pa.Table) -> Rows:
    """The inverse: a list begins at each relevant document."""
    query, document = (_column(table, name, np.int32) for name in ("query", "document"))
    size = len(query) // int(table.column("label").to_numpy().sum())
    return np.hstack([query[::size, None], document.reshape(-1, size)])


def _digests(contents: RankingContents) -> dict[str, str]:
    """SHA-256 over documents, queries and qrels, and over candidates and lists too; not over how files encode them."""
    digest = hashlib.sha256()

    def add(cells: list[Any]) -> None:
        digest.update(json.dumps(cells, ensure_ascii=False).encode())

    for batch in contents.documents.to_batches(max_chunksize=_DIGEST_ROWS):
        add(batch.column("id").to_pylist())
        add(batch.column("text").to_pylist())
    for frame in (contents.queries[["split", "id", "text"]], contents.qrels[["query", "document", "relevance"]]):
        for column in frame:
            add(frame[column].tolist())
    collection = digest.hexdigest()
    for rows, scores in contents.candidates:
        digest.update(rows.astype("<i4").tobytes() + scores.astype("<f4").tobytes())
    if contents.lists is not None:
        digest.update(contents.lists.astype("<i4").tobytes())
    return {"digest": digest.hexdigest(), "collection_digest": collection}
