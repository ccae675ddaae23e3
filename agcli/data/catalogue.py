"""The data sets that have a name, the formats that have a reader, and where a prepared data set is found."""

from __future__ import annotations

import shlex
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePath

from agcli.data import hub, mednli, multinli, sample, scifact, tabular
from agcli.data.archives import source_files
from agcli.data.files import SourceFile, is_credentialed, mode_of
from agcli.data.pairs import Corpus
from agcli.data.prepared import MANIFEST
from agcli.data.ranking import beir, claims, cross_genre_ir, trec
from agcli.data.ranking.collection import RankingCollection
from agcli.data.request import CLASSIFICATION, HUB_PREFIX, RANKING, PrepareRequest, Task
from agcli.data.sample import SAMPLES, sample_folder
from agcli.data.splits import all_files, choose_files
from agcli.data.tables import SUFFIXES
from agcli.errors import DataError, UsageError, cells_hidden, did_you_mean
from agcli.runs.home import expanded

FORMATS: dict[str, Callable[[PrepareRequest], Corpus]] = {
    "multinli": multinli.read,
    "mednli": mednli.read,
    "scifact": scifact.read,
    "tabular": tabular.read,
    "hub": hub.read,
    **{name: partial(sample.read, name=name) for name in SAMPLES},
}


@dataclass(frozen=True)
class Layout:
    """A layout of ranking data: how its files are recognised, and how they are read."""

    recognises: Callable[[list[SourceFile]], bool]
    read: Callable[[list[SourceFile]], RankingCollection]


RANKING_LAYOUTS = {
    "cross-genre-ir": Layout(cross_genre_ir.recognises, cross_genre_ir.read),
    "claims": Layout(claims.recognises, claims.read),
    "beir": Layout(beir.recognises, beir.read),
    "trec": Layout(trec.recognises, trec.read),
}


@dataclass(frozen=True)
class KnownDataset:
    """A data set with a name: its format, its licence as its authors state it, its home on the hub."""

    format: str | None
    license: str | None = None
    hub_id: str | None = None


KNOWN = {
    "multinli": KnownDataset("multinli", "MultiNLI's own terms (see its README)", "nyu-mll/multi_nli"),
    "snli": KnownDataset("multinli", "CC BY-SA 4.0", "stanfordnlp/snli"),
    "mednli": KnownDataset("mednli", "PhysioNet Credentialed Health Data License 1.5.0"),
    "healthver": KnownDataset("scifact"),
    "scifact": KnownDataset("scifact", "claims CC BY 4.0, abstracts ODC-By 1.0"),
    **{name: KnownDataset(name, "CC0-1.0 (written for agcli; no patient data)") for name in SAMPLES},
    "tabular": KnownDataset("tabular"),
    "cross-genre-ir": KnownDataset("cross-genre-ir"),
    "ranking": KnownDataset(None),
}


def read_corpus(request: PrepareRequest) -> Corpus:
    """Read the source in the format that is forced, known by name, or recognised.

    Raises:
        UsageError: an unknown format, options that the format has no use for, or no source.
        DataError: whatever the reader finds.
    """
    format_name = format_of(request)
    if format_name == "hub":
        request = _with_hub_id(request)
    elif format_name != "tabular" and request.column_options:
        raise UsageError(
            f"The format {format_name!r} has its own columns; {', '.join(request.column_options)} cannot be used.",
            hint="--format tabular reads any table",
        )
    secret = _is_credentialed(request, format_name)
    if secret and request.id not in (None, "pairID"):
        raise UsageError(
            f"--id {request.id}: ids are written to files and messages, and this data set is credentialed.",
            hint="leave --id out: ids then come from pairID, or from split and row",
        )
    with cells_hidden(secret):
        corpus = FORMATS[format_name](request)
    return replace(corpus, format=format_name, credentialed=secret)


def _is_credentialed(request: PrepareRequest, format_name: str) -> bool:
    """Known before any file is opened: a damaged one may hold text wherever a reader looks for something else."""
    if request.credentialed or "mednli" in (format_name, PurePath(request.name).name.casefold()):
        return True
    pointed = format_name != "hub" and (request.source is not None or bool(request.named_files))
    return pointed and any(is_credentialed(file.name) for file in all_files(request))


def task_of(request: PrepareRequest) -> Task:
    """`classification` or `ranking`: as requested, else as the format or the name says, else as the files look.

    SciFact's files serve both; unless ranking is asked for, they are pairs with labels.

    Raises:
        UsageError: a format of the other task.
        DataError: the source is not there.
    """
    format_name, known = request.format, KNOWN.get(request.name)
    of_ranking = {**dict.fromkeys(FORMATS, False), **dict.fromkeys(RANKING_LAYOUTS, True)}.get(format_name or "")
    if request.task is not None and of_ranking not in (None, request.task == RANKING):
        allowed = RANKING_LAYOUTS if request.task == RANKING else FORMATS
        raise UsageError(
            f"--format {format_name} is no format of --task {request.task}. Allowed: {', '.join(allowed)}."
        )
    if request.task is not None:
        return request.task
    if format_name is None and known is not None:
        of_ranking = known.format is None or known.format in RANKING_LAYOUTS
    elif format_name is None and request.source is not None and mode_of(expanded(request.source)):
        files = source_files(expanded(request.source))
        of_ranking = any(RANKING_LAYOUTS[layout].recognises(files) for layout in ("cross-genre-ir", "beir", "trec"))
    return RANKING if of_ranking else CLASSIFICATION


