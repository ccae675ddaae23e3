"""Data sets of the Hugging Face hub: two text columns and a label, through `datasets.load_dataset`; no code is run."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agcli.data.pairs import Corpus, SourceRecord, SourceSplit
from agcli.data.request import PrepareRequest
from agcli.data.splits import split_of
from agcli.data.tables import Columns, Table, label_column, read_pairs
from agcli.data.tabular import columns_for
from agcli.errors import DataError


def read(request: PrepareRequest) -> Corpus:
    """Download (or find in the cache) and read the splits; -1 is "no gold label".

    Raises:
        DataError: unknown data set, no network and no cached copy, or columns that are not there.
    """
    hub_id = request.hub_id or request.name
    loaded = _load(hub_id, request.hub_config, request.offline)
    splits: dict[str, SourceSplit] = {}
    sources: list[SourceRecord] = []
    not_used: dict[str, str] = {}
    for name in loaded:
        split, _ = split_of(str(name))
        if split in splits:
            problem = f"two of its splits give {split}: {splits[split].file} and {hub_id}/{name}"
            hint = "save those that are wanted as files, with `datasets`, and name them: --train FILE --test FILE"
            raise DataError(problem, file=hub_id, hint=hint)
        if split is None:
            not_used[f"{hub_id}/{name}"] = "not a split of the task"
            continue
        splits[split] = _split(loaded[name], f"{hub_id}/{name}", request)
        sources.append(_record(loaded[name], f"{hub_id}/{name}", split))
    if not splits:
        allowed = ["splits named train, validation, test"]
        raise DataError("no split is recognised", file=hub_id, value=list(loaded), allowed=allowed)
    return Corpus(_class_names(next(iter(loaded.values())), request), splits, tuple(sources), not_used)


def _split(dataset: Any, file: str, request: PrepareRequest) -> SourceSplit:
    table, columns, label = _opened(dataset, file, request)
    return SourceSplit(file, label, list(read_pairs(table, columns, _names(dataset, label))))


def _opened(dataset: Any, file: str, request: PrepareRequest) -> tuple[Table, Columns, str]:
    """The split as a table, its columns by role, and the name of the label column."""
    table = Table(file, tuple(dataset.column_names), _rows(dataset))
    columns = columns_for(request, table.header, file)
    return table, columns, label_column(table, columns)


def _rows(dataset: Any) -> Iterator[tuple[int, list[Any]]]:
    row = 0
    for batch in dataset.with_format("arrow").iter(batch_size=10_000):
        for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            row += 1
            yield row, list(values)


def _names(dataset: Any, label: str) -> list[str] | None:
    return getattr(dataset.features[label], "names", None)


def _class_names(dataset: Any, request: PrepareRequest) -> tuple[str, ...] | None:
    names = _names(dataset, _opened(dataset, request.name, request)[2])
    return tuple(names) if names else None


def _record(dataset: Any, file: str, split: str) -> SourceRecord:
    """Hash of the arrow files that were read, and the hub's commit where it is known."""
    digest, size = hashlib.sha256(), 0
    for cached in dataset.cache_files:
        content = Path(cached["filename"]).read_bytes()
        digest.update(content)
        size += len(content)
    urls = " ".join(dataset.info.download_checksums or {})
    revision = re.search(r"@([0-9a-f]{40})", urls)
    return SourceRecord(split, file, digest.hexdigest(), size, revision=revision[1] if revision else None)


def _load(hub_id: str, config: str | None, offline: bool) -> Any:
    import datasets

    try:
        with _offline_if(offline):
            return datasets.load_dataset(hub_id, config)
    except Exception as error:  # whatever the hub's client stack raises, the user needs the same answer
        raise DataError(
            f"the hub data set could not be loaded ({type(error).__name__}: {str(error)[:200]})",
            file=hub_id,
            hint=(
                "check the id and --hub-config, and run once with network and without --offline; or download the "
                "files elsewhere and pass them with --from PATH"
            ),
        ) from None


@contextmanager
def _offline_if(offline: bool) -> Iterator[None]:
    """Keep both libraries off the network; they read the environment only when imported, hence the two flags."""
    import datasets
    import huggingface_hub

    homes = (datasets.config, huggingface_hub.constants)
    before = [home.HF_HUB_OFFLINE for home in homes]
    for home, value in zip(homes, before, strict=True):
        home.HF_HUB_OFFLINE = offline or value
    try:
        yield
    finally:
        for home, value in zip(homes, before, strict=True):
            home.HF_HUB_OFFLINE = value
