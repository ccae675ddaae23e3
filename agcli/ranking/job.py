"""Ranking a split, resumably: scores are kept chunk by chunk, each appearing whole; the results come at the end."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agcli.data.text_pairs import cut_note
from agcli.errors import InterruptedRunError, UsageError
from agcli.ranking.request import SCORES, RankJob
from agcli.ranking.results import FILES, write_results
from agcli.runs import signals as interruption
from agcli.runs.atomic import writing
from agcli.runs.folder import RunFolder

STATE = "state.json"


class RankWatch:
    """What a caller may want to see of a ranking as it goes. This one looks away."""

    def start(self, done_pairs: int, total_pairs: int) -> None:
        """Scoring starts, or goes on."""

    def scored(self, pairs: int) -> None:
        """So many more pairs are scored."""

    def message(self, text: str) -> None:
        """A line of log."""

    def warning(self, text: str) -> None:
        """Something the user should know of."""


def rank(job: RankJob, *, overwrite: bool = False, resamples: int, seed: int, watch: RankWatch | None = None) -> None:
    """Score every candidate, then write the results; what is scored already is not scored again.

    Args:
        job: what to rank.
        overwrite: replace an earlier ranking in the output folder.
        resamples: bootstrap resamples of the intervals.
        seed: seed of the bootstrap.
        watch: who looks on.

    Raises:
        UsageError: the folder holds another ranking, or things that are none.
        InterruptedRunError: SIGINT or SIGTERM; what is scored is kept.
        RunError: a score that is not a number, or the disk refuses.
    """
    job.check()
    watch = watch or RankWatch()
    folder = RunFolder(job.output)
    check_place(job.output, job.settings | {"resamples": resamples, "seed": seed}, overwrite)
    with folder.locked(watch.warning), interruption.stop_on_signals() as stop:
        if overwrite:
            _clear(folder)
        if (folder.path / "metrics.json").is_file():
            return
        folder.write_json(STATE, job.settings)  # before any score: scores without it are nobody's
        (folder.path / SCORES).mkdir(exist_ok=True)
        _score(job, stop, watch)
        write_results(job, resamples, seed)
        _remove_scores(folder)


def _score(job: RankJob, stop: interruption.StopRequest, watch: RankWatch) -> None:
    scored = {chunk.number: len(chunk.pairs) for chunk in job.chunks() if job.scores_of(chunk) is not None}
    done = sum(scored.values())
    watch.start(done, job.num_pairs)
    if job.claims_cut:
        watch.message(cut_note(job.claims_cut, len(job.rows), job.ranker.max_length))
    if done:
        watch.message(f"going on after {done} pairs.")

    def on_batch(pairs: int) -> None:
        watch.scored(pairs)
        if stop.signal is not None:
            raise InterruptedRunError(
                f"interrupted by {stop.signal.name}; what is scored is kept in {job.output}.",
                hint="the same command, without --overwrite, goes on there",
            )

    for chunk in job.chunks():
        if chunk.number not in scored:
            corpus = job.dataset.documents
            job.save_scores(chunk, job.ranker.scores(job.claims(chunk.rows), corpus, chunk.pairs, on_batch))


def check_place(output: Path, settings: Mapping[str, Any], overwrite: bool) -> None:
    """Whether results may go there: nothing, or a ranking of ours, is there.

    Args:
        output: the folder.
        settings: what a ranking that is there must have been made with; what it did not record is passed over.
        overwrite: another ranking may be replaced; anything else may not.

    Raises:
        UsageError: another ranking, or something that is none.
    """
    folder = RunFolder(output)
    if not output.exists() or (output.is_dir() and not any(_visible(output))):
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


def _visible(folder: Path) -> Iterator[Path]:
    return (entry for entry in folder.iterdir() if not entry.name.startswith("."))


def _recorded(folder: RunFolder) -> dict[str, Any] | None:
    """The settings of a finished or unfinished ranking; None for any other folder, and for a file."""
    for name in ("metrics.json", STATE):
        if (folder.path / name).is_file() and not (folder.path / "status.json").exists():
            found = folder.read_json(name)
            return found if found.get("task") == "ranking" and "candidates_digest" in found else None
    return None


def _clear(folder: RunFolder) -> None:
    """Remove an earlier ranking, and nothing else."""
    _remove_scores(folder)
    for name in FILES:
        (folder.path / name).unlink(missing_ok=True)


def _remove_scores(folder: RunFolder) -> None:
    """Scores first: without them, what is left of their settings does no harm."""
    with writing(folder.path):
        if (folder.path / SCORES).is_dir():
            shutil.rmtree(folder.path / SCORES)
        (folder.path / STATE).unlink(missing_ok=True)
