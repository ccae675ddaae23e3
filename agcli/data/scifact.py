"""SciFact and HealthVer: health and science claims against the abstracts that they cite.

Source: Wadden et al. 2020 (SciFact), Sarrouti et al. 2021 (HealthVer, here in SciFact's layout). A corpus file
(`doc_id`, `title`, `abstract`) and claim files (`id`, `claim`, `cited_doc_ids` or `doc_ids`, `evidence`). One pair per
claim and cited abstract: its evidence's label, or NEI (not enough information) where the claim has no evidence there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agcli.data.files import SourceFile, disk_file, json_records
from agcli.data.pairs import CLAIM_LABELS, Corpus, Pair, SourceSplit
from agcli.data.request import PrepareRequest
from agcli.data.splits import all_files, choose_files
from agcli.data.tables import source_records
from agcli.errors import DataError, did_you_mean

CORPUS = "corpus.jsonl"
_CITED = ("cited_doc_ids", "doc_ids")


def read(request: PrepareRequest) -> Corpus:
    """Read corpus and claims. SciFact's test claims carry no evidence: they are not used.

    Raises:
        DataError: a missing corpus, a claim that cites an unknown document, broken records.
    """
    files = choose_files(request, (".jsonl",))
    corpus_file = _corpus_file(request)
    documents = _documents(corpus_file)
    splits, sources, not_used = {}, list(source_records("corpus", corpus_file)), dict(files.not_used)
    not_used.pop(corpus_file.name, None)
    for split, file in files.by_split.items():
        if split not in files.named and not _has_evidence(file):
            not_used[file.name] = "no labels"
            continue
        sources += source_records(split, file)
        splits[split] = _claims(file, documents, split if request.no_ids else None)
    return Corpus(CLAIM_LABELS, splits, tuple(sources), not_used, files.named)


def recognises(files: list[SourceFile]) -> bool:
    """Whether these files are a corpus with claims."""
    return CORPUS in {file.plain_name for file in files} and any(file.stem.startswith("claims") for file in files)


def _corpus_file(request: PrepareRequest) -> SourceFile:
    if request.named_files:
        return disk_file(next(iter(request.named_files.values())).parent / CORPUS)
    for file in all_files(request):
        if file.plain_name == CORPUS:
            return file
    raise DataError(f"no {CORPUS} here: the abstracts are missing", file=request.source)


def _documents(source: SourceFile) -> dict[str, str]:
    """Document id -> title and abstract, a space between them."""
    texts: dict[str, str] = {}
    for row, record in json_records(source):
        key = str(_cell(record, "doc_id", int | str, source, row))
        title = _cell(record, "title", str, source, row)
        sentences = _cell(record, "abstract", list, source, row)
        if key in texts:
            raise DataError("this document id occurs twice", file=source.name, row=row, column="doc_id", value=key)
        if not all(isinstance(sentence, str) for sentence in sentences):
            raise DataError("an abstract is a list of sentences", file=source.name, row=row, column="abstract")
        texts[key] = " ".join([title, *sentences]).strip()
    if not texts:
        raise DataError("the file is empty", file=source.name)
    return texts


def _has_evidence(source: SourceFile) -> bool:
    return any("evidence" in record for _, record in json_records(source))


def _claims(source: SourceFile, documents: Mapping[str, str], split: str | None) -> SourceSplit:
    """A file's pairs; with `split`, ids are made of it and the row in place of the claim's id."""
    pairs: list[Pair] = []
    twice = 0
    for row, record in json_records(source):
        claim = _cell(record, "claim", str, source, row)
        claim_id = f"{split}:{row}" if split else _cell(record, "id", int | str, source, row)
        key = next((name for name in _CITED if name in record), _CITED[0])
        cited = [str(document) for document in _cell(record, key, list, source, row)]
        evidence = _cell(record, "evidence", dict, source, row)
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


def _cell(record: Mapping[str, Any], key: str, kind: Any, source: SourceFile, row: int) -> Any:
    if key not in record:
        near = did_you_mean(key, record)
        raise DataError("no such column", file=source.name, row=row, column=key, allowed=record, detail=near)
    if not isinstance(record[key], kind):
        problem = f"a value of type {type(record[key]).__name__}"
        allowed = [getattr(kind, "__name__", "text or a whole number")]
        raise DataError(problem, file=source.name, row=row, column=key, allowed=allowed)
    return record[key]
