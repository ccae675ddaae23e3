"""SciFact's layout, for ranking: a claim's relevant documents are those that it cites, as in BEIR's SciFact.

Source: Wadden et al. 2020 (SciFact), Sarrouti et al. 2021 (HealthVer, here in SciFact's layout), Thakur et al. 2021
(BEIR). `corpus.jsonl` (`doc_id`, `title`, `abstract`) and `claims_*.jsonl` (`id`, `claim`, `cited_doc_ids` or
`doc_ids`). SciFact's test claims cite nothing: they are not used, and its dev claims become the test split.
"""

from __future__ import annotations

from typing import Any

from agcli.data import scifact
from agcli.data.files import SourceFile, json_records
from agcli.data.ranking.beir import corpus_file
from agcli.data.ranking.collection import (
    Claim,
    Judgement,
    RankingCollection,
    RankingSplit,
    collect_documents,
    identifier_of,
    json_documents,
    text_of,
    wrong_type,
)
from agcli.data.splits import split_files
from agcli.data.tables import source_records
from agcli.errors import DataError

_CITED = ("cited_doc_ids", "doc_ids")


def recognises(files: list[SourceFile]) -> bool:
    """Whether these files are a corpus with claims."""
    return scifact.recognises(files)


def read(files: list[SourceFile]) -> RankingCollection:
    """Read corpus and claims.

    Raises:
        DataError: no corpus, no claims that cite anything, or broken records.
    """
    corpus = corpus_file(files)
    claims_files = [file for file in files if file.stem.startswith("claims")]
    by_split, not_used = split_files(claims_files, (".jsonl",))
    splits = {split: _split(file) for split, file in by_split.items()}
    bare = {split for split, found in splits.items() if not found.judgements}
    not_used |= {by_split[split].name: "no cited documents" for split in bare}
    if not set(splits) - bare:
        raise DataError("no claims here that cite documents", allowed=["claims_{train,dev,test}.jsonl"])
    return RankingCollection(
        collect_documents(corpus.name, json_documents(corpus)),
        {split: found for split, found in splits.items() if split not in bare},
        (
            *source_records("corpus", corpus),
            *(
                record
                for split, file in by_split.items()
                if split not in bare
                for record in source_records(split, file)
            ),
        ),
        not_used=not_used,
    )


def _split(source: SourceFile) -> RankingSplit:
    claims: list[Claim] = []
    judgements: list[Judgement] = []
    for row, record in json_records(source):
        claim = Claim(
            identifier_of(record, ("id",), source, row), text_of(record, ("claim",), source, row).strip(), row
        )
        claims.append(claim)
        key = next((name for name in _CITED if name in record), _CITED[0])
        judgements += [
            Judgement(claim.id, document, 1, row) for document in _cited(record.get(key, []), key, source, row)
        ]
    return RankingSplit(source.name, claims, source.name, judgements)


def _cited(value: Any, key: str, source: SourceFile, row: int) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(each, int | str) for each in value):
        raise wrong_type(value, key, "a list of document ids", source, row)
    return [str(each) for each in value]
