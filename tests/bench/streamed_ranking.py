"""A ranking in a process of its own, for its memory: `prepare FOLDER CLAIMS DOCUMENTS DEPTH`, then `rank FOLDER`.

The model is replaced by arithmetic on the document's row: what is measured is everything around it. Prints JSON.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from numpy.typing import NDArray

from agcli.data.ranking.prepared import RankingContents, load_ranking, write_ranking
from agcli.models import load_tokenizer
from agcli.ranking.rank_split import RankJob, rank
from agcli.ranking.ranker import Query, Ranker
from agcli.runs.folder import RunFolder


class Arithmetic(Ranker):
    """Tokenises documents as a ranker does, and then looks at their rows only."""

    def scores(
        self,
        queries: Sequence[Query],
        corpus: pa.Table,
        pairs: NDArray[np.int32],
        on_batch: Callable[[int], None] | None = None,
    ) -> NDArray[np.float32]:
        self._tokens_of(corpus, np.unique(pairs[:, 1]))
        return (pairs[:, 1].astype(np.int64) * 7919 % 1009).astype(np.float32)


def made_up(folder: Path, claims: int, documents: int, depth: int) -> None:
    """Claims and documents of random words; each claim's fourth candidate is relevant."""
    random = np.random.default_rng(0)
    words = np.array([f"word{number}" for number in range(2000)])

    def texts(count: int, size: int) -> list[str]:
        return [" ".join(random.choice(words, size)) for _ in range(count)]

    names = [f"d{number}" for number in range(documents)]
    corpus = {"id": pa.array(names, pa.large_string()), "text": pa.array(texts(documents, 60), pa.large_string())}
    ids = [f"q{number}" for number in range(claims)]
    queries = pd.DataFrame({"split": "test", "id": ids, "text": texts(claims, 8)}, dtype="str")
    found = [random.choice(documents, depth, replace=False).astype(np.int32) for _ in range(claims)]
    scores = np.linspace(9, 1, depth, dtype=np.float32)
    qrels = pd.DataFrame({"query": ids, "document": [names[rows[3]] for rows in found], "relevance": 1})
    contents = RankingContents(pa.table(corpus), queries, qrels, [(rows, scores) for rows in found], None, None)
    write_ranking(folder, contents, {"name": "made-up", "splits": {}, "depth": depth})


def peak_mb() -> float:
    """Most memory that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    folder = Path(sys.argv[2])
    if sys.argv[1] == "prepare":
        made_up(folder, *map(int, sys.argv[3:]))
        return
    tokenizer = load_tokenizer("minilm", offline=True)
    ranker = Arithmetic(RunFolder(Path("made-up")), None, tokenizer, "", 128, "fp32", 4096, torch.device("cpu"))
    dataset = load_ranking(folder)
    job = RankJob(ranker, dataset, "test", dataset.depth, folder.parent / f"{folder.name}-ranking")
    before = peak_mb()
    rank(job, resamples=100, seed=0)
    print(json.dumps({"pairs": job.num_pairs, "before_mb": before, "after_mb": peak_mb()}))


if __name__ == "__main__":
    main()
