"""What is ranked, by what and where to, and the chunks in which it is scored."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agcli.data.ranking.prepared import RankingDataset
from agcli.errors import UsageError, cells_hidden
from agcli.ranking.ranker import Claim, Ranker
from agcli.runs.atomic import write_bytes
from agcli.training.trained_on import Overlap, overlap_warning, training_overlaps

CHUNK_PAIRS = 2048
"""Pairs that are scored, sorted by length and saved together: at most so many are lost by a kill."""
DEPTH = 100
"""Candidates of a claim where nobody says how many, as far as there are so many."""
SCORES = "scores"


@dataclass(frozen=True, eq=False)
class Chunk:
    """Consecutive claims whose candidates are scored together.

    Attributes:
        number: of the chunk.
        rows: rows of the claims in the data set.
        documents: for each claim, its candidates as rows of the corpus, best of the first stage first.
        first_scores: for each claim, their first-stage scores.
    """

    number: int
    rows: NDArray[np.int32]
    documents: tuple[NDArray[np.int32], ...]
    first_scores: tuple[NDArray[np.float32], ...]

    @property
    def pairs(self) -> NDArray[np.int32]:
        """Index of the claim within the chunk and row of the document, shape (num_pairs, 2)."""
        counts = [len(rows) for rows in self.documents]
        claims = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        return np.stack([claims, np.concatenate([np.empty(0, np.int32), *self.documents])], axis=1)


@dataclass(frozen=True, eq=False)
class RankJob:
    """What is ranked, by what, and where the results go.

    Attributes:
        ranker: the model.
        dataset: claims, corpus and first-stage candidates.
        split: whose claims.
        depth: candidates of each claim.
        output: the folder of the results.
        strict_splits: whether claims that the run was trained on are an error.
    """

    ranker: Ranker
    dataset: RankingDataset
    split: str
    depth: int
    output: Path
    strict_splits: bool = False

    @cached_property
    def rows(self) -> NDArray[np.int32]:
        """The claims to rank: all of the split."""
        return self.dataset.rows(self.split)

    @cached_property
    def judged(self) -> frozenset[str]:
        """Ids of the claims that have a relevant document: those that are measured."""
        return frozenset(self.dataset.queries["id"].iloc[self.dataset.judged(self.split)])

    @property
    def num_pairs(self) -> int:
        """Pairs to score."""
        counts = self.dataset.queries["candidates"].to_numpy()[self.rows]
        return int(np.minimum(counts, self.depth).sum())

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the scores: a ranking is gone on with only under the same."""
        return {
            "task": "ranking",
            "dataset": self.dataset.name,
            "digest": self.dataset.collection_digest,
            "candidates_digest": self.dataset.digest,
            "split": self.split,
            "depth": self.depth,
            "queries": len(self.rows),
            "judged": len(self.judged),
            "run": str(self.ranker.folder.path),
            "model_sha256": self.ranker.weights_sha256,
            "precision": self.ranker.precision,
            "device": self.ranker.device.type,
            "max_length": self.ranker.max_length,
            "batch_tokens": self.ranker.batch_tokens,
        }

    def chunks(self) -> Iterator[Chunk]:
        """The claims in order, as many at a time as give about `CHUNK_PAIRS` pairs."""
        size = max(1, CHUNK_PAIRS // self.depth)
        for number, start in enumerate(range(0, len(self.rows), size)):
            rows = self.rows[start : start + size]
            found = [self.dataset.candidates(int(row), self.depth) for row in rows]
            yield Chunk(number, rows, tuple(each[0] for each in found), tuple(each[1] for each in found))

    def claims(self, rows: NDArray[np.int32]) -> list[Claim]:
        """The claims of these rows."""
        chosen = self.dataset.queries.iloc[rows]
        return [Claim(*pair) for pair in zip(chosen["id"], chosen["text"], strict=True)]

    def check(self) -> None:
        """Whether this can be ranked at all.

        Raises:
            UsageError: deeper than the data were prepared.
            DataError: no such split, a claim that leaves no room for a document and must not be cut, or one that the
                run was trained on and must not be ranked.
        """
        if self.depth > self.dataset.depth:
            raise UsageError(
                f"--depth {self.depth}: {self.dataset.name} was prepared with {self.dataset.depth} candidates a claim.",
                hint=f"ag prepare ... --depth {self.depth} --overwrite",
            )
        _ = self.claims_cut, self.warning

    @cached_property
    def trained_on(self) -> Overlap | None:
        """How many of the claims the run was trained on; None where that is not known."""
        return training_overlaps([self.ranker.folder], [(claim.text,) for claim in self.claims(self.rows)])[0]

    @property
    def warning(self) -> str:
        """What to say of claims that the run was trained on; empty where there are none.

        Raises:
            DataError: there are some, or it is not known, and splits are to be strict.
        """
        claims = f"claims of {self.dataset.name}, {self.split},"
        return overlap_warning(self.trained_on, self.ranker.folder.name, claims, self.strict_splits)

    @cached_property
    def claims_cut(self) -> int:
        """Claims that are cut because they leave no room for a document.

        Raises:
            DataError: there are some, and they must not be cut.
        """
        starts = range(0, len(self.rows), CHUNK_PAIRS)
        with cells_hidden(self.dataset.credentialed):
            return sum(self.ranker.with_room(self.claims(self.rows[at : at + CHUNK_PAIRS]))[1] for at in starts)

    def scores_of(self, chunk: Chunk) -> NDArray[np.float32] | None:
        """The saved scores of a chunk, or None."""
        path = self._file(chunk)
        if not path.is_file():
            return None
        try:
            found: NDArray[np.float32] = np.load(path, allow_pickle=False)
        except (ValueError, EOFError, OSError):
            return None
        return found if found.shape == (len(chunk.pairs),) else None

    def save_scores(self, chunk: Chunk, scores: NDArray[np.float32]) -> None:
        """Keep the scores of a chunk; after this no kill loses them."""
        content = io.BytesIO()
        np.save(content, scores, allow_pickle=False)
        write_bytes(self._file(chunk), content.getvalue())

    def _file(self, chunk: Chunk) -> Path:
        return self.output / SCORES / f"{chunk.number:08d}.npy"


def usual_depth(dataset: RankingDataset) -> int:
    """Candidates of a claim where nobody says how many."""
    return min(DEPTH, dataset.depth)
