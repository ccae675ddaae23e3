"""What a prepared ranking folder is made of, and how it is written: whole or not at all, with its digests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from agcli.data.prepared import FORMAT, MANIFEST, check_target, read_manifest
from agcli.data.ranking.prepared import INDEX, TASK, TRAIN, RankingDataset, Rows, Scores, opened
from agcli.runs.atomic import sha256, write_folder

# Rows of text that the digest takes at a time.
_DIGEST_ROWS = 4096


@dataclass(frozen=True, eq=False)
class RankingContents:
    """What a prepared folder is made of.

    Attributes:
        documents: columns `id` and `text`.
        queries: columns `split`, `id` and `text`, the splits in the order train, dev, test.
        qrels: columns `query` and `document` (ids) and `relevance`.
        candidates: for each row of `queries`, its first-stage candidates: rows of `documents` and scores, best first.
        lists: training lists, shape (num_lists, 2 + negatives): row of `queries`, row of the positive, rows of its
            negatives; None where nothing can be trained.
        index: writes the first stage's index into the folder it is given; None where candidates came from a run file.
    """

    documents: pa.Table
    queries: pd.DataFrame
    qrels: pd.DataFrame
    candidates: Sequence[tuple[Rows, Scores]]
    lists: Rows | None
    index: Callable[[Path], object] | None


def write_ranking(
    folder: Path, contents: RankingContents, manifest: Mapping[str, Any], *, overwrite: bool = False
) -> RankingDataset:
    """Write a prepared ranking data set whole or not at all, and open it.

    Args:
        folder: where it shall lie.
        contents: what it holds.
        manifest: its manifest; `format`, `task`, the digests and `files` are filled in here.
        overwrite: replace a prepared data set that is there.

    Raises:
        DataError: something is there that may not be replaced.
        RunError: the disk refuses.
    """
    check_target(folder, overwrite)

    def write(aside: Path) -> None:
        _write_arrow(aside / "corpus.arrow", contents.documents)
        counts = [len(rows) for rows, _ in contents.candidates]
        contents.queries.assign(candidates=counts).to_parquet(aside / "queries.parquet", index=False)
        contents.qrels.to_parquet(aside / "qrels.parquet", index=False)
        rows = np.concatenate([np.empty(0, np.int32), *(rows for rows, _ in contents.candidates)])
        scores = np.concatenate([np.empty(0, np.float32), *(scores for _, scores in contents.candidates)])
        _write_arrow(aside / "candidates.arrow", pa.table({"document": rows, "score": scores}))
        if contents.lists is not None:
            pyarrow.parquet.write_table(_train_table(contents.lists), aside / TRAIN)
        if contents.index is not None:
            (aside / INDEX).mkdir()
            contents.index(aside / INDEX)
        files = {str(path.relative_to(aside)): sha256(path) for path in sorted(aside.rglob("*")) if path.is_file()}
        complete = {**manifest, "format": FORMAT, "task": TASK, **_digests(contents), "files": files}
        (aside / MANIFEST).write_text(json.dumps(complete, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

    write_folder(folder, write)
    return opened(folder, read_manifest(folder))


def _digests(contents: RankingContents) -> dict[str, str]:
    """SHA-256 over documents, queries and judgements, and over candidates and lists too; not over how files encode."""
    digest = hashlib.sha256()
    for cells in _cells(contents):
        digest.update(json.dumps(cells, ensure_ascii=False).encode())
    collection = digest.hexdigest()
    for rows, scores in contents.candidates:
        digest.update(rows.astype("<i4").tobytes() + scores.astype("<f4").tobytes())
    if contents.lists is not None:
        digest.update(contents.lists.astype("<i4").tobytes())
    return {"digest": digest.hexdigest(), "collection_digest": collection}


def _cells(contents: RankingContents) -> Iterator[list[Any]]:
    """Every cell of text and every judgement, in blocks."""
    for batch in contents.documents.to_batches(max_chunksize=_DIGEST_ROWS):
        yield from (batch.column(name).to_pylist() for name in ("id", "text"))
    for frame, columns in (
        (contents.queries, ("split", "id", "text")),
        (contents.qrels, ("query", "document", "relevance")),
    ):
        for column in columns:
            yield frame[column].tolist()


def _train_table(lists: Rows) -> pa.Table:
    """One row a pair: rows of query and document, and whether the document is relevant."""
    size = lists.shape[1] - 1
    return pa.table(
        {
            "query": np.repeat(lists[:, 0], size),
            "document": lists[:, 1:].reshape(-1),
            "label": np.tile(np.eye(1, size, dtype=np.int8)[0], len(lists)),
        }
    )


def _write_arrow(path: Path, table: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
