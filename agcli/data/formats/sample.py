"""The samples that ship with the package: invented pairs, medical in flavour, each in one tab-separated file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import agcli
from agcli.data.formats import tabular
from agcli.data.pairs import NLI_LABELS, Corpus
from agcli.data.request import PrepareRequest
from agcli.errors import DataError

PAIRS = "pairs.tsv"
SAMPLES = {"sample": ("entailed", "not_entailed"), "sample-hard": NLI_LABELS}
"""The samples' names and labels. `sample` is learnt in a minute; `sample-hard` holds no shortcut and is not."""


def sample_folder(name: str = "sample") -> Path:
    """Where a shipped sample lies: inside an installed package, or in the checkout's `data/`.

    Raises:
        DataError: this installation lacks it.
    """
    package = Path(agcli.__file__).parent
    for folder in (package / name, package.parent / "data" / name):
        if (folder / PAIRS).is_file():
            return folder
    raise DataError(f"this installation lacks {name!r}", file=package, hint="install agcli again")


def read(request: PrepareRequest) -> Corpus:
    """Read `pairs.tsv` (`id split premise hypothesis label`), the shipped one unless `--from` names another.

    Raises:
        DataError: as the file deserves.
    """
    name = request.format or request.name
    source = request.source or str(sample_folder(name) / PAIRS)
    request = replace(request, source=source, split_column="split", quoting="none")
    return replace(tabular.read(request), labels=SAMPLES[name])
