"""The source formats and the data sets known by name. `ag prepare` derives its choices from these lists; no imports.

A new format is a file in this folder, an entry here, and a test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import PurePosixPath
from typing import Any, Literal

Kind = Literal["pairs", "ranking"]


@dataclass(frozen=True)
class Format:
    """A source format, described without importing it.

    Attributes:
        name: of `--format`, and `source_format` in the manifest.
        kind: `pairs`: the target is called with the request and returns a `Corpus`; `ranking`: it is called with the
            source's files and returns a `RankingCollection`.
        help: which data and files, in one line.
        target: `module:function`, imported on first use.
        patterns: a source in which each of these matches a file is of this format; `a|b` matches either, `x/y` a file
            in a folder of that name. Without patterns the format must be named, or recognised by what it holds.
        columns_by_name: whether options such as `--text-a` name the columns.
        credentialed: whether a file that matches makes a source credentialed, whatever `--format` says.
    """

    name: str
    kind: Kind
    help: str
    target: str
    patterns: tuple[str, ...] = ()
    columns_by_name: bool = False
    credentialed: bool = False

    def load(self) -> Callable[[Any], Any]:
        """The reader."""
        module, _, name = self.target.partition(":")
        reader: Callable[[Any], Any] = getattr(import_module(module), name)
        return reader

    def recognises(self, names: Iterable[str]) -> bool:
        """Whether each pattern matches one of these file names (relative to the source, unpacked)."""
        return bool(self.patterns) and all(any(_matches(name, pattern) for name in names) for pattern in self.patterns)


def _matches(name: str, pattern: str) -> bool:
    path = PurePosixPath(name.lower())
    inside = f"{path.parent.name}/{path.name}"
    return any(fnmatchcase(inside if "/" in each else path.name, each) for each in pattern.split("|"))


FORMATS: dict[str, Format] = {}
"""Name -> format, in the order in which they are shown and tried."""


def register(entry: Format) -> None:
    """Add a format.

    Raises:
        ValueError: the name is taken.
    """
    if entry.name in FORMATS:
        raise ValueError(f"there is a format {entry.name!r} already")
    FORMATS[entry.name] = entry


def formats_of(kind: Kind) -> dict[str, Format]:
    """The formats of one kind."""
    return {name: entry for name, entry in FORMATS.items() if entry.kind == kind}


def _named(words: str, suffixes: str) -> str:
    """The pattern of files whose name, or whose folder's, begins with one of these words."""
    return "|".join(f"{word}{rest}{end}" for word in words.split() for rest in ("*", "/*") for end in suffixes.split())


_SCIFACT = ("corpus.jsonl", "claims*")
_HOME = "agcli.data.formats"

for _entry in (
    Format("multinli", "pairs", "MultiNLI, GLUE's MNLI, SNLI: .jsonl, .txt, .tsv, .parquet", f"{_HOME}.multinli:read"),
    Format(
        "mednli",
        "pairs",
        "MedNLI from PhysioNet: mli_{train,dev,test}_v1.jsonl",
        f"{_HOME}.mednli:read",
        ("mli_train_v[0-9]*|mli_dev_v[0-9]*|mli_test_v[0-9]*",),
        credentialed=True,
    ),
    Format(
        "scifact",
        "pairs",
        "SciFact, HealthVer: corpus.jsonl, claims_*.jsonl",
        f"{_HOME}.scifact:read",
        _SCIFACT,
    ),
    Format(
        "tabular",
        "pairs",
        "any table of two texts and a label: csv, tsv, jsonl, parquet",
        f"{_HOME}.tabular:read",
        columns_by_name=True,
    ),
    Format("hub", "pairs", "a data set of the Hugging Face hub", f"{_HOME}.hub:read", columns_by_name=True),
    Format("sample", "pairs", "the sample that ships with agcli: pairs.tsv", f"{_HOME}.sample:read"),
    Format("sample-hard", "pairs", "the harder sample that ships with agcli: pairs.tsv", f"{_HOME}.sample:read"),
    Format(
        "cross-genre-ir",
        "ranking",
        "data_abst_*.json, *_data_claim_pmid_dict.json (Cross-genre-IR)",
        f"{_HOME}.cross_genre_ir:read",
        ("*data_claim_pmid_dict.*",),
    ),
    Format(
        "claims",
        "ranking",
        "corpus.jsonl, claims_*.jsonl (SciFact)",
        f"{_HOME}.scifact:read_collection",
        _SCIFACT,
    ),
    Format(
        "beir",
        "ranking",
        "corpus.jsonl, queries.jsonl, qrels/*.tsv (BEIR)",
        f"{_HOME}.beir:read",
        (_named("queries", ".jsonl"),),
    ),
    Format(
        "trec",
        "ranking",
        "queries.tsv, qrels.txt, collection.tsv or corpus.jsonl (TREC)",
        f"{_HOME}.trec:read",
        (_named("queries topics", ".tsv .txt"), _named("qrels qrel", ".txt .tsv .qrels .trec")),
    ),
):
    register(_entry)


@dataclass(frozen=True)
class KnownDataset:
    """A data set with a name: its format, its licence as its authors state it, its home on the hub."""

    format: str | None
    license: str | None = None
    hub_id: str | None = None


_SAMPLE_LICENSE = "CC0-1.0 (written for agcli; no patient data)"
DATASETS = {
    "multinli": KnownDataset("multinli", "MultiNLI's own terms (see its README)", "nyu-mll/multi_nli"),
    "snli": KnownDataset("multinli", "CC BY-SA 4.0", "stanfordnlp/snli"),
    "mednli": KnownDataset("mednli", "PhysioNet Credentialed Health Data License 1.5.0"),
    "healthver": KnownDataset("scifact"),
    "scifact": KnownDataset("scifact", "claims CC BY 4.0, abstracts ODC-By 1.0"),
    "sample": KnownDataset("sample", _SAMPLE_LICENSE),
    "sample-hard": KnownDataset("sample-hard", _SAMPLE_LICENSE),
    "tabular": KnownDataset("tabular"),
    "cross-genre-ir": KnownDataset("cross-genre-ir"),
    "ranking": KnownDataset(None),
}
