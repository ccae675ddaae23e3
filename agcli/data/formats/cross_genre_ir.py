"""Cross-genre-IR: headlines of health news against the abstracts that they report on, in the release's own files.

Source: Zuo et al. 2020, "Querying Across Genres for Medical Claims in News", and its release.
`data_abst_*.json` is one object, id -> abstract; `{train,dev,test}_data_claim_pmid_dict.json` are objects, claim -> ids
of its abstracts. Claims end in a newline, which is taken off, and have no ids: the 17th claim of train is `train-17`.
`data_claim_*_dict_all.json`, the three together, is compared where it is there. No two splits share an abstract.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from agcli.data.files.json_values import json_members
from agcli.data.files.opening import SourceFile
from agcli.data.pairs import SPLITS, source_records
from agcli.data.ranking.collection import Qrel, Query, RankingCollection, RankingSplit, collect_documents, wrong_type
from agcli.data.split_files import one_each, split_of
from agcli.errors import DataError

_CLAIMS = "data_claim_pmid_dict"


def read(files: list[SourceFile]) -> RankingCollection:
    """Read abstracts and claims.

    Raises:
        DataError: a file that is missing, a claim that occurs twice, or broken JSON.
    """
    corpus = _abstracts_file(files)
    named = [(split_of(file.stem)[0], file) for file in files if file.stem.endswith(_CLAIMS)]
    by_split = one_each((split, file) for split, file in named if split)
    if not by_split:
        raise DataError("no claims here", allowed=[f"{{train,dev,test}}_{_CLAIMS}.json"])
    splits = {split: _split(split, by_split[split]) for split in SPLITS if split in by_split}
    sources = list(source_records("corpus", corpus))
    for split in splits:
        sources += source_records(split, by_split[split])
    warnings: tuple[str, ...] = ()
    unions = (file for file in files if file.stem.startswith("data_claim") and file.stem.endswith("_dict_all"))
    if union := next(unions, None):
        sources += source_records("all", union)
        warnings = tuple(_differences(splits, union))
    documents = collect_documents(corpus.name, _abstracts(corpus))
    return RankingCollection(documents, splits, tuple(sources), warnings=warnings, disjoint=True)


def _abstracts_file(files: list[SourceFile]) -> SourceFile:
    files = [file for file in files if file.stem.startswith("data_abst") and file.suffix == ".json"]
    if len(files) != 1:
        names = [PurePosixPath(file.name).name for file in files]
        allowed = ["one: data_abst_200k_pure.json"]
        raise DataError(f"{len(files)} files of abstracts here", value=names or None, allowed=allowed)
    return files[0]


def _abstracts(source: SourceFile) -> Iterator[tuple[int, str, str]]:
    for row, identifier, text in json_members(source):
        if not isinstance(text, str):
            raise wrong_type(text, identifier, "text", source, row)
        yield row, identifier, text


def _split(split: str, source: SourceFile) -> RankingSplit:
    queries: list[Query] = []
    qrels: list[Qrel] = []
    rows: dict[str, int] = {}
    for place, (row, key, value) in enumerate(json_members(source), 1):
        if key in rows:
            problem = f"this claim occurs already in row {rows[key]}"
            raise DataError(problem, file=source.name, row=row, value=key)
        rows[key] = row
        query = Query(f"{split}-{place}", key.strip(), row)
        queries.append(query)
        qrels += [Qrel(query.id, document, 1, row) for document in _cited(value, source, row)]
    return RankingSplit(source.name, queries, source.name, qrels)


def _cited(value: Any, source: SourceFile, row: int) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(document, int | str) for document in value):
        raise DataError("a claim's abstracts are a list of ids", file=source.name, row=row)
    return [str(document) for document in value]


def _differences(splits: Mapping[str, RankingSplit], union: SourceFile) -> Iterator[str]:
    """Whether the file of all claims says the same as the splits."""
    whole = {key.strip(): sorted(_cited(value, union, row)) for row, key, value in json_members(union)}
    apart: dict[str, list[str]] = {}
    for split in splits.values():
        texts = {query.id: query.text for query in split.queries}
        apart |= {text: [] for text in texts.values()}
        for qrel in split.qrels:
            apart[texts[qrel.query]].append(qrel.document)
    absent = sum(1 for text in whole if text not in apart)
    other = sum(1 for text, documents in apart.items() if whole.get(text) != sorted(documents))
    if absent:
        yield f"{union.name}: {absent} of its {len(whole)} claims are in no split"
    if other:
        yield f"{union.name}: {other} claim(s) of the splits are not in it, or have other abstracts there"
