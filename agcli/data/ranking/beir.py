"""BEIR's layout: `corpus.jsonl` (`_id`, `title`, `text`), `queries.jsonl` (`_id`, `text`), `qrels/*.tsv`.

Source: Thakur et al. 2021. The text of a document is its title and its text, a space between them. `queries.jsonl`
holds the claims of every split; which split a claim belongs to, `qrels/train.tsv`, `dev.tsv` and `test.tsv` say.
"""

from __future__ import annotations

from collections.abc import Iterator

from agcli.data.files import SourceFile, json_records
from agcli.data.ranking.assembly import BySplit, RankingFiles, assembled, named
from agcli.data.ranking.collection import (
    Claim,
    RankingCollection,
    collect_documents,
    identifier_of,
    json_documents,
    text_of,
)
from agcli.data.tables import source_records
from agcli.errors import DataError

CORPUS = "corpus.jsonl"


def recognises(files: list[SourceFile]) -> bool:
    """Whether these files are BEIR's."""
    return bool(_queries(files))


def read(files: list[SourceFile]) -> RankingCollection:
    """Read corpus, queries and judgements.

    Raises:
        DataError: a file that is missing, or broken records.
    """
    corpus = corpus_file(files)
    queries = _queries(files)
    if not queries:
        raise DataError("no queries.jsonl here: the claims are missing")
    qrels = named(files, ("qrels", "qrel"), (".tsv", ".txt", ".qrels", ".trec"))
    found = assembled(RankingFiles(queries, qrels), lambda source: list(_claims(source)))
    return RankingCollection(
        collect_documents(corpus.name, json_documents(corpus)),
        found.splits,
        (*source_records("corpus", corpus), *found.sources),
        not_used=found.not_used,
        warnings=found.warnings,
    )


def corpus_file(files: list[SourceFile]) -> SourceFile:
    """The corpus among these files.

    Raises:
        DataError: it is not there.
    """
    for file in files:
        if file.plain_name == CORPUS:
            return file
    raise DataError(f"no {CORPUS} here: the documents are missing")


def _queries(files: list[SourceFile]) -> BySplit:
    return named(files, ("queries",), (".jsonl",))


def _claims(source: SourceFile) -> Iterator[Claim]:
    for row, record in json_records(source):
        identifier = identifier_of(record, ("_id", "id"), source, row)
        yield Claim(identifier, text_of(record, ("text",), source, row).strip(), row)
