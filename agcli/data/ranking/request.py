"""What `ag prepare` was asked to do with ranking data."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from agcli.data.archives import source_files
from agcli.data.files import SourceFile
from agcli.errors import UsageError, did_you_mean
from agcli.runs.home import expanded

NegativesFrom = Literal["bm25", "random", "mixed"]
NEGATIVES_FROM: tuple[str, ...] = get_args(NegativesFrom)
NegativeGrades = Literal["refuse", "as-zero", "drop"]


@dataclass(frozen=True)
class RankingRequest:
    """One call of `ag prepare` for ranking data.

    Attributes:
        name: the data set's name; picks the layout where it is a known one.
        output: folder of the prepared form.
        source: folder or zip.
        format: forces a source layout.
        depth: first-stage candidates of a claim.
        negatives: negatives beside each positive in a training list.
        negatives_from: the first stage's candidates, the whole corpus, or half and half.
        stemmer: PyStemmer's language; None: words as they are.
        stopwords: bm25s's list; None: every word counts.
        seed: seed of the dev cut and of the negatives.
        dev_fraction: part of the training claims that becomes dev where there is no dev; None: 0.1.
        strict_splits: relevant documents or texts shared between splits are an error, whatever the layout.
        drop_missing: judgements of absent or empty documents and of absent claims are dropped and counted.
        negative_grades: what becomes of judgements with a grade below 0.
        license: licence line; None takes the known one.
        credentialed: the text must stay out of everything that is shown.
        overwrite: replace an existing prepared data set.
    """

    name: str
    output: Path
    source: str | None = None
    format: str | None = None
    depth: int = 100
    negatives: int = 10
    negatives_from: NegativesFrom = "bm25"
    stemmer: str | None = "english"
    stopwords: str | None = "en"
    seed: int = 1
    dev_fraction: float | None = None
    strict_splits: bool = False
    drop_missing: bool = False
    negative_grades: NegativeGrades = "refuse"
    license: str | None = None
    credentialed: bool = False
    overwrite: bool = False

    def __post_init__(self) -> None:
        """Check what can be checked without the data.

        Raises:
            UsageError: an option out of range.
        """
        for option, value in (("--depth", self.depth), ("--negatives", self.negatives)):
            if value < 1:
                raise UsageError(f"{option} is a whole number from 1, not {value}.")
        if self.negatives_from not in NEGATIVES_FROM:
            near = did_you_mean(self.negatives_from, NEGATIVES_FROM)
            raise UsageError(f"--negatives-from {self.negatives_from}?{near} Allowed: {', '.join(NEGATIVES_FROM)}.")
        if self.dev_fraction is not None and not 0 < self.dev_fraction < 1:
            raise UsageError(f"--dev-fraction lies between 0 and 1, not {self.dev_fraction}.")

    @property
    def paths(self) -> list[Path]:
        """The files and folders that the user points at."""
        return [] if self.source is None else [expanded(self.source)]


def ranking_files(request: RankingRequest) -> list[SourceFile]:
    """Every file that the request points at.

    Raises:
        UsageError: it points at none.
        DataError: a path that is not there, or an unsafe archive.
    """
    if request.source is None:
        raise UsageError(
            f"Where is {request.name}? Give --from PATH, a folder or a zip.",
            hint=f"ag prepare --dataset {shlex.quote(request.name)} --from PATH",
        )
    return source_files(expanded(request.source))
