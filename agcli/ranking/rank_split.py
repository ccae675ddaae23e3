"""Re-ranking of a split, resumable: scores are saved chunk by chunk, the results are written at the end."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agcli.data.ranking.prepared import PreparedRanking
from agcli.data.text_pairs import cut_note
from agcli.errors import InterruptedRunError, UsageError, cells_hidden
from agcli.ranking.ranker import Query, Ranker
from agcli.ranking.results import FILES, Chunk, write_results
from agcli.runs import signals as interruption
from agcli.runs.atomic import write_bytes, writing
from agcli.runs.folder import RunFolder
from agcli.tasks.training_overlap import Overlap, overlap_warning, training_overlaps

CHUNK_PAIRS = 2048
"""Pairs scored, sorted by length and saved together; a kill loses at most these."""
DEPTH = 100
"""Candidates of a query by default, or all that there are."""
SCORES = "scores"
STATE = "state.json"


@dataclass(frozen=True, eq=False)
class RankJob:
    """All queries of a split to rank, and where the results go.

    Attributes:
        strict_splits: whether queries that the run was trained on are an error.
    """

    ranker: Ranker
    dataset: PreparedRanking
    split: str
    depth: int
    output: Path
    strict_splits: bool = False

    @cached_property
    def rows(self) -> NDArray[np.int32]:
        """Rows of the queries in the data set."""
        return self.dataset.rows(self.split)

    @cached_property
    def judged(self) -> frozenset[str]:
        """Ids of the queries with a relevant document; only they are measured."""
        return frozenset(self.dataset.queries["id"].iloc[self.dataset.judged(self.split)])

    @property
    def num_pairs(self) -> int:
        """Number of pairs to score."""
        counts = self.dataset.queries["candidates"].to_numpy()[self.rows]
        return int(np.minimum(counts, self.depth).sum())

    @property
    def settings(self) -> dict[str, Any]:
        """All that determines the scores: an interrupted ranking is resumed only with the same settings."""
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

    @cached_property
    def trained_on(self) -> Overlap | None:
        """How many of the queries the run was trained on; None where that is not known."""
        return training_overlaps([self.ranker.folder], [(query.text,) for query in self._queries(self.rows)])[0]

    @property
    def warning(self) -> str:
        """A warning of queries that the run was trained on; empty where there are none.

        Raises:
            DataError: there are some, or it is not known, and splits are to be strict.
        """
        queries = f"queries of {self.dataset.name}, {self.split},"
        return overlap_warning(self.trained_on, self.ranker.folder.name, queries, self.strict_splits)

    @cached_property
    def queries_cut(self) -> int:
        """Number of queries that are cut because they leave no room for a document.

        Raises:
            DataError: there are some, and they must not be cut.
        """
        starts = range(0, len(self.rows), CHUNK_PAIRS)
        with cells_hidden(self.dataset.credentialed):
            return sum(self.ranker.with_room(self._queries(self.rows[at : at + CHUNK_PAIRS]))[1] for at in starts)

    def check(self) -> None:
        """Check depth, split and queries before any work.

        Raises:
            UsageError: deeper than the data were prepared.
            DataError: no such split, or as of `queries_cut` and `warning`.
        """
        if self.depth > self.dataset.depth:
            raise UsageError(
                f"--depth {self.depth}: {self.dataset.name} was prepared with {self.dataset.depth} candidates a query.",
                hint=f"ag prepare ... --depth {self.depth} --overwrite",
            )
        _ = self.queries_cut, self.warning

    def chunks(self) -> Iterator[Chunk]:
        """The queries in order, as many at a time as give about `CHUNK_PAIRS` pairs."""
        size = max(1, CHUNK_PAIRS // self.depth)
        for number, start in enumerate(range(0, len(self.rows), size)):
            rows = self.rows[start : start + size]
            documents, first_scores = zip(*(self.dataset.candidates(int(row), self.depth) for row in rows), strict=True)
            yield Chunk(number, self._queries(rows), documents, first_scores)

    def _queries(self, rows: NDArray[np.int32]) -> list[Query]:
        chosen = self.dataset.queries.iloc[rows]
        return [Query(*pair) for pair in zip(chosen["id"], chosen["text"], strict=True)]

    def load_scores(self, chunk: Chunk) -> NDArray[np.float32] | None:
        """The saved scores of a chunk; None where there are none or they are damaged."""
        try:
            scores: NDArray[np.float32] = np.load(self._file(chunk), allow_pickle=False)
        except (ValueError, EOFError, OSError):
            return None
        return scores if scores.shape == (len(chunk.pairs),) else None

    def save_scores(self, chunk: Chunk, scores: NDArray[np.float32]) -> None:
        """Save the scores of a chunk atomically."""
        content = io.BytesIO()
        np.save(content, scores, allow_pickle=False)
        write_bytes(self._file(chunk), content.getvalue())

    def _file(self, chunk: Chunk) -> Path:
        return self.output / SCORES / f"{chunk.number:08d}.npy"


class RankingCallback:
    """Hooks called during a ranking; these do nothing."""

    def scoring(self, done_pairs: int, total_pairs: int) -> None:
        """Called when scoring starts or is resumed."""

    def scored(self, pairs: int) -> None:
        """Called after each batch with its number of pairs."""

    def message(self, text: str) -> None:
        """Called with a line of log."""

    def warning(self, text: str) -> None:
        """Called with a warning for the user."""


def usual_depth(dataset: PreparedRanking) -> int:
    """Candidates of a query by default."""
    return min(DEPTH, dataset.depth)


def rank(
    job: RankJob, *, overwrite: bool = False, resamples: int, seed: int, callback: RankingCallback | None = None
) -> None:
    """Score every candidate that has no saved score, then write the results.

    Args:
        overwrite: replace an earlier ranking in the output folder.

    Raises:
        UsageError: the folder holds another ranking, or other files.
        InterruptedRunError: SIGINT or SIGTERM; scores so far are kept.
        RunError: a score that is not a number, or the disk refuses.
    """
    job.check()
    callback = callback or RankingCallback()
    folder = RunFolder(job.output)
    check_place(job.output, job.settings | {"resamples": resamples, "seed": seed}, overwrite)
    with folder.locked(callback.warning), interruption.stop_on_signals() as stop:
        if overwrite:
            _remove_scores(folder)
            for name in FILES:
                (folder.path / name).unlink(missing_ok=True)
        if (folder.path / "metrics.json").is_file():
            return
        folder.write_json(STATE, job.settings)  # before any score: without it scores belong to no ranking
        (folder.path / SCORES).mkdir(exist_ok=True)
        _score(job, stop, callback)
        metrics = {
            **job.settings,
            "claims_cut": job.queries_cut,
            "trained_on": None if job.trained_on is None else asdict(job.trained_on),
            "credentialed": job.dataset.credentialed,
        }
        write_results(folder, job.dataset, job.judged, _scored(job), metrics, resamples, seed)
        _remove_scores(folder)


def check_place(output: Path, settings: Mapping[str, Any], overwrite: bool) -> None:
    """Check that results may be written there: the folder is empty, or holds a ranking.

    Args:
        settings: those that an existing ranking must have, as far as it recorded them.
        overwrite: whether another ranking may be replaced; other files never are.

    Raises:
        UsageError: another ranking, or other files.
    """
    folder = RunFolder(output)
    if not output.exists() or (output.is_dir() and not any(output.glob("[!.]*"))):
        return
    before = _recorded(folder)
    if before is None:
        raise UsageError(f"--output {output} exists and is no ranking; it is left alone.")
    differing = [name for name, value in settings.items() if name != "run" and before.get(name, value) != value]
    if differing and not overwrite:
        was = "; ".join(f"{name} was {before[name]!r}, is {settings[name]!r}" for name in differing)
        raise UsageError(
            f"{output} holds another ranking: {was}.",
            hint="--overwrite replaces it, another --output leaves it alone",
        )


def _recorded(folder: RunFolder) -> dict[str, Any] | None:
    """The settings of a finished or unfinished ranking; None for any other folder, and for a file."""
    for name in ("metrics.json", STATE):
        if (folder.path / name).is_file() and not (folder.path / "status.json").exists():
            settings = folder.read_json(name)
            return settings if settings.get("task") == "ranking" and "candidates_digest" in settings else None
    return None


def _score(job: RankJob, stop: interruption.StopRequest, callback: RankingCallback) -> None:
    saved = {chunk.number: len(chunk.pairs) for chunk in job.chunks() if job.load_scores(chunk) is not None}
    done = sum(saved.values())
    callback.scoring(done, job.num_pairs)
    if job.queries_cut:
        callback.message(cut_note(job.queries_cut, len(job.rows), job.ranker.max_length))
    if done:
        callback.message(f"going on after {done} pairs.")

    def on_batch(pairs: int) -> None:
        callback.scored(pairs)
        if stop.signal is not None:
            raise InterruptedRunError(
                f"interrupted by {stop.signal.name}; what is scored is kept in {job.output}.",
                hint="the same command, without --overwrite, goes on there",
            )

    for chunk in job.chunks():
        if chunk.number not in saved:
            scores = job.ranker.scores(chunk.queries, job.dataset.documents, chunk.pairs, on_batch)
            job.save_scores(chunk, scores)


def _scored(job: RankJob) -> Iterator[tuple[Chunk, NDArray[np.float32]]]:
    for chunk in job.chunks():
        scores = job.load_scores(chunk)
        assert scores is not None, "every chunk was scored"
        yield chunk, scores


def _remove_scores(folder: RunFolder) -> None:
    """Scores go first: settings without scores do no harm."""
    with writing(folder.path):
        if (folder.path / SCORES).is_dir():
            shutil.rmtree(folder.path / SCORES)
        (folder.path / STATE).unlink(missing_ok=True)
