"""Which encoder of the paper a model is, however it was asked for: by short name, by hub id, or as a folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from agcli.models.zoo import find_entry
from agcli.runs.home import expanded


def short_name(model: str) -> str:
    """The zoo's short name for a model; a name that the zoo does not know stays as it is.

    As where models are loaded, a hub id must be the very one (`somebody/biobert-v1.1` is another model), and a folder
    goes by its own name: `models/biobert-v1.1` is `biobert`.
    """
    entry = find_entry(model)
    if entry is None and _is_folder(model):
        entry = find_entry(expanded(model).resolve().name)
    return entry.name if entry else model


def short_names(models: Iterable[str]) -> dict[str, str]:
    """Model as asked for -> its short name.

    Where several come to one encoder, one has the name and the others stay as they are: rows are never merged.
    """
    found: dict[str, str] = {}
    for model in sorted(dict.fromkeys(models), key=lambda each: short_name(each) != each):  # short names come first
        name = short_name(model)
        found[model] = model if name in found.values() else name
    return found


def _is_folder(model: str) -> bool:
    """Whether it can be no hub id, which has one slash, or is a folder here."""
    return model.startswith((".", "/", "~")) or model.count("/") > 1 or Path(model).is_dir()
