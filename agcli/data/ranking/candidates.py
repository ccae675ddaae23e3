"""The first stage's candidates: BM25's, or those of a run file where the source brings one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agcli.data.bm25 import Analysis, FirstStage, build
from agcli.data.files.opening import SourceFile
from agcli.data.ranking.collection import Documents, Query, RankingSplit
from agcli.errors import DataError, shortened
from agcli.measures.trec import read_run

Candidates = tuple[NDArray[np.int32], NDArray[np.float32]]
Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is to do."""
INDEXING, SEARCHING = "indexing documents", "retrieving candidates"
NO_CANDIDATES: Candidates = (np.empty(0, np.int32), np.empty(0, np.float32))


def build_index(documents: Documents, analysis: Analysis, progress: Progress) -> FirstStage:
    """Index the corpus."""
    total = len(documents.places)
    progress(INDEXING, 0, total)
    texts = (text for batch in documents.table.to_batches(4096) for text in batch.column("text").to_pylist())
    return build(texts, list(documents.places), analysis, on_document=lambda done: progress(INDEXING, done, total))


def search(stage: FirstStage, queries: Sequence[Query], depth: int, progress: Progress) -> Iterator[Candidates]:
    """BM25's candidates, query by query."""
    progress(SEARCHING, 0, len(queries))
    for done, query in enumerate(queries, 1):
        candidates = stage.search(query.text, depth)
        if done % 64 == 0 or done == len(queries):
            progress(SEARCHING, done, len(queries))
        yield candidates


def read_runs(
    files: Iterable[SourceFile], documents: Documents, depth: int, drop: bool
) -> tuple[dict[str, Candidates], list[str]]:
    """The candidates of every run file by query id, and warnings of what was left out.

    Args:
        depth: results beyond it are left out.
        drop: results of documents that the corpus lacks are left out.

    Raises:
        DataError: two files with results for one query, a document that the corpus lacks, a file inside a zip.
    """
    runs: dict[str, Candidates] = {}
    dropped = cut = 0
    for file in files:
        if file.path is None or file.packing:
            problem = "run files are not read inside a zip, packed or in shards"
            raise DataError(problem, file=file.name, hint="unpack it, and pass the folder")
        for query, names, scores in read_run(file.path):
            if query in runs:
                raise DataError("another run file has results for this query too", file=file.name, value=query)
            places = np.array([documents.places.get(name, -1) for name in names], dtype=np.int32)
            here = places >= 0
            absent = int((~here).sum())
            if absent and not drop:
                raise DataError(
                    f"a query has {absent} candidate(s) that the corpus lacks",
                    detail=f"It is query {shortened(query)}.",
                    file=file.name,
                    value=names[int(np.flatnonzero(~here)[0])],
                    hint="--drop-missing leaves such candidates out, and counts them",
                )
            dropped += absent
            cut += max(int(here.sum()) - depth, 0)
            runs[query] = (places[here][:depth], scores[here][:depth])
    warnings = [f"run files: {dropped} candidate(s) that the corpus lacks were left out"] if dropped else []
    warnings += [f"run files: {cut} candidate(s) below --depth were left out"] if cut else []
    return runs, warnings


def splits_in_runs(splits: Mapping[str, RankingSplit], runs: Mapping[str, Candidates]) -> tuple[list[str], list[str]]:
    """The splits that run files have results for, and warnings of queries without results."""
    names, warnings = [], []
    for name, split in splits.items():
        without = sum(1 for query in split.queries if query.id not in runs)
        if without < len(split.queries):
            names.append(name)
            if without:
                warnings.append(f"{name}: {without} of {len(split.queries)} queries have no candidates in the run file")
    return names, warnings


def recall(split: RankingSplit, candidates: Sequence[Candidates], documents: Documents) -> dict[str, Any]:
    """How many relevant documents are among the candidates.

    Returns:
        `retrieved`, the number of queries with a relevant document among their candidates, and `recall`, the mean part
        of a query's relevant documents that is there (None where no query has any).
    """
    relevant = split.relevant
    parts = [
        np.isin([documents.places[document] for document in relevant[query.id]], rows).mean()
        for query, (rows, _) in zip(split.queries, candidates, strict=True)
        if query.id in relevant
    ]
    return {
        "retrieved": sum(1 for part in parts if part > 0),
        "recall": float(np.mean(parts)) if parts else None,
    }
