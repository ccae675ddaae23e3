"""SciFact and HealthVer: health and science claims against the abstracts that they cite, as pairs or for ranking.

Source: Wadden et al. 2020 (SciFact), Sarrouti et al. 2021 (HealthVer, here in SciFact's layout), Thakur et al. 2021
(BEIR's SciFact, for ranking). A corpus file (`doc_id`, `title`, `abstract`) and claim files (`id`, `claim`,
`cited_doc_ids` or `doc_ids`, `evidence`).

Pairs: one per claim and cited abstract: its evidence's label, or NEI (not enough information) where the claim has no
evidence there. Ranking: a claim's relevant documents are those that it cites.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agcli.data.files.json_values import json_records
from agcli.data.files.opening import SourceFile, disk_file
from agcli.data.pairs import CLAIM_LABELS, Corpus, Pair, SourceSplit, source_records
from agcli.data.ranking.collection import (
    CORPUS,
    Qrel,
    Query,
    RankingCollection,
    RankingSplit,
    collect_documents,
    corpus_file,
    identifier_of,
    json_documents,
    key_of,
    text_of,
    wrong_type,
)
from agcli.data.request import PrepareRequest
from agcli.data.split_files import all_files, choose_files, split_files
from agcli.errors import DataError

_CITED = ("cited_doc_ids", "doc_ids")


def read(request: PrepareRequest) -> Corpus:
    """Pairs. SciFact's test claims carry no evidence: they are not used.

    Raises:
        DataError: a missing corpus, a claim that cites an unknown document, broken records.
    """
    files = choose_files(request, (".jsonl",))
    if request.named_files:
        corpus = disk_file(next(iter(request.named_files.values())).parent / CORPUS)
    else:
        corpus = corpus_file(all_files(request), request.source)
    documents = _documents(corpus)
    splits, sources = {}, list(source_records("corpus", corpus))
    not_used = {name: why for name, why in files.not_used.items() if name != corpus.name}
    for split, file in files.by_split.items():
        if split not in files.named and not any("evidence" in record for _, record in json_records(file)):
            not_used[file.name] = "no labels"
            continue
        sources += source_records(split, file)
        splits[split] = _pairs(file, documents, split if request.no_ids else None)
    return Corpus(CLAIM_LABELS, splits, tuple(sources), not_used, files.named)


def _documents(source: SourceFile) -> dict[str, str]:
    """Document id -> title and abstract."""
    texts: dict[str, str] = {}
    for row, identifier, text in json_documents(source):
        if identifier in texts:
            problem = "this document id occurs twice"
            raise DataError(problem, file=source.name, row=row, column="doc_id", value=identifier)
        texts[identifier] = text.strip()
    if not texts:
        raise DataError("the file is empty", file=source.name)
    return texts


def _pairs(source: SourceFile, documents: Mapping[str, str], split: str | None) -> SourceSplit:
    """A file's pairs; with `split`, ids are made of it and the row in place of the claim's id."""
    pairs: list[Pair] = []
    twice = 0
    for row, record in json_records(source):
        claim = text_of(record, ("claim",), source, row)
        claim_id = f"{split}:{row}" if split else identifier_of(record, ("id",), source, row)
        key, cited = _cited(record, source, row)
        evidence = record[key_of(record, ("evidence",), source, row)]
        if not isinstance(evidence, dict):
            raise wrong_type(evidence, "evidence", "an object", source, row)
        twice += len(cited) - len(set(cited))
        for document in dict.fromkeys([*cited, *evidence]):
            if document not in documents:
                problem = f"the claim cites a document that {CORPUS} lacks"
                raise DataError(problem, file=source.name, row=row, column=key, value=document)
            label = _label(evidence.get(document, []), source, row)
            pairs.append(Pair(row, claim, documents[document], label, f"{claim_id}:{document}", document))
    if not pairs:
        raise DataError("the file has no claims", file=source.name)
    return SourceSplit(source.name, "evidence", pairs, {"document cited twice by one claim": twice} if twice else {})


def _label(evidence: Any, source: SourceFile, row: int) -> str:
    """The one label of a claim's evidence in a document; NEI without evidence."""
    try:
        labels = sorted({str(entry["label"]) for entry in evidence})
    except (TypeError, KeyError):
        raise DataError("evidence without a label", file=source.name, row=row, column="evidence") from None
    if len(labels) > 1:
        raise DataError("evidence of several labels in one document", file=source.name, row=row, value=labels)
    return labels[0] if labels else "NEI"


def _cited(record: Mapping[str, Any], source: SourceFile, row: int) -> tuple[str, list[str]]:
    key = key_of(record, _CITED, source, row)
    value = record[key]
    if not isinstance(value, list) or not all(isinstance(document, int | str) for document in value):
        raise wrong_type(value, key, "a list of document ids", source, row)
    return key, [str(document) for document in value]


def read_collection(files: list[SourceFile]) -> RankingCollection:
    """Claims to rank documents for. SciFact's test claims cite nothing: they are not used.

    Raises:
        DataError: no corpus, no claims that cite anything, or broken records.
    """
    corpus = corpus_file(files)
    by_split, not_used = split_files([file for file in files if file.stem.startswith("claims")], (".jsonl",))
    splits, sources = {}, list(source_records("corpus", corpus))
    for split, file in by_split.items():
        read = _ranking_split(file)
        if read.qrels:
            splits[split] = read
            sources += source_records(split, file)
        else:
            not_used[file.name] = "no cited documents"
    if not splits:
        raise DataError("no claims here that cite documents", allowed=["claims_{train,dev,test}.jsonl"])
    documents = collect_documents(corpus.name, json_documents(corpus))
    return RankingCollection(documents, splits, tuple(sources), not_used=not_used)


def _ranking_split(source: SourceFile) -> RankingSplit:
    queries: list[Query] = []
    qrels: list[Qrel] = []
    for row, record in json_records(source):
        identifier = identifier_of(record, ("id",), source, row)
        queries.append(Query(identifier, text_of(record, ("claim",), source, row).strip(), row))
        if not record.keys().isdisjoint(_CITED):
            cited = _cited(record, source, row)[1]
            qrels += [Qrel(identifier, document, 1, row) for document in cited]
    return RankingSplit(source.name, queries, source.name, qrels)
