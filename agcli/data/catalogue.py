"""Which format a source is in, its reader called, and where a prepared data set is."""

from __future__ import annotations

import shlex
import stat
from dataclasses import replace
from pathlib import Path, PurePath
from typing import cast

from agcli.data.files.archives import source_files
from agcli.data.files.opening import SourceFile, mode_of
from agcli.data.files.tables import SUFFIXES
from agcli.data.formats import mednli, multinli
from agcli.data.formats.registry import DATASETS, FORMATS, Format, formats_of
from agcli.data.formats.sample import SAMPLES, sample_folder
from agcli.data.pairs import Corpus
from agcli.data.prepared import MANIFEST
from agcli.data.ranking.collection import RankingCollection
from agcli.data.request import CLASSIFICATION, HUB_PREFIX, RANKING, PrepareRequest, Task
from agcli.data.split_files import all_files, choose_files
from agcli.errors import DataError, UsageError, cells_hidden, did_you_mean
from agcli.runs.paths import expanded


def task_of(request: PrepareRequest) -> Task:
    """`classification` or `ranking`: as requested, else as the format or the name says, else as the files look.

    SciFact's files serve both; without `--task ranking` they are pairs with labels.

    Raises:
        UsageError: a format of the other task.
        DataError: the source is not there.
    """
    entry = FORMATS.get(request.format or "")
    of_ranking = entry is not None and entry.kind == "ranking"
    if request.task is not None:
        if entry is not None and of_ranking != (request.task == RANKING):
            allowed = ", ".join(formats_of("ranking" if request.task == RANKING else "pairs"))
            raise UsageError(f"--format {entry.name} is no format of --task {request.task}. Allowed: {allowed}.")
        return request.task
    if request.format is None and request.name in DATASETS:
        known = DATASETS[request.name].format
        of_ranking = known is None or FORMATS[known].kind == "ranking"
    elif request.format is None and request.source is not None and mode_of(expanded(request.source)):
        names = _names(source_files(expanded(request.source)))
        of_pairs = {entry.patterns for entry in formats_of("pairs").values()}
        candidates = (entry for entry in formats_of("ranking").values() if entry.patterns not in of_pairs)
        of_ranking = any(entry.recognises(names) for entry in candidates)
    return RANKING if of_ranking else CLASSIFICATION


def _names(files: list[SourceFile]) -> list[str]:
    return [f"{file.folder}/{file.plain_name}" for file in files]


def read_corpus(request: PrepareRequest) -> Corpus:
    """Read pairs in the format that is forced, known by name, or recognised.

    Raises:
        UsageError: an unknown format, options that the format has no use for, or no source.
        DataError: whatever the reader finds.
    """
    entry = FORMATS[format_of(request)]
    if entry.name == "hub":
        request = _with_hub_id(request)
    if not entry.columns_by_name and request.column_options:
        raise UsageError(
            f"The format {entry.name!r} has its own columns; {', '.join(request.column_options)} cannot be used.",
            hint="--format tabular reads any table",
        )
    secret = _is_credentialed(request, entry.name)
    if secret and request.id not in (None, "pairID"):
        raise UsageError(
            f"--id {request.id}: ids are written to files and messages, and this data set is credentialed.",
            hint="leave --id out: ids then come from pairID, or from split and row",
        )
    with cells_hidden(secret):
        corpus = cast(Corpus, entry.load()(request))
    return replace(corpus, format=entry.name, credentialed=secret)


def _is_credentialed(request: PrepareRequest, format_name: str) -> bool:
    """Known before any file is opened: a damaged one may hold text wherever a reader looks for something else."""
    names = {format_name, PurePath(request.name).name.casefold()} & {*FORMATS}
    if request.credentialed or any(FORMATS[name].credentialed for name in names):
        return True
    if format_name == "hub" or (request.source is None and not request.named_files):
        return False
    files = _names(all_files(request))
    return any(entry.credentialed and entry.recognises(files) for entry in FORMATS.values())


def format_of(request: PrepareRequest) -> str:
    """The source format of pairs.

    Raises:
        UsageError: an unknown format.
    """
    if request.format is not None:
        if request.format not in formats_of("pairs"):
            raise _unknown_format(request.format, FORMATS)
        return request.format
    pointed = request.source is not None or bool(request.named_files)
    known = DATASETS.get(request.name)
    if request.hub_id or (not pointed and ("/" in request.name or (known and known.hub_id))):
        return "hub"
    return (known and known.format) or _recognised(request)


