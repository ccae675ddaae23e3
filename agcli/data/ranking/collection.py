"""Documents, queries and relevance judgments as they stand in a source, and the readers that layouts share."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import pyarrow as pa

from agcli.data.checks import check_characters
from agcli.data.files.json_values import json_records
from agcli.data.files.opening import SourceFile
from agcli.data.files.text import text_lines
from agcli.data.pairs import SourceRecord
from agcli.errors import DataError, did_you_mean
from agcli.measures.trec import check_id, qrels_rows

# Documents that are put into Arrow at a time: 222,000 abstracts never lie here as Python text all at once.
_BLOCK = 4096
_ID_KEYS = ("_id", "doc_id", "id", "docno", "docid")
_TEXT_KEYS = ("text", "abstract", "contents")
CORPUS = "corpus.jsonl"


class Query(NamedTuple):
    """A query, and its 1-based row in its file."""

    id: str
    text: str
    row: int


class Qrel(NamedTuple):
    """The relevance (0: not relevant) of a document to a query, by their ids, and its row in its file."""

    query: str
    document: str
    relevance: int
    row: int


@dataclass(frozen=True)
class RankingSplit:
    """The queries and relevance judgments of one split, in source order; the files' names are for messages."""

    file: str
    queries: list[Query]
    qrels_file: str
    qrels: list[Qrel]

    @cached_property
    def relevant(self) -> dict[str, list[str]]:
        """Query id -> its relevant documents, in the order of the judgments; queries without any are left out."""
        relevant: dict[str, list[str]] = {}
        for qrel in self.qrels:
            if qrel.relevance > 0:
                relevant.setdefault(qrel.query, []).append(qrel.document)
        return relevant


@dataclass(frozen=True, eq=False)
class Documents:
    """The corpus.

    Attributes:
        table: columns `id` and `text`, of one chunk each, so that rows are taken without concatenation.
        places: id -> row of the table.
        blank: rows whose text is empty.
    """

    file: str
    table: pa.Table
    places: dict[str, int]
    blank: frozenset[int]


@dataclass(frozen=True, eq=False)
class RankingCollection:
    """A whole source.

    Attributes:
        runs: run files that hold the first stage's candidates, in place of BM25.
        not_used: file -> why it was not used.
        warnings: of the reader itself.
        disjoint: whether the authors say that no two splits share a relevant document.
    """

    documents: Documents
    splits: dict[str, RankingSplit]
    sources: tuple[SourceRecord, ...]
    runs: tuple[SourceFile, ...] = ()
    not_used: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    disjoint: bool = False
    format: str = ""


def corpus_file(files: Iterable[SourceFile], place: object = None) -> SourceFile:
    """The file `corpus.jsonl` among these.

    Raises:
        DataError: it is not there.
    """
    for file in files:
        if file.plain_name == CORPUS:
            return file
    raise DataError(f"no {CORPUS} here: the documents are missing", file=place)


def collect_documents(file: str, rows: Iterable[tuple[int, str, str]]) -> Documents:
    """The corpus out of (row, id, text), read block by block.

    Raises:
        DataError: an id that occurs twice or holds white space, half of a surrogate pair, or no document at all.
    """
    places: dict[str, int] = {}
    seen_at, blank = array("q"), []
    blocks: list[pa.Table] = []
    ids: list[str] = []
    texts: list[str] = []
    for row, identifier, raw in rows:
        text = raw.strip()
        check_cells(file, row, "document", identifier, text)
        if identifier in places:
            problem = f"this document id occurs already in row {seen_at[places[identifier]]}"
            raise DataError(problem, file=file, row=row, value=identifier)
        if not text:
            blank.append(len(places))
        places[identifier] = len(places)
        seen_at.append(row)
        ids.append(identifier)
        texts.append(text)
        if len(ids) == _BLOCK:
            blocks.append(_block(ids, texts))
            ids, texts = [], []
    if not places:
        raise DataError("the file holds no documents", file=file)
    table = pa.concat_tables([*blocks, _block(ids, texts)]).combine_chunks()
    return Documents(file, table, places, frozenset(blank))


def _block(ids: list[str], texts: list[str]) -> pa.Table:
    return pa.table({"id": pa.array(ids, pa.large_string()), "text": pa.array(texts, pa.large_string())})


