"""Data sets of the Hugging Face hub: two text columns and a label, through `datasets.load_dataset`; no code is run."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agcli.data.files.tables import Table
from agcli.data.formats.columns import label_column, read_pairs
from agcli.data.formats.tabular import columns_for
from agcli.data.pairs import Corpus, SourceRecord, SourceSplit
from agcli.data.request import PrepareRequest
from agcli.data.split_files import split_of
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
    labels: dict[str, tuple[str, ...] | None] = {}
    for name, dataset in loaded.items():
        split, _ = split_of(str(name))
        file = f"{hub_id}/{name}"
        if split in splits:
            problem = f"two of its splits give {split}: {splits[split].file} and {file}"
            hint = "save those that are wanted as files, with `datasets`, and name them: --train FILE --test FILE"
            raise DataError(problem, file=hub_id, hint=hint)
        if split is None:
            not_used[file] = "not a split of the task"
            continue
        splits[split], labels[split] = _split(dataset, file, request)
        sources.append(_record(dataset, file, split))
    if not splits:
        allowed = ["splits named train, validation, test"]
        raise DataError("no split is recognised", file=hub_id, value=list(loaded), allowed=allowed)
    return Corpus(next(iter(labels.values())), splits, tuple(sources), not_used)


def _split(dataset: Any, file: str, request: PrepareRequest) -> tuple[SourceSplit, tuple[str, ...] | None]:
    """The split, and the names of its label classes if the data set has them."""
    table = Table(file, tuple(dataset.column_names), _rows(dataset))
    columns = columns_for(request, table.header, file)
    label = label_column(table, columns)
    names = getattr(dataset.features[label], "names", None)
    return SourceSplit(file, label, list(read_pairs(table, columns, names))), tuple(names) if names else None


def _rows(dataset: Any) -> Iterator[tuple[int, list[Any]]]:
    row = 0
    for batch in dataset.with_format("arrow").iter(batch_size=10_000):
        for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            row += 1
            yield row, list(values)


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
