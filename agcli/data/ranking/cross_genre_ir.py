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

from agcli.data.files import SourceFile
from agcli.data.pairs import SPLITS
from agcli.data.ranking.collection import (
    Claim,
    Judgement,
    RankingCollection,
    RankingSplit,
    collect_documents,
    wrong_type,
)
from agcli.data.ranking.json_object import members
from agcli.data.splits import one_each, split_of
from agcli.data.tables import source_records
from agcli.errors import DataError

_CLAIMS = "data_claim_pmid_dict"


def recognises(files: list[SourceFile]) -> bool:
    """Whether these files are the release's."""
    return any(file.stem.endswith(_CLAIMS) for file in files)


def read(files: list[SourceFile]) -> RankingCollection:
    """Read abstracts and claims.

    Raises:
        DataError: a file that is missing, a claim that occurs twice, or broken JSON.
    """
    corpus = _only(files, "data_abst", "", "data_abst_200k_pure.json")
    claims = one_each(
        (split, file) for file in files if file.stem.endswith(_CLAIMS) and (split := split_of(file.stem)[0])
    )
    if not claims:
        raise DataError("no claims here", allowed=[f"{{train,dev,test}}_{_CLAIMS}.json"])
    splits = {split: _split(split, claims[split]) for split in SPLITS if split in claims}
    union = [file for file in files if file.stem.startswith("data_claim") and file.stem.endswith("_dict_all")]
    return RankingCollection(
        collect_documents(corpus.name, _abstracts(corpus)),
        splits,
        (
            *source_records("corpus", corpus),
            *(record for split in splits for record in source_records(split, claims[split])),
            *(record for file in union[:1] for record in source_records("all", file)),
        ),
        warnings=tuple(_differences(splits, union[0])) if union else (),
        disjoint=True,
    )


def _only(files: list[SourceFile], start: str, end: str, usual: str) -> SourceFile:
    found = [
        file for file in files if file.stem.startswith(start) and file.stem.endswith(end) and file.suffix == ".json"
    ]
    if len(found) != 1:
        names = [PurePosixPath(file.name).name for file in found]
        raise DataError(f"{len(found)} files of abstracts here", value=names or None, allowed=[f"one: {usual}"])
    return found[0]


def _abstracts(source: SourceFile) -> Iterator[tuple[int, str, str]]:
    for row, identifier, text in members(source):
        if not isinstance(text, str):
            raise wrong_type(text, identifier, "text", source, row)
        yield row, identifier, text


def _split(split: str, source: SourceFile) -> RankingSplit:
    claims: list[Claim] = []
    judgements: list[Judgement] = []
    rows: dict[str, int] = {}
    for place, (row, key, value) in enumerate(members(source), 1):
        if key in rows:
            problem = f"this claim occurs already in row {rows[key]}"
            raise DataError(problem, file=source.name, row=row, value=key)
        rows[key] = row
        claim = Claim(f"{split}-{place}", key.strip(), row)
        claims.append(claim)
        judgements += [Judgement(claim.id, document, 1, row) for document in _cited(value, source, row)]
    return RankingSplit(source.name, claims, source.name, judgements)


def _cited(value: Any, source: SourceFile, row: int) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(each, int | str) for each in value):
        raise DataError("a claim's abstracts are a list of ids", file=source.name, row=row)
    return [str(each) for each in value]


def _differences(splits: Mapping[str, RankingSplit], union: SourceFile) -> Iterator[str]:
    """Whether the file of all claims says the same as the splits."""
    whole = {key.strip(): sorted(_cited(value, union, row)) for row, key, value in members(union)}
    apart: dict[str, list[str]] = {}
    for split in splits.values():
        texts = {claim.id: claim.text for claim in split.claims}
        apart |= {text: [] for text in texts.values()}
        for judgement in split.judgements:
            apart[texts[judgement.claim]].append(judgement.document)
    absent = sum(1 for text in whole if text not in apart)
    other = sum(1 for text, documents in apart.items() if whole.get(text) != sorted(documents))
    if absent:
        yield f"{union.name}: {absent} of its {len(whole)} claims are in no split"
    if other:
        yield f"{union.name}: {other} claim(s) of the splits are not in it, or have other abstracts there"
