"""The paper's own numbers, to stand beside ours: Tables 1 to 4, the figures named in its text, its settings.

Source: Wang et al. 2022, arXiv 2204.02922; every figure was compared with the paper's text. They are facts copied, not
results of this program, and some of them look wrong: `cautions` says which and why.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TABLE4_HARDWARE = (
    "GeForce RTX 3090 (the paper chose its batch sizes by that GPU's memory: 64, ALBERT 56, every pair padded to 256 "
    "tokens; how many GPUs and which precision it does not say)"
)
"""What the seconds of Table 4 were presumably taken on (section 3.3 of the paper)."""

_ROWS = {
    "bert": "BERT",
    "albert": "ALBERT",
    "roberta": "Roberta",
    "biobert": "BioBERT",
    "clinicalbert": "ClinicalBERT",
    "bluebert": "BlueBERT",
    "scibert": "SciBERT",
}
"""Name in the zoo -> row of the paper's tables."""


@dataclass(frozen=True)
class Caution:
    """A reason to doubt figures of the paper.

    Attributes:
        table: `table1` to `table4`.
        dataset: the column it is about; None: all.
        rows: the rows it is about, in the paper's spelling; none named: all.
        text: what is odd.
    """

    table: str
    dataset: str | None
    rows: tuple[str, ...]
    text: str


def tables() -> dict[str, Any]:
    """All that is shipped, by table: row -> data set -> metric -> percent; a fresh copy.

    `table3` gives a row's metrics as a list in table 1's order, `table4` seconds an epoch in the order of `datasets`.
    """
    shipped: dict[str, Any] = json.loads(Path(__file__).with_name("tables.json").read_text(encoding="utf-8"))
    return shipped


def table4_seconds(model: str, guided: bool, dataset: str) -> float | None:
    """Seconds that the paper's training took for an epoch; None where it timed no such thing.

    Args:
        model: a name of the zoo.
        guided: with both guides (`+AG`), else plain fine-tuning.
        dataset: `multinli`, `mednli` or `cross-genre-ir`; a part of one of them is another data set.

    Returns:
        Units: seconds, as printed (whole seconds).
    """
    shipped = tables()
    if model not in _ROWS or dataset not in shipped["datasets"]:
        return None
    return float(shipped["table4"][_row(model, guided)][shipped["datasets"].index(dataset)])


def table4_caution(model: str, guided: bool, dataset: str) -> str | None:
    """What is odd about that figure, if anything is; None where there is no figure."""
    if table4_seconds(model, guided, dataset) is None:
        return None
    row = _row(model, guided)
    found = [
        each.text
        for each in cautions("table4")
        if row in each.rows and each.dataset == dataset  # what holds for the whole table is no mark on one figure
    ]
    return " ".join(found) or None


def cautions(table: str) -> tuple[Caution, ...]:
    """Reasons to doubt figures of a table."""
    return tuple(
        Caution(each["table"], each["dataset"], tuple(each["rows"]), each["text"])
        for each in tables()["cautions"]
        if each["table"] == table
    )


def _row(model: str, guided: bool) -> str:
    return _ROWS[model] + ("+AG" if guided else "")
