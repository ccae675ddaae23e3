"""Which file is which split, by its name."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from agcli.corpora.files import SourceFile
from agcli.corpora.prepared import SPLITS
from agcli.errors import DataError

_SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "dev": "dev",
    "development": "dev",
    "val": "dev",
    "valid": "dev",
    "validation": "dev",
    "test": "test",
    "testing": "test",
}
_SUFFIX_ORDER = (".jsonl", ".ndjson", ".txt", ".tsv", ".csv", ".parquet", ".json")
_NAMED = 6


def split_of(name: str) -> tuple[str | None, str]:
    """The split that a name speaks of, and the rest of the name; None where it speaks of none.

    `multinli_1.0_dev_matched` -> (`dev`, `multinli 1 0`). MultiNLI's mismatched sets belong to no split: the paper
    tests on the matched one.
    """
    words = [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word]
    splits = [_SPLIT_WORDS[word] for word in words if word in _SPLIT_WORDS]
    rest = " ".join(word for word in words if word not in _SPLIT_WORDS and word != "matched")
    return (splits[0] if len(splits) == 1 and "mismatched" not in words else None), rest


def split_files(files: Iterable[SourceFile], suffixes: Iterable[str]) -> tuple[dict[str, SourceFile], dict[str, str]]:
    """Choose one file a split, and say why the other split files are not used.

    Files that belong together share their folder, their kind and their name but for the split word. Of several such
    families the one with a train file, the most splits, the shallowest folder and the richest format is taken. One
    that has a train file only takes its held-out files from the others.

    Raises:
        DataError: two files give one split, and nothing says which of them is meant.
    """
    families: dict[_Family, dict[str, SourceFile]] = defaultdict(dict)
    not_used: dict[str, str] = {}
    for file in files:
        split, rest = split_of(file.stem)
        if file.suffix not in suffixes:
            continue
        if split:
            family = families[_Family(file.folder, rest, file.suffix, file.packing)]
            if split in family:
                raise _twice(split, [family[split], file])
            family[split] = file
        elif "mismatched" in file.stem.lower():
            not_used[file.name] = "the mismatched set is not part of the task"
    if not families:
        return {}, not_used
    chosen = min(families, key=lambda family: _preference(family, families[family]))
    others = {family: files for family, files in families.items() if family != chosen}
    by_split = families[chosen]
    _refuse_rivals(chosen, by_split, others)
    if set(by_split) == {"train"}:
        by_split = by_split | _held_out(others)
    named = ", ".join(file.name for file in families[chosen].values())
    for file in (file for family in others.values() for file in family.values() if file not in by_split.values()):
        given = split_of(file.stem)[0] in by_split
        not_used[file.name] = "another file gives this split" if given else f"its name does not go with {named}"
    return {split: by_split[split] for split in SPLITS if split in by_split}, not_used


class _Family(NamedTuple):
    """What the names of files that belong together share."""

    folder: str
    rest: str
    suffix: str
    packing: str

    @property
    def depth(self) -> int:
        return self.folder.count("/") + (self.folder != ".")


def _preference(family: _Family, files: Mapping[str, SourceFile]) -> tuple[object, ...]:
    order = _SUFFIX_ORDER.index(family.suffix), family.packing
    return ("train" not in files, -len(files), family.depth, *order, family.folder, family.rest)


def _refuse_rivals(
    chosen: _Family, files: Mapping[str, SourceFile], others: Mapping[_Family, Mapping[str, SourceFile]]
) -> None:
    """Whether a family of the same depth and suffix gives train too (or, where there is no train, the same split).

    Raises:
        DataError: one does; all files for this split are named.
    """
    split = next(split for split in SPLITS if split in files)
    rivals = [
        family[split]
        for key, family in others.items()
        if split in family and (key.depth, key.suffix) == (chosen.depth, chosen.suffix)
    ]
    if rivals:
        raise _twice(split, [files[split], *rivals])


def _held_out(families: Mapping[_Family, Mapping[str, SourceFile]]) -> dict[str, SourceFile]:
    """The one file of each held-out split.

    Raises:
        DataError: there are several for one split.
    """
    found: dict[str, list[SourceFile]] = defaultdict(list)
    for family in families.values():
        for split, file in family.items():
            found[split] += [file] if split != "train" else []
    for split, files in found.items():
        if len(files) > 1:
            raise _twice(split, files)
    return {split: files[0] for split, files in found.items() if files}


def _twice(split: str, files: Sequence[SourceFile]) -> DataError:
    return DataError(
        f"{len(files)} files give {split}: {', '.join(sorted(file.name for file in files)[:_NAMED])}",
        hint="join them into one file, take all but one away, or name the files: --train FILE --dev FILE --test FILE",
    )