def _unknown_format(name: str, allowed: dict[str, Format]) -> UsageError:
    return UsageError(
        f"Unknown format {name!r}.{did_you_mean(name, allowed)} Allowed: {', '.join(allowed)}.",
        hint="; ".join(f"{entry.name}: {entry.help}" for entry in allowed.values()),
    )


def _recognised(request: PrepareRequest) -> str:
    names = _names(all_files(request))
    entry = next((entry for entry in formats_of("pairs").values() if entry.recognises(names)), None)
    if entry is not None:
        return entry.name
    if request.text_a or request.text_b or request.label or request.split_column:
        return "tabular"
    first = next(iter(choose_files(request, SUFFIXES).by_split.values()))
    return "multinli" if multinli.recognises(first, request.quoting) else "tabular"


def _with_hub_id(request: PrepareRequest) -> PrepareRequest:
    """The request with `hub:OWNER/NAME` as its source."""
    known = DATASETS.get(request.name)
    hub_id = request.hub_id or request.source or (known.hub_id if known else None)
    hub_id = hub_id or (request.name if "/" in request.name else None)
    if hub_id is None:
        raise UsageError(f"No hub id is known for {request.name!r}.", hint="--from hub:OWNER/NAME")
    if mode_of(Path(hub_id)):  # `datasets` would read and cache it, past the checks for credentialed files
        hint = f"--from {shlex.quote(hub_id)}, no --format"
        raise UsageError(f"{hub_id} is a folder here, not a data set of the hub.", hint=hint)
    return replace(request, source=HUB_PREFIX + hub_id)


def read_ranking(request: PrepareRequest) -> RankingCollection:
    """Read ranking data in the format that is forced, known by name, or recognised.

    Raises:
        UsageError: an unknown format, or no source.
        DataError: no format is recognised, or whatever the reader finds.
    """
    formats = formats_of("ranking")
    if request.format is not None and request.format not in formats:
        raise _unknown_format(request.format, formats)
    files = all_files(request)
    known = DATASETS.get(request.name)
    recognised = (name for name, entry in formats.items() if entry.recognises(_names(files)))
    name = request.format or (known.format if known and known.format in formats else None) or next(recognised, None)
    if name is None:
        allowed = [entry.help for entry in formats.values()]
        raise DataError("no layout of ranking data is recognised here", file=request.source, allowed=allowed)
    return replace(cast(RankingCollection, formats[name].load()(files)), format=name)


def find_dataset(name: str, cwd: Path) -> Path:
    """The folder of a prepared data set: a path, then `./data/NAME`, then a shipped sample.

    Raises:
        DataError: none of these; the hint is the `ag prepare` command to run.
    """
    direct = cwd / expanded(name)
    if (folder := prepared_here(name, cwd)) is not None:
        return folder
    if name in SAMPLES:
        return sample_folder(name)
    if name == "mednli":
        raise mednli.missing(f"No prepared data set {name!r} here.")
    if direct.exists():
        raise DataError("not a prepared data set", file=direct, hint=_prepare_command(direct.stem, name))
    others = [path.parent.name for path in (cwd / "data").glob(f"*/{MANIFEST}")]
    near = did_you_mean(name, {*DATASETS, *others} - {name})
    bare = direct.name if Path(name).is_absolute() else name
    raise DataError(f"No prepared data set {name!r} here.{near}", hint=_prepare_command(bare, "PATH"))


def prepared_here(name: str, cwd: Path) -> Path | None:
    """The folder of data that the user has prepared: a path, then `./data/NAME`; None: there is none."""
    folders = (cwd / expanded(name), cwd / "data" / name)
    return next((folder for folder in folders if stat.S_ISREG(mode_of(folder / MANIFEST))), None)


def _prepare_command(name: str, path: str) -> str:
    known = DATASETS.get(name)
    command = f"ag prepare --dataset {shlex.quote(name)} --from {path if path == 'PATH' else shlex.quote(path)}"
    if path == "PATH" and ("/" in name or (known and known.hub_id)):
        command += f"   (or, from the hub: ag prepare --dataset {shlex.quote(name)})"
    return command
