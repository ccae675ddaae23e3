"""The knowledge of prepared data that guides of a sweep need."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from agcli.config import RunConfig
from agcli.data.catalogue import find_dataset


def knowledge_needed(config: RunConfig) -> tuple[str, ...]:
    """What the guides of a cell need of the data's knowledge, by name."""
    from agcli.training.assemble import needed_knowledge

    return needed_knowledge(config.guides)


@lru_cache
def knowledge_digests_of(dataset: str, names: tuple[str, ...]) -> dict[str, str]:
    """The digest of each of these kinds of knowledge of prepared data.

    Raises:
        DataError: no such data, or such knowledge was not made of them; with the command that makes it.
    """
    from agcli.data.knowledge.stored import knowledge_digests
    from agcli.tasks.base import load_dataset

    return knowledge_digests(load_dataset(find_dataset(dataset, Path.cwd())), names)
