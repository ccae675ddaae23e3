"""Claims and documents in two files, without judgements perhaps: a collection that is ranked and never trained on."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from agcli.corpora.files import SourceFile, disk_file, json_records
from agcli.corpora.prepared import MANIFEST, read_manifest
from agcli.corpora.ranking.candidates import Progress, build_index, search
from agcli.corpora.ranking.collection import (
    Claim,
    Documents,
    check_cells,
    collect_documents,
    identifier_of,
    json_documents,
    tab_rows,
    text_of,
)
from agcli.corpora.ranking.prepared import RankingContents, RankingDataset, load_ranking, write_ranking
from agcli.errors import DataError
from agcli.retrieval import Analysis, read_qrels

SPLIT = "test"
"""The split that the claims of a loose file are in."""
_SUFFIXES = (".jsonl", ".ndjson", ".json", ".tsv", ".txt")
_CLAIM_IDS, _CLAIM_TEXTS = ("_id", "id", "query_id", "qid"), ("text", "claim", "query")


@dataclass(frozen=True)
class LooseFiles:
    """The files of a collection.

    Attributes:
        queries: claims: `id<TAB>text`, or JSON lines with `_id` and `text`.
        corpus: documents: JSON lines with `_id` (`doc_id`, `id`), `text` (`abstract`) and perhaps `title`, or
            `id<TAB>text`.
        qrels: judgements in TREC's four columns, or None.
    """

    queries: Path
    corpus: Path
    qrels: Path | None = None

    def sources(self) -> dict[str, str]:
        """Hash of each file, by its name.

        Raises:
            DataError: a file that is not there, cannot be read or is empty.
        """
        given = [self.queries, self.corpus, *([self.qrels] if self.qrels else [])]
        return {str(path): disk_file(path).sha256_and_bytes()[0] for path in given}


def collect(
    files: LooseFiles, folder: Path, depth: int, analysis: Analysis, progress: Progress | None = None
) -> RankingDataset:
    """Index the documents, find candidates, and keep all that in a folder; what is there already is used again.

    Args:
        files: where claims and documents are.
        folder: where the prepared form is kept.
        depth: candidates of each claim.
        analysis: how the first stage reads words.
        progress: told what is being done.

    Raises:
        DataError: files that cannot be read; judgements of claims or documents that are not there.
        RunError: the disk refuses.
    """
    made_from = {"sources": files.sources(), "depth": depth, "analysis": [analysis.stemmer, analysis.stopwords]}
    if (folder / MANIFEST).is_file() and read_manifest(folder).get("made_from") == made_from:
        return load_ranking(folder)
    documents, claims = read_documents(files.corpus), _claims(disk_file(files.queries))
    qrels = _qrels(files.qrels, claims, documents)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as aside:
        index = Path(aside)
        quiet = progress or (lambda what, done, total: None)
        stage = build_index(documents, index, analysis, quiet)
        contents = RankingContents(
            documents.table,
            pd.DataFrame({"split": SPLIT, "id": [c.id for c in claims], "text": [c.text for c in claims]}, dtype="str"),
            qrels,
            list(search(stage, claims, depth, quiet)),
            None,
            stage.save,
        )
        manifest = {
            "name": files.queries.stem,
            "made_from": made_from,
            "splits": {SPLIT: {"queries": len(claims)}},
            "depth": depth,
        }
        return write_ranking(folder, contents, manifest, overwrite=True)


def read_documents(path: Path) -> Documents:
    """The documents of a corpus file.

    Raises:
        DataError: an unknown kind of file, or rows that cannot be read.
    """
    source = _source(path)
    return collect_documents(
        source.name, tab_rows(source) if source.suffix in (".tsv", ".txt") else json_documents(source)
    )


def _source(path: Path) -> SourceFile:
    source = disk_file(path)
    if source.suffix not in _SUFFIXES:
        raise DataError("unknown kind of file", file=path, value=source.suffix, allowed=_SUFFIXES)
    return source


def _claims(source: SourceFile) -> list[Claim]:
    """The claims; two of one id, or one without text, are an error."""
    source = _source(source.path or Path(source.name))
    if source.suffix in (".tsv", ".txt"):
        claims = [Claim(identifier, text.strip(), row) for row, identifier, text in tab_rows(source)]
    else:
        claims = [
            Claim(
                identifier_of(record, _CLAIM_IDS, source, row), text_of(record, _CLAIM_TEXTS, source, row).strip(), row
            )
            for row, record in json_records(source)
        ]
    seen: dict[str, int] = {}
    for claim in claims:
        check_cells(source.name, claim.row, "query", claim.id, claim.text)
        if claim.id in seen:
            problem = f"this query id occurs already in row {seen[claim.id]}"
            raise DataError(problem, file=source.name, row=claim.row, value=claim.id)
        if not claim.text:
            raise DataError("a query without text", file=source.name, row=claim.row, value=claim.id)
        seen[claim.id] = claim.row
    if not claims:
        raise DataError("the file holds no queries", file=source.name)
    return claims


def _qrels(path: Path | None, claims: list[Claim], documents: Documents) -> pd.DataFrame:
    judged = read_qrels(path) if path else {}
    known = {claim.id for claim in claims}
    for query, grades in judged.items():
        if query not in known:
            raise DataError("a judgement of a query that is not there", file=path, column="query", value=query)
        absent = next((document for document in grades if document not in documents.places), None)
        if absent is not None:
            problem = "a judgement of a document that the corpus lacks: its claim's recall would fall unseen"
            raise DataError(problem, file=path, column="document", value=absent)
    rows = [(query, document, grade) for query, grades in judged.items() for document, grade in grades.items()]
    return pd.DataFrame(rows, columns=["query", "document", "relevance"]).astype(
        {"query": "str", "document": "str", "relevance": "int32"}
    )