def check_cells(file: str, row: int, what: str, identifier: str, text: str) -> None:
    """Check that an id fits into TREC files and a text into any file.

    Raises:
        DataError: white space in an id, an empty id, or half of a surrogate pair.
    """
    check_id(identifier, file=file, row=row, column=f"{what} id")
    check_characters(file, row, text)


def json_documents(source: SourceFile) -> Iterator[tuple[int, str, str]]:
    """Rows of a `corpus.jsonl` in BEIR's, SciFact's or Pyserini's keys; the text is title and abstract.

    Raises:
        DataError: a record that lacks id or text, or a value of the wrong type.
    """
    for row, record in json_records(source):
        identifier = identifier_of(record, _ID_KEYS, source, row)
        body = text_of(record, _TEXT_KEYS, source, row)
        title = record.get("title") or ""
        if not isinstance(title, str):
            raise wrong_type(title, "title", "text", source, row)
        yield row, identifier, f"{title} {body}"


def identifier_of(record: Mapping[str, Any], keys: Sequence[str], source: SourceFile, row: int) -> str:
    """The record's id as text; it may be written as a whole number.

    Raises:
        DataError: no such key, or a value of another type.
    """
    key = key_of(record, keys, source, row)
    value = record[key]
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise wrong_type(value, key, "text or a whole number", source, row)
    return str(value)


def text_of(record: Mapping[str, Any], keys: Sequence[str], source: SourceFile, row: int) -> str:
    """The record's text; a list of sentences is joined.

    Raises:
        DataError: no such key, or a value of another type.
    """
    key = key_of(record, keys, source, row)
    value = record[key]
    if isinstance(value, list) and all(isinstance(sentence, str) for sentence in value):
        return " ".join(value)
    if isinstance(value, str):
        return value
    raise wrong_type(value, key, "text or a list of sentences", source, row)


def key_of(record: Mapping[str, Any], keys: Sequence[str], source: SourceFile, row: int) -> str:
    """The first of these keys that the record has.

    Raises:
        DataError: it has none.
    """
    for key in keys:
        if key in record:
            return key
    near = did_you_mean(keys[0], record)
    raise DataError("no such column", detail=near, file=source.name, row=row, column=keys[0], allowed=keys)


def wrong_type(value: Any, key: str, wanted: str, source: SourceFile, row: int) -> DataError:
    """The error for a value of another type than `wanted`."""
    problem = f"a value of type {type(value).__name__}"
    return DataError(problem, file=source.name, row=row, column=key, allowed=[wanted])


def tab_rows(source: SourceFile) -> Iterator[tuple[int, str, str]]:
    """Rows `id<TAB>text`; blank rows are passed over.

    Raises:
        DataError: a row of another shape.
    """
    for row, line in text_lines(source):
        fields = line.split("\t")
        if len(fields) == 2:
            yield row, fields[0].strip(), fields[1]
        elif line.strip():
            problem = f"{len(fields)} column(s), separated by tabs"
            raise DataError(problem, file=source.name, row=row, allowed=["2 columns: id and text"])


def json_queries(source: SourceFile) -> list[Query]:
    """Queries out of JSON records with an id and a text.

    Raises:
        DataError: a record that lacks one of them, or a value of the wrong type.
    """
    queries = []
    for row, record in json_records(source):
        identifier = identifier_of(record, ("_id", "id", "query_id", "qid"), source, row)
        queries.append(Query(identifier, text_of(record, ("text", "claim", "query"), source, row).strip(), row))
    return queries


def tab_queries(source: SourceFile) -> list[Query]:
    """Queries out of rows `id<TAB>text`.

    Raises:
        DataError: a row of another shape.
    """
    return [Query(identifier, text.strip(), row) for row, identifier, text in tab_rows(source)]


def read_qrels(source: SourceFile) -> list[Qrel]:
    """The relevance judgments of a file in TREC's or BEIR's form, in source order.

    Raises:
        DataError: see `qrels_rows`.
    """
    rows = qrels_rows(text_lines(source), source.name)
    return [Qrel(query, document, relevance, row) for row, query, document, relevance in rows]
