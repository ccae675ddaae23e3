"""The sample that ships with the package: hand-written pairs, medical in flavour, in one tab-separated file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import agcli
from agcli.corpora import tabular
from agcli.corpora.pairs import NLI_LABELS, Corpus
from agcli.corpora.request import PrepareRequest
from agcli.errors import DataError

PAIRS = "pairs.tsv"


def sample_folder() -> Path:
    """Where the shipped sample lies: inside an installed package, or in the checkout's `data/sample`.

    Raises:
        DataError: this installation lacks it.
    """
    package = Path(agcli.__file__).parent
    for folder in (package / "sample", package.parent / "data" / "sample"):
        if (folder / PAIRS).is_file():
            return folder
    raise DataError("this installation lacks the sample", file=package, hint="install agcli again")


def read(request: PrepareRequest) -> Corpus:
    """Read `pairs.tsv` (`id split premise hypothesis label`), the shipped one unless `--from` names another.

    Raises:
        DataError: as the file deserves.
    """
    source = request.source or str(sample_folder() / PAIRS)
    request = replace(request, source=source, split_column="split", quoting="none")
    return replace(tabular.read(request), labels=NLI_LABELS)
