"""TREC run and qrels files, which every tool of the field reads: written line by line, read and checked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agcli.errors import DataError, RunError, did_you_mean, unreadable
from agcli.measures.tie_rule import descending

RUN_COLUMNS = ("query", "Q0", "document", "rank", "score", "tag")
QRELS_COLUMNS = ("query", "iteration", "document", "relevance")
BEIR_COLUMNS = ("query-id", "corpus-id", "score")
_ID = re.compile(r"[^\s\0\ud800-\udfff]+")  # no half of a surrogate pair, which JSON can hold and UTF-8 cannot
_WHOLE = re.compile(r"([+-]?\d{1,9})(\.0+)?", re.ASCII)  # tables that were read as numbers say 1.0


def check_id(identifier: str, *, file: object = None, row: int | None = None, column: str | None = None) -> None:
    """Check that a TREC file can hold the id of a query or document.

    Raises:
        DataError: it is empty, holds white space (which separates columns) or a zero byte (at which trec_eval stops
            reading), or is no valid Unicode.
    """
    if not _ID.fullmatch(identifier):
        problem = "this id cannot stand in a TREC file: an id has a character at least, and no white space"
        hint = "give such queries and documents other ids"
        raise DataError(problem, file=file, row=row, column=column, value=identifier, hint=hint)


def run_lines(query: str, documents: Sequence[str], scores: NDArray[np.float32], tag: str) -> str:
    """The lines of one query in a run file, in the order given; each score reads back to the same float32.

    Raises:
        DataError: an id that a TREC file cannot hold.
        RunError: a score is not a finite number.
    """
    for identifier in (query, tag, *documents):
        check_id(identifier)
    kept = np.asarray(scores, dtype=np.float32)
    if not np.isfinite(kept).all():
        raise RunError(f"{int((~np.isfinite(kept)).sum())} of {len(kept)} scores of a query are not a number.")
    ranked = enumerate(zip(documents, kept, strict=True), start=1)
    # numpy's str of a float32 is the shortest decimal that reads back to it
    return "".join(f"{query} Q0 {document} {rank} {score!s} {tag}\n" for rank, (document, score) in ranked)


def qrels_lines(query: str, relevance: Mapping[str, int]) -> str:
    """The lines of one query in a qrels file.

    Raises:
        DataError: an id that a TREC file cannot hold.
    """
    for identifier in (query, *relevance):
        check_id(identifier)
    return "".join(f"{query} 0 {document} {grade}\n" for document, grade in relevance.items())


def read_run(path: Path) -> Iterator[tuple[str, list[str], NDArray[np.float32]]]:
    """Read a run file query by query; one query is held at a time.

    Yields:
        The query's id, its documents in the order of `order.descending` (the rank column is ignored, as in every other
        tool), and their scores.

    Raises:
        DataError: no such file or not UTF-8; a row has not six columns; a score is not a finite float32; a query has a
            document twice; the rows of a query are not together.
    """
    query, scores, done = "", dict[str, float](), set[str]()
    for row, line in _lines(path):
        cells = line.split()
        if not cells:
            continue
        if len(cells) != len(RUN_COLUMNS):
            problem = f"{len(cells)} columns instead of {len(RUN_COLUMNS)}"
            raise DataError(problem, file=path, row=row, allowed=[" ".join(RUN_COLUMNS)])
        name, _, document, _, score, _ = cells
        if name != query and scores:
            yield query, *_ranked(scores)
            done.add(query)
            scores = {}
        query = name
        if query in done:
            problem = "the rows of this query are not together"
            raise DataError(problem, file=path, row=row, column="query", value=query, hint="sort the file by query")
        if document in scores:
            problem = "the query has this document twice"
            raise DataError(problem, file=path, row=row, column="document", value=document)
        scores[document] = _score(score, path, row)
    if scores:
        yield query, *_ranked(scores)


def _score(text: str, path: Path, row: int) -> float:
    with np.errstate(over="ignore"):
        try:
            score = float(np.float32(float(text)))
        except ValueError:
            score = float("nan")
    if not np.isfinite(score):
        raise DataError("a score is a finite number (float32)", file=path, row=row, column="score", value=text)
    return score


def _ranked(by_document: Mapping[str, float]) -> tuple[list[str], NDArray[np.float32]]:
    documents, scores = list(by_document), np.array(list(by_document.values()), dtype=np.float32)
    order = descending(documents, scores)
    return [documents[index] for index in order], scores[order]


def read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """Read a qrels file: query -> document -> relevance (1 and above is relevant), in the file's order.

    Raises:
        DataError: no such file or not UTF-8; a document is judged twice for a query; see also `qrels_rows`.
    """
    qrels: dict[str, dict[str, int]] = {}
    for row, query, document, relevance in qrels_rows(_lines(path), path):
        judged = qrels.setdefault(query, {})
        if document in judged:
            problem = "this document is judged twice for the query"
            raise DataError(problem, file=path, row=row, column="document", value=document)
        judged[document] = relevance
    return qrels


def qrels_rows(lines: Iterable[tuple[int, str]], file: object) -> Iterator[tuple[int, str, str, int]]:
    """Row, query, document and relevance of each judgment, in order; blank lines are skipped.

    The first row tells TREC's form (four columns) from BEIR's (a header, columns separated by tabs).
    `ir_measures.read_trec_qrels` names no row and reads the first form only.

    Raises:
        DataError: a wrong number of columns, or a relevance that is no whole number.
    """
    rows: Iterator[tuple[int, str]] = ((row, line) for row, line in lines if line.strip())
    first = next(rows, None)
    if first is None:
        return
    if len(first[1].split()) == len(QRELS_COLUMNS):
        header, delimiter, names = list(QRELS_COLUMNS), None, ("query", "document", "relevance")
        rows = chain([first], rows)
    else:
        header, delimiter, names = _beir_header(*first, file), "\t", BEIR_COLUMNS
    query, document, relevance = (header.index(name) for name in names)
    for row, line in rows:
        cells = [cell.strip() for cell in line.split(delimiter)]
        if len(cells) != len(header):
            problem = f"{len(cells)} columns instead of {len(header)}" + (", separated by tabs" if delimiter else "")
            raise DataError(problem, file=file, row=row, allowed=[" ".join(header)])
        yield row, cells[query], cells[document], _relevance(cells[relevance], file, row, header[relevance])


def _beir_header(row: int, line: str, file: object) -> list[str]:
    header = [name.strip() for name in line.split("\t")]
    if set(BEIR_COLUMNS) <= set(header):
        return header
    raise DataError(
        f"{len(line.split())} column(s), and no header of BEIR's",
        detail="".join(did_you_mean(name, header) for name in BEIR_COLUMNS if name not in header),
        file=file,
        row=row,
        allowed=[f"4 columns ({', '.join(QRELS_COLUMNS)})", "a header with " + ", ".join(BEIR_COLUMNS)],
    )


def _relevance(text: str, file: object, row: int, column: str) -> int:
    number = _WHOLE.fullmatch(text)
    if not number:
        allowed = ["a whole number from 0 (0: judged, not relevant)"]
        raise DataError("not a relevance", file=file, row=row, column=column, value=text, allowed=allowed)
    return int(number[1])


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open(encoding="utf-8-sig") as file:  # some editors put a byte order mark before the first query
            yield from enumerate(file, start=1)
    except UnicodeDecodeError:
        raise DataError("not a text file in UTF-8", file=path) from None
    except OSError as error:
        raise unreadable(path, error, path) from None
