"""The shipped histograms against the texts that they were counted on, where those lie beside the checkout."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from agcli.data.batching import tokenise
from agcli.models import load_tokenizer, locate
from agcli.timing.shapes import shape

DATA = Path(__file__).parents[2].parent / "shared" / "data"
pytestmark = [
    pytest.mark.skipif(not DATA.is_dir(), reason="no ../shared/data beside the checkout"),
    pytest.mark.skipif(not locate("minilm"), reason="minilm's tokenizer is not here"),
]


def test_multinli_is_counted_on_real_pairs() -> None:
    """The few lines that made `multinli.csv`."""
    with (DATA / "mnli_20k" / "mnli_train.tsv").open(encoding="utf-8", newline="\n") as file:
        rows = [line.rstrip("\n").split("\t") for line in file][1:]
    first, second = [row[0] for row in rows], [row[1] for row in rows]
    tokenizer = load_tokenizer("minilm", offline=True)
    lengths = tokenise(tokenizer, first, first, second, [0] * len(rows), max_length=10**6).lengths
    assert lengths[lengths > 512].tolist() == [37_090]
    assert shape("multinli").counts == dict(sorted(Counter(lengths[lengths <= 512].tolist()).items()))


def test_mednli_borrows_its_pieces_per_word_from_scifact() -> None:
    with (DATA / "scifact" / "corpus.jsonl").open(encoding="utf-8") as file:
        sentences = [text for line in list(file)[:500] for text in json.loads(line)["abstract"]]
    words = sum(len(re.findall(r"\w+(?:[-']\w+)*|[^\w\s]", text)) for text in sentences)
    pieces = load_tokenizer("minilm", offline=True)(sentences, add_special_tokens=False)["input_ids"]
    assert sum(map(len, pieces)) / words == pytest.approx(1.31, abs=0.01)
    assert "1.31 WordPieces a word" in shape("mednli").source
