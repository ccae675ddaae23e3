"""From a source to the prepared form, whatever its format: read, checked, and written whole or not at all."""

from __future__ import annotations

from dataclasses import replace

from agcli.data.catalogue import task_of
from agcli.data.formats.registry import DATASETS
from agcli.data.pair_preparation import TokenCounter, prepare_pairs
from agcli.data.prepared import PreparedPairs, check_target
from agcli.data.ranking.candidates import Progress
from agcli.data.ranking.preparation import prepare_ranking
from agcli.data.ranking.prepared import PreparedRanking
from agcli.data.request import RANKING, PrepareRequest


def prepare(
    request: PrepareRequest, count_tokens: TokenCounter | None = None, progress: Progress | None = None
) -> PreparedPairs | PreparedRanking:
    """Read a source, check it, and write the prepared form; on any error nothing is written.

    Args:
        request: what to prepare, and how.
        count_tokens: (first texts, second texts) -> tokens of each pair. Without it, or where it raises a
            `ModelError`, lengths in tokens are left out and the manifest says why.
        progress: called with what is being done, how much of it is done and how much there is (ranking data only).

    Raises:
        UsageError: options that cannot be.
        DataError: data that cannot be read or must not be used.
        RunError: the disk refuses.
    """
    check_target(request.folder, request.overwrite, request.paths)
    known = DATASETS.get(request.name)
    licence = request.license or (known.license if known else None)
    request = replace(request, task=task_of(request), license=licence)
    if request.task == RANKING:
        return prepare_ranking(request, progress)
    return prepare_pairs(request, count_tokens)
