"""The first stage's candidates: BM25's, or those of a run file where the source brings one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agcli.data.bm25 import Analysis, FirstStage, build
from agcli.data.files.opening import SourceFile
from agcli.data.ranking.collection import Claim, Documents, RankingSplit
from agcli.errors import DataError, shortened
from agcli.measures.trec import read_run

Candidates = tuple[NDArray[np.int32], NDArray[np.float32]]
Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is to do."""
INDEXING, SEARCHING = "indexing documents", "searching for claims"
_NONE: Candidates = (np.empty(0, np.int32), np.empty(0, np.float32))


def build_index(documents: Documents, folder: Path, analysis: Analysis, progress: Progress) -> FirstStage:
    """Index the corpus into a folder."""
    total = len(documents.places)
    progress(INDEXING, 0, total)
    texts = (text for batch in documents.table.to_batches(4096) for text in batch.column("text").to_pylist())
    return build(
        texts, list(documents.places), folder, analysis, on_document=lambda done: progress(INDEXING, done, total)
    )


def search(stage: FirstStage, claims: Sequence[Claim], depth: int, progress: Progress) -> Iterator[Candidates]:
    """BM25's candidates, claim by claim."""
    progress(SEARCHING, 0, len(claims))
    for done, claim in enumerate(claims, 1):
        found = stage.search(claim.text, depth)
        if done % 64 == 0 or done == len(claims):
            progress(SEARCHING, done, len(claims))
        yield found


@dataclass(frozen=True, eq=False)
class RunCandidates:
    """What run files hold: candidates by claim id, and results beyond `depth` or of absent documents that were cut."""

    by_claim: dict[str, Candidates]
    dropped: int
    cut: int


def read_runs(files: Iterable[SourceFile], documents: Documents, depth: int, drop: bool) -> RunCandidates:
    """The candidates of every run file.

    Raises:
        DataError: two files with results for one claim, a document that the corpus lacks, a file inside a zip.
    """
    found: dict[str, Candidates] = {}
    dropped = cut = 0
    for file in files:
        if file.path is None or file.packing:
            problem = "run files are not read inside a zip, packed or in shards"
            raise DataError(problem, file=file.name, hint="unpack it, and pass the folder")
        for claim, names, scores in read_run(file.path):
            if claim in found:
                raise DataError("another run file has results for this claim too", file=file.name, value=claim)
            places = np.array([documents.places.get(name, -1) for name in names], dtype=np.int32)
            here = places >= 0
            if not here.all() and not drop:
                raise DataError(
                    f"a claim has {int((~here).sum())} candidate(s) that the corpus lacks",
                    detail=f"It is claim {shortened(claim)}.",
                    file=file.name,
                    value=names[int(np.flatnonzero(~here)[0])],
                    hint="--drop-missing leaves such candidates out, and counts them",
                )
            dropped += int((~here).sum())
            cut += max(int(here.sum()) - depth, 0)
            found[claim] = (places[here][:depth], scores[here][:depth])
    return RunCandidates(found, dropped, cut)


def split_candidates(
    splits: dict[str, RankingSplit], runs: RunCandidates, stage: FirstStage, depth: int, progress: Progress
) -> dict[str, list[Candidates]]:
    """The candidates of every split: of the run where it has results for any of the split's claims, else BM25's."""
    bare = {name for name, split in splits.items() if not has_run(split, runs)}
    searched = search(
        stage, [claim for name in splits if name in bare for claim in splits[name].claims], depth, progress
    )
    return {
        name: list(islice(searched, len(split.claims)))
        if name in bare
        else [runs.by_claim.get(claim.id, _NONE) for claim in split.claims]
        for name, split in splits.items()
    }


def has_run(split: RankingSplit, runs: RunCandidates) -> bool:
    """Whether a run has results for any claim of the split."""
    return any(claim.id in runs.by_claim for claim in split.claims)


def run_warnings(splits: dict[str, RankingSplit], runs: RunCandidates) -> Iterator[str]:
    """What of the run files was left out, and the claims that they say nothing of."""
    if runs.dropped:
        yield f"run files: {runs.dropped} candidate(s) that the corpus lacks were left out"
    if runs.cut:
        yield f"run files: {runs.cut} candidate(s) below --depth were left out"
    for name, split in splits.items():
        without = sum(1 for claim in split.claims if claim.id not in runs.by_claim)
        if without and has_run(split, runs):
            yield f"{name}: {without} of {len(split.claims)} claims have no candidates in the run file"


def recall(split: RankingSplit, candidates: Sequence[Candidates], documents: Documents) -> dict[str, Any]:
    """How much of what is relevant lies among the candidates.

    Returns:
        `retrieved`, the judged claims with a relevant document among their candidates, and `recall`, the mean over
        judged claims of the part of their relevant documents that is there (None where no claim is judged).
    """
    relevant = split.relevant
    parts = [
        np.isin([documents.places[document] for document in relevant[claim.id]], rows).mean()
        for claim, (rows, _) in zip(split.claims, candidates, strict=True)
        if claim.id in relevant
    ]
    return {
        "retrieved": sum(1 for part in parts if part > 0),
        "recall": float(np.mean(parts)) if parts else None,
    }
