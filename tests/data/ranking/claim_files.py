"""One small made-up collection, written in each layout."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WORDS = ["garlic", "statin", "sleep", "smoking", "exercise", "coffee"]
WORDS += ["vitamin", "asthma", "insulin", "migraine", "tea", "yoga"]


def abstracts(count: int = 12) -> dict[str, tuple[str, str]]:
    """Document id -> title and text; each speaks of a word of its own, and of its neighbour's."""
    return {
        f"d{n}": (f"On {WORDS[n % 12]}.", f"Trial {n} of {WORDS[n % 12]} and {WORDS[(n + 1) % 12]} in adults.")
        for n in range(count)
    }


@dataclass
class Collection:
    """Documents, claims by split, and judgements by split."""

    documents: dict[str, tuple[str, str]] = field(default_factory=abstracts)
    claims: dict[str, dict[str, str]] = field(default_factory=dict)
    qrels: dict[str, list[tuple[str, str, object]]] = field(default_factory=dict)


def small() -> Collection:
    """Six claims to train on, two for dev, two to test on; no document is relevant twice."""
    made = Collection()
    for split, places in {"train": range(6), "dev": range(6, 8), "test": range(8, 10)}.items():
        made.claims[split] = {f"c{n}": f"Could {WORDS[n]} help adults?" for n in places}
        made.qrels[split] = [(f"c{n}", f"d{n}", 1) for n in places]
    return made


def write_lines(path: Path, lines: Iterable[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def write_json_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> Path:
    return write_lines(path, map(json.dumps, records))


def write_beir(folder: Path, made: Collection) -> Path:
    """`corpus.jsonl`, one `queries.jsonl`, `qrels/*.tsv` under a header."""
    records = ({"_id": key, "title": title, "text": text} for key, (title, text) in made.documents.items())
    write_json_lines(folder / "corpus.jsonl", records)
    claims = [{"_id": key, "text": text} for split in made.claims.values() for key, text in split.items()]
    write_json_lines(folder / "queries.jsonl", claims)
    for split, rows in made.qrels.items():
        lines = ["query-id\tcorpus-id\tscore", *("\t".join(map(str, row)) for row in rows)]
        write_lines(folder / "qrels" / f"{split}.tsv", lines)
    return folder


def write_trec(folder: Path, made: Collection) -> Path:
    """`collection.tsv`, `queries.SPLIT.tsv`, `qrels.SPLIT.txt`."""
    lines = (f"{key}\t{title} {text}" for key, (title, text) in made.documents.items())
    write_lines(folder / "collection.tsv", lines)
    for split, claims in made.claims.items():
        write_lines(folder / f"queries.{split}.tsv", (f"{key}\t{text}" for key, text in claims.items()))
    for split, rows in made.qrels.items():
        write_lines(folder / f"qrels.{split}.txt", (f"{claim} 0 {document} {grade}" for claim, document, grade in rows))
    return folder


def write_scifact(folder: Path, made: Collection, cited: str = "cited_doc_ids") -> Path:
    """SciFact's `corpus.jsonl` and `claims_SPLIT.jsonl`; a split without judgements cites nothing."""
    records = ({"doc_id": key, "title": title, "abstract": [text]} for key, (title, text) in made.documents.items())
    write_json_lines(folder / "corpus.jsonl", records)
    for split, claims in made.claims.items():
        rows = [{"id": key, "claim": text} for key, text in claims.items()]
        for row in rows if split in made.qrels else ():
            row[cited] = [document for claim, document, _ in made.qrels[split] if claim == row["id"]]  # type: ignore[assignment]
        write_json_lines(folder / f"claims_{split}.jsonl", rows)
    return folder


def write_cross_genre_ir(folder: Path, made: Collection, union: bool = True) -> Path:
    """The release's layout: objects with one member a line, claims that end in a newline."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {key: f"{title} {text}" for key, (title, text) in made.documents.items()}
    (folder / "data_abst_200k_pure.json").write_text(json.dumps(texts, indent=0))
    whole: dict[str, list[str]] = {}
    for split, claims in made.claims.items():
        objects = {
            f"{text}\n": [document for claim, document, _ in made.qrels[split] if claim == key]
            for key, text in claims.items()
        }
        (folder / f"{split}_data_claim_pmid_dict.json").write_text(json.dumps(objects, indent=0))
        whole |= objects
    if union:
        (folder / "data_claim_5k_dict_all.json").write_text(json.dumps(whole, indent=0))
    return folder
