"""A prepared ranking data set that takes no time: 30 documents, 8 train, 5 dev and 6 test claims."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from tiny_runs import MARKER, WORDS

from agcli.data.bm25 import build
from agcli.data.ranking.prepared import PreparedRanking, RankingContents, write_ranking

CLAIMS = {"train": 8, "dev": 5, "test": 6}
NUM_DOCUMENTS, NEGATIVES = 30, 3


def document(number: int) -> str:
    """Words of different counts, so that documents differ in length and BM25 tells them apart."""
    return " ".join(
        [MARKER, *(WORDS[1 + (number * step + step) % (len(WORDS) - 1)] for step in range(2, 5 + number % 9))]
    )


def claim(number: int) -> str:
    """Some words of its document, so that the first stage mostly finds it."""
    return " ".join(document(number).split()[:4])


def contents(depth: int = 12) -> RankingContents:
    """What `write_ranking_dataset` writes."""
    names = [f"d{number:02d}" for number in range(NUM_DOCUMENTS)]
    texts = [document(number) for number in range(NUM_DOCUMENTS)]
    rows = [(split, f"{split}-{n}") for split, count in CLAIMS.items() for n in range(count)]
    queries = pd.DataFrame(rows, columns=["split", "id"]).assign(text=[claim(n) for n in range(len(rows))])
    qrels = pd.DataFrame({"query": queries["id"], "document": names[: len(rows)], "relevance": 1})
    stage = build(texts, names)
    candidates = [stage.search(text, depth) for text in queries["text"]]
    lists = [
        [n, n, *((n + 7 * (step + 1)) % NUM_DOCUMENTS for step in range(NEGATIVES))] for n in range(CLAIMS["train"])
    ]
    documents = pa.table({"id": pa.array(names, pa.large_string()), "text": pa.array(texts, pa.large_string())})
    return RankingContents(documents, queries.astype("str"), qrels, candidates, np.array(lists, np.int32), stage.save)


def write_ranking_dataset(folder: Path, depth: int = 12, **manifest: Any) -> PreparedRanking:
    """A prepared folder; keywords go into the manifest."""
    written = {
        "name": folder.name,
        "splits": {split: {"queries": n} for split, n in CLAIMS.items()},
        "depth": depth,
        "negatives": NEGATIVES,
    }
    return write_ranking(folder, contents(depth), {**written, **manifest})
