"""Queries and documents in two files, perhaps with qrels: a collection that is ranked and never trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agcli.data.bm25 import Analysis
from agcli.data.files.opening import SourceFile, disk_file
from agcli.data.prepared import MANIFEST, read_manifest
from agcli.data.ranking.candidates import Progress, build_index, search
from agcli.data.ranking.checks import check_grades, check_qrels, check_queries
from agcli.data.ranking.collection import (
    Documents,
    RankingSplit,
    collect_documents,
    json_documents,
    json_queries,
    read_qrels,
    tab_queries,
    tab_rows,
)
from agcli.data.ranking.prepared import PreparedRanking, load_ranking, ranking_contents, write_ranking
from agcli.data.request import NegativeGrades
from agcli.errors import DataError, cells_hidden

SPLIT = "test"
"""The split that the queries of a file are in."""
_TABLES = (".tsv", ".txt")
_SUFFIXES = (".jsonl", ".ndjson", ".json", *_TABLES)


@dataclass(frozen=True)
class QueryFiles:
    """The files of a collection.

    Attributes:
        queries: `id<TAB>text`, or JSON lines with `_id` and `text`.
        corpus: JSON lines with `_id` (`doc_id`, `id`), `text` (`abstract`) and perhaps `title`, or `id<TAB>text`.
        qrels: TREC's four columns or BEIR's three.
        negative_grades: what becomes of grades below 0.
        credentialed: no cell may be shown.
    """

    queries: Path
    corpus: Path
    qrels: Path | None = None
    negative_grades: NegativeGrades = "refuse"
    credentialed: bool = False

    def sources(self) -> dict[str, str]:
        """Hash of each file, by its name.

        Raises:
            DataError: a file that is not there, cannot be read or is empty.
        """
        given = [path for path in (self.queries, self.corpus, self.qrels) if path is not None]
        return {str(path): disk_file(path).sha256_and_bytes[0] for path in given}


def collect(
    files: QueryFiles, folder: Path, depth: int, analysis: Analysis, progress: Progress | None = None
) -> PreparedRanking:
    """Index the documents, find candidates, and keep all that in a folder; what is there already is used again.

    Args:
        files: where queries and documents are.
        folder: where the prepared form is kept.
        depth: candidates of each query.
        analysis: how the first stage reads words.
        progress: called with a line on each piece of work as it begins.

    Raises:
        DataError: files that cannot be read; relevance judgments of queries or documents that are not there.
        RunError: the disk refuses.
    """
    made_from = {"sources": files.sources(), "depth": depth, "analysis": [analysis.stemmer, analysis.stopwords]}
    made_from |= {"negative_grades": files.negative_grades, "credentialed": files.credentialed}
    if (folder / MANIFEST).is_file() and read_manifest(folder).get("made_from") == made_from:
        return load_ranking(folder)
    with cells_hidden(files.credentialed):
        documents, split = _checked(files)
    quiet = progress or (lambda what, done, total: None)
    stage = build_index(documents, analysis, quiet)
    candidates = {SPLIT: list(search(stage, split.queries, depth, quiet))}
    contents = ranking_contents(documents, {SPLIT: split}, candidates, None, stage.save)
    manifest = {
        "name": files.queries.stem,
        "made_from": made_from,
        "splits": {SPLIT: {"queries": len(split.queries)}},
        "depth": depth,
        "credentialed": files.credentialed,
    }
    return write_ranking(folder, contents, manifest, overwrite=True)


def _checked(files: QueryFiles) -> tuple[Documents, RankingSplit]:
    documents, split = read_documents(files.corpus), _split(files)
    check_queries({SPLIT: split})
    split, _ = check_grades(split, files.negative_grades)
    split, _ = check_qrels(SPLIT, split, documents, drop=False)
    return documents, split


def read_documents(path: Path) -> Documents:
    """The documents of a corpus file.

    Raises:
        DataError: an unknown kind of file, or rows that cannot be read.
    """
    source = _source(path)
    rows = tab_rows(source) if source.suffix in _TABLES else json_documents(source)
    return collect_documents(source.name, rows)


def _source(path: Path) -> SourceFile:
    source = disk_file(path)
    if source.suffix not in _SUFFIXES:
        raise DataError("unknown kind of file", file=path, value=source.suffix, allowed=_SUFFIXES)
    return source


def _split(files: QueryFiles) -> RankingSplit:
    """Queries and relevance judgments as they stand in their files."""
    source = _source(files.queries)
    queries = tab_queries(source) if source.suffix in _TABLES else json_queries(source)
    if not queries:
        raise DataError("the file holds no claims", file=source.name)
    qrels = read_qrels(disk_file(files.qrels)) if files.qrels else []
    return RankingSplit(source.name, queries, str(files.qrels), qrels)