def read_ranking(request: PrepareRequest) -> RankingCollection:
    """Read ranking data in the layout that is forced, known by name, or recognised.

    Raises:
        UsageError: an unknown layout, or no source.
        DataError: no layout is recognised, or whatever the reader finds.
    """
    if request.format is not None and request.format not in RANKING_LAYOUTS:
        near = did_you_mean(request.format, RANKING_LAYOUTS)
        raise UsageError(f"Unknown format {request.format!r}.{near} Allowed: {', '.join(RANKING_LAYOUTS)}.")
    files = all_files(request)
    known = KNOWN.get(request.name)
    of_name = known.format if known and known.format in RANKING_LAYOUTS else None
    recognised = next((name for name, layout in RANKING_LAYOUTS.items() if layout.recognises(files)), None)
    layout = request.format or of_name or recognised
    if layout is None:
        raise DataError(
            "no layout of ranking data is recognised here",
            file=request.source,
            allowed=[
                "corpus.jsonl, queries.jsonl, qrels/*.tsv (BEIR)",
                "corpus.jsonl, claims_*.jsonl (SciFact)",
                "queries.tsv, qrels.txt, collection.tsv or corpus.jsonl (TREC)",
                "data_abst_*.json, *_data_claim_pmid_dict.json (Cross-genre-IR)",
            ],
        )
    return replace(RANKING_LAYOUTS[layout].read(files), format=layout)


def _with_hub_id(request: PrepareRequest) -> PrepareRequest:
    """The request with `hub:OWNER/NAME` as its source."""
    known = KNOWN.get(request.name)
    hub_id = request.hub_id or request.source or (known.hub_id if known else None)
    hub_id = hub_id or (request.name if "/" in request.name else None)
    if hub_id is None:
        raise UsageError(f"No hub id is known for {request.name!r}.", hint="--from hub:OWNER/NAME")
    if mode_of(Path(hub_id)):  # `datasets` would read and cache it, past the checks for credentialed files
        hint = f"--from {shlex.quote(hub_id)}, no --format"
        raise UsageError(f"{hub_id} is a folder here, not a data set of the hub.", hint=hint)
    return replace(request, source=HUB_PREFIX + hub_id)


def format_of(request: PrepareRequest) -> str:
    """The source format of a request.

    Raises:
        UsageError: an unknown format.
    """
    pointed = request.source is not None or bool(request.named_files)
    if request.format is not None and request.format not in FORMATS:
        known_formats = [*FORMATS, *RANKING_LAYOUTS]
        near = did_you_mean(request.format, known_formats)
        raise UsageError(f"Unknown format {request.format!r}.{near} Allowed: {', '.join(known_formats)}.")
    if request.format is not None:
        return request.format
    known = KNOWN.get(request.name)
    if request.hub_id or (not pointed and ("/" in request.name or (known and known.hub_id))):
        return "hub"
    return (known and known.format) or _recognised(request)


def _recognised(request: PrepareRequest) -> str:
    files = all_files(request)
    if any(is_credentialed(file.name) for file in files):
        return "mednli"
    if scifact.recognises(files):
        return "scifact"
    if request.text_a or request.text_b or request.label or request.split_column:
        return "tabular"
    first = next(iter(choose_files(request, SUFFIXES).by_split.values()))
    return "multinli" if multinli.recognises(first, request.quoting) else "tabular"


def find_dataset(name: str, cwd: Path) -> Path:
    """The folder of a prepared data set: a path, then `./data/NAME`, then a shipped sample.

    Raises:
        DataError: none of these; the hint is the `ag prepare` command to run.
    """
    direct = cwd / expanded(name)
    for folder in (direct, cwd / "data" / name):
        if stat.S_ISREG(mode_of(folder / MANIFEST)):
            return folder
    if name in SAMPLES:
        return sample_folder(name)
    if name == "mednli":
        raise mednli.missing(f"No prepared data set {name!r} here.")
    if direct.exists():
        raise DataError("not a prepared data set", file=direct, hint=_prepare_command(direct.stem, name))
    near = did_you_mean(name, {*KNOWN, *_prepared_here(cwd)} - {name})
    bare = direct.name if Path(name).is_absolute() else name
    raise DataError(f"No prepared data set {name!r} here.{near}", hint=_prepare_command(bare, "PATH"))


def _prepare_command(name: str, path: str) -> str:
    on_hub = "/" in name or (name in KNOWN and KNOWN[name].hub_id)
    command = f"ag prepare --dataset {shlex.quote(name)} --from {path if path == 'PATH' else shlex.quote(path)}"
    return command + (
        f"   (or, from the hub: ag prepare --dataset {shlex.quote(name)})" if on_hub and path == "PATH" else ""
    )


def _prepared_here(cwd: Path) -> list[str]:
    return [path.parent.name for path in (cwd / "data").glob(f"*/{MANIFEST}")]
