"""Collections in BEIR's and TREC's layouts: a corpus, files of queries, and files of relevance judgments."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from agcli.data.checks import check_ids
from agcli.data.files.opening import SourceFile
from agcli.data.pairs import SPLITS, source_records
from agcli.data.ranking.collection import Query, RankingCollection, RankingSplit, collect_documents, read_qrels
from agcli.data.split_files import split_of
from agcli.errors import DataError

BySplit = dict[str | None, SourceFile]
"""Files by the split in their names; None: no split is named."""


def named(files: list[SourceFile], words: Sequence[str], suffixes: Sequence[str]) -> BySplit:
    """The files whose name, or whose folder's, begins with one of these words: `qrels.test.txt`, `qrels/test.tsv`.

    Raises:
        DataError: two files for one split.
    """
    by_split: BySplit = {}
    for file in files:
        first = re.split(r"[^a-z0-9]+", file.stem.lower())[0]
        if file.suffix not in suffixes or not {first, PurePosixPath(file.folder).name.lower()} & {*words}:
            continue
        split, _ = split_of(file.stem)
        if split in by_split:
            what = f"two files of {words[0]} for {split}" if split else f"two files of {words[0]} that name no split"
            raise DataError(what, file=f"{by_split[split].name} and {file.name}", hint="take one of them away")
        by_split[split] = file
    return by_split


def assembled(
    corpus: SourceFile,
    rows: Iterable[tuple[int, str, str]],
    query_files: BySplit,
    qrels_files: BySplit,
    read_queries: Callable[[SourceFile], list[Query]],
    runs: Mapping[str | None, SourceFile] | None = None,
) -> RankingCollection:
    """One split for each file of relevance judgments; a file of queries that names no split serves all of them.

    Args:
        rows: (row, id, text) of each document, read last.
        read_queries: reads one of these files.
        runs: run files with the first stage's candidates.

    Raises:
        DataError: no relevance judgments, or no queries for a split that has some.
    """
    qrels_files = _with_split(qrels_files, query_files)
    queries = {split: read_queries(file) for split, file in query_files.items()}
    for split, file in query_files.items():
        check_ids("query id", (("", file.name, query.row, query.id) for query in queries[split]))
    splits: dict[str, RankingSplit] = {}
    for split in SPLITS:
        if split in qrels_files:
            splits[split] = _split(split, query_files, queries, qrels_files[split])
    used = [(split or "queries", file) for split, file in query_files.items() if split is None or split in splits]
    used += [(split or "", file) for split, file in qrels_files.items()]
    used += [(f"run of {split or 'all splits'}", file) for split, file in (runs or {}).items()]
    return RankingCollection(
        collect_documents(corpus.name, rows),
        splits,
        tuple(record for name, file in [("corpus", corpus), *used] for record in source_records(name, file)),
        runs=tuple((runs or {}).values()),
        not_used={
            file.name: "no relevance judgments" for split, file in query_files.items() if split not in {None, *splits}
        },
        warnings=_left_out(queries[None], splits.values(), query_files[None].name) if None in query_files else (),
    )


def _with_split(qrels_files: BySplit, query_files: BySplit) -> BySplit:
    """The files of judgments, each with a split: one file that names none is test, or the queries' only split."""
    unnamed = qrels_files.get(None)
    if unnamed is None and qrels_files:
        return qrels_files
    if unnamed is None:
        raise DataError("no relevance judgments here", allowed=["qrels/{train,dev,test}.tsv", "qrels[.split].txt"])
    splits = [split for split in query_files if split is not None]
    if len(qrels_files) > 1 or len(splits) > 1:
        problem = "this file names no split, and others here do"
        raise DataError(problem, file=unnamed.name, hint="name each file's split: qrels.train.txt, qrels.test.txt")
    return {splits[0] if splits else "test": unnamed}


def _split(
    split: str, query_files: BySplit, queries: Mapping[str | None, list[Query]], qrels_file: SourceFile
) -> RankingSplit:
    source = split if split in query_files else None
    if source not in query_files:
        raise DataError(f"relevance judgments of {split} without queries of {split}", file=qrels_file.name)
    qrels = read_qrels(qrels_file)
    judged = {qrel.query for qrel in qrels}
    kept = [query for query in queries[source] if source is not None or query.id in judged]
    return RankingSplit(query_files[source].name, kept, qrels_file.name, qrels)


def _left_out(queries: Sequence[Query], splits: Collection[RankingSplit], file: str) -> tuple[str, ...]:
    judged = {query.id for split in splits for query in split.queries}
    count = sum(1 for query in queries if query.id not in judged)
    if not count:
        return ()
    return (
        f"{file}: {count} of {len(queries)} queries have no relevance judgments, belong to no split and are left out",
    )
