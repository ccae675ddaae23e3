"""Small source files for the tests of the corpora."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

Row = tuple[str, str, str]
LABELS = ("entailment", "neutral", "contradiction")
HEADER = "gold_label\tnull\tsentence1\tsentence2\tpromptID\tpairID"


def nli_rows(count: int, tag: str = "x") -> list[Row]:
    """Rows with different texts and the three labels in turn."""
    return [(f"Premise {tag} {n}", f"Hypothesis {tag} {n}", LABELS[n % 3]) for n in range(count)]


def write_txt(path: Path, rows: Iterable[Row]) -> Path:
    """MultiNLI's tab-separated form."""
    lines = [f"{label}\t\t{a}\t{b}\t{n}\t{path.stem}{n}" for n, (a, b, label) in enumerate(rows)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([HEADER, *lines]) + "\n", encoding="utf-8")
    return path


def write_jsonl(path: Path, rows: Iterable[Row]) -> Path:
    """MultiNLI's JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as handle:
        for n, (a, b, label) in enumerate(rows):
            record = {"gold_label": label, "sentence1": a, "sentence2": b, "pairID": f"{path.stem}{n}"}
            handle.write(json.dumps(record) + "\n")
    return path
