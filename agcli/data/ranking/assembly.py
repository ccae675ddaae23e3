"""Splits out of files of claims and files of judgements, as BEIR and TREC lay them out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from agcli.data.checks import check_ids
from agcli.data.files.opening import SourceFile
from agcli.data.pairs import SPLITS, SourceRecord, source_records
from agcli.data.ranking.collection import Claim, RankingSplit, read_judgements
from agcli.data.splits import split_of
from agcli.errors import DataError

BySplit = dict[str | None, SourceFile]


@dataclass(frozen=True)
class RankingFiles:
    """Files of claims and of judgements by the split that their names speak of; None: by none."""

    queries: BySplit
    qrels: BySplit


@dataclass(frozen=True)
class Assembled:
    """The splits, the files behind them, files left alone and why, and what there is to report."""

    splits: dict[str, RankingSplit]
    sources: tuple[SourceRecord, ...]
    not_used: dict[str, str]
    warnings: tuple[str, ...]


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


def assembled(files: RankingFiles, read_claims: Callable[[SourceFile], list[Claim]]) -> Assembled:
    """One split for each file of judgements; claims of a file that names no split go where they are judged.

    Raises:
        DataError: no judgements, or no claims for a split that has some.
    """
    qrels, queries = _with_split(files), files.queries
    claims = {split: read_claims(file) for split, file in queries.items()}
    for split, file in queries.items():
        check_ids("claim id", (("", file.name, claim.row, claim.id) for claim in claims[split]))
    splits: dict[str, RankingSplit] = {}
    for split in (split for split in SPLITS if split in qrels):
        source = split if split in queries else None
        if source not in queries:
            raise DataError(f"judgements of {split} without claims of {split}", file=qrels[split].name)
        judgements = read_judgements(qrels[split])
        judged = {judgement.claim for judgement in judgements}
        kept = [claim for claim in claims[source] if source is not None or claim.id in judged]
        splits[split] = RankingSplit(queries[source].name, kept, qrels[split].name, judgements)
    used = [*((split, file) for split, file in queries.items() if split is None or split in splits), *qrels.items()]
    return Assembled(
        splits,
        tuple(record for split, file in used for record in source_records(split or "queries", file)),
        {file.name: "no judgements" for split, file in queries.items() if split is not None and split not in splits},
        _left_out(claims.get(None, []), splits, queries.get(None)),
    )


def _with_split(files: RankingFiles) -> dict[str, SourceFile]:
    """The files of judgements, each with a split: one file that names none is test, or the claims' only split."""
    qrels = {split: file for split, file in files.qrels.items() if split is not None}
    unnamed = files.qrels.get(None)
    if unnamed is None and qrels:
        return qrels
    if unnamed is None:
        raise DataError("no judgements here", allowed=["qrels/{train,dev,test}.tsv", "qrels[.split].txt"])
    splits = [split for split in files.queries if split is not None]
    if qrels or len(splits) > 1:
        problem = "this file names no split, and others here do"
        raise DataError(problem, file=unnamed.name, hint="name each file's split: qrels.train.txt, qrels.test.txt")
    return {splits[0] if splits else "test": unnamed}


def _left_out(claims: list[Claim], splits: Mapping[str, RankingSplit], source: SourceFile | None) -> tuple[str, ...]:
    judged = {claim.id for split in splits.values() for claim in split.claims}
    count = sum(1 for claim in claims if claim.id not in judged)
    if not count or source is None:
        return ()
    return (f"{source.name}: {count} of {len(claims)} claims have no judgements, belong to no split and are left out",)
