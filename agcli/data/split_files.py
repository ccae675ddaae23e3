"""Which file is which split, by its name."""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from agcli.data.files.archives import source_files
from agcli.data.files.json_values import json_records
from agcli.data.files.opening import SourceFile, disk_file
from agcli.data.files.text import text_lines
from agcli.data.pairs import SPLITS
from agcli.data.request import RANKING, PrepareRequest
from agcli.errors import DataError, UsageError
from agcli.runs.paths import expanded

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
_NUMBERED = re.compile(rf"({'|'.join(_SPLIT_WORDS)})([0-9]+)")
_SUFFIX_ORDER = (".jsonl", ".ndjson", ".txt", ".tsv", ".csv", ".parquet", ".json")
_NAMED = 6
_NAME_THEM = "name the files: --train FILE --dev FILE --test FILE"
NO_SPLIT = "its name speaks of no split, or of several"


def split_of(name: str) -> tuple[str | None, str]:
    """The split that a name speaks of, and the rest of the name; None where it speaks of none.

    `multinli_1.0_dev_matched` -> (`dev`, `multinli 1 0`), `train2` -> (`train`, `2`). MultiNLI's mismatched sets belong
    to no split: the paper tests on the matched one.
    """
    words: list[str] = []
    for word in re.findall("[a-z0-9]+", name.lower()):
        numbered = _NUMBERED.fullmatch(word)
        words += numbered.groups() if numbered else [word]
    splits = [_SPLIT_WORDS[word] for word in words if word in _SPLIT_WORDS]
    rest = " ".join(word for word in words if word not in _SPLIT_WORDS and word != "matched")
    return (splits[0] if len(splits) == 1 and "mismatched" not in words else None), rest


def split_files(files: Iterable[SourceFile], suffixes: Sequence[str]) -> tuple[dict[str, SourceFile], dict[str, str]]:
    """Choose one file a split, and say why the other tables, and files of splits that are then missing, are not used.

    Files that belong together share their folder, their kind and their name but for the split word. Of several such
    families the one with a train file, the most splits, the shallowest folder and the richest format is taken. One
    that has a train file only takes its held-out files from the others.

    Raises:
        DataError: two files give one split, and nothing says which of them is meant.
    """
    families: dict[_Family, dict[str, SourceFile]] = defaultdict(dict)
    not_used: dict[str, str] = {}
    unread: list[SourceFile] = []
    for file in files:
        split, rest = split_of(file.stem)
        if file.suffix not in suffixes:
            unread.append(file)
        elif split:
            family = families[_Family(file.folder, rest, file.suffix, file.packing)]
            if split in family:
                raise _twice(split, [family[split], file])
            family[split] = file
        elif "mismatched" in file.stem.lower():
            not_used[file.name] = "the mismatched set is not part of the task"
        elif _is_table(file):
            not_used[file.name] = NO_SPLIT
    if not families:
        return {}, not_used
    chosen = min(families, key=lambda family: _preference(family, families[family]))
    others = {family: files for family, files in families.items() if family != chosen}
    by_split = families[chosen]
    _refuse_rivals(chosen, by_split, others)
    if set(by_split) == {"train"}:
        held_out = (item for family in others.values() for item in family.items() if item[0] != "train")
        by_split = by_split | one_each(held_out)
    else:
        by_split = by_split | _in_other_forms(chosen, by_split, others)
    named = ", ".join(file.name for file in families[chosen].values())
    for file in (file for family in others.values() for file in family.values() if file not in by_split.values()):
        given = split_of(file.stem)[0] in by_split
        not_used[file.name] = "another file gives this split" if given else f"its name does not go with {named}"
    for file in unread:
        split, _ = split_of(file.stem)
        if split and split not in by_split:
            not_used[file.name] = f"{file.suffix or 'a file without a suffix'} is not read: {', '.join(suffixes)} are"
    return {split: by_split[split] for split in SPLITS if split in by_split}, not_used


def _is_table(file: SourceFile) -> bool:
    """Whether a file with a table's suffix is one: `README.txt` has no tabs, `config.json` no second record."""
    try:
        if file.suffix == ".txt":
            return "\t" in next(text_lines(file), (1, ""))[1]
        return file.suffix != ".json" or len([*islice(json_records(file), 2)]) > 1
    except DataError:
        return False


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
    kind = _SUFFIX_ORDER.index(family.suffix) if family.suffix in _SUFFIX_ORDER else len(_SUFFIX_ORDER)
    return ("train" not in files, -len(files), family.depth, kind, family.packing, family.folder, family.rest)


def _refuse_rivals(
    chosen: _Family, files: Mapping[str, SourceFile], others: Mapping[_Family, Mapping[str, SourceFile]]
) -> None:
    """Refuse a family of the same depth and suffix that gives train too (or, without train, the same split)."""
    split = next(split for split in SPLITS if split in files)
    rivals = [
        family[split]
        for key, family in others.items()
        if split in family and (key.depth, key.suffix) == (chosen.depth, chosen.suffix)
    ]
    if rivals:
        raise _twice(split, [files[split], *rivals])


def _in_other_forms(
    chosen: _Family, files: Mapping[str, SourceFile], others: Mapping[_Family, Mapping[str, SourceFile]]
) -> dict[str, SourceFile]:
    """Splits that only a file of another kind gives, `test.tsv.gz` beside `train.csv` and `dev.csv`.

    Refuses a file of another name that may be the test set, in whose place dev would be taken.
    """
    beside = [
        (split, file, key.rest == chosen.rest)
        for key, family in others.items()
        for split, file in family.items()
        if files.keys().isdisjoint(family) and key.folder == chosen.folder
    ]
    same_name = one_each((split, file) for split, file, alike in beside if alike)
    doubtful = [file.name for split, file, alike in beside if split == "test" and split not in same_name and not alike]
    if doubtful and "train" in files:
        names = ", ".join(file.name for file in files.values())
        raise DataError(f"is {' or '.join(sorted(doubtful)[:_NAMED])} the test set of {names}?", hint=_NAME_THEM)
    return same_name


def one_each(named: Iterable[tuple[str, SourceFile]]) -> dict[str, SourceFile]:
    """The one file of each split.

    Raises:
        DataError: there are several for one split.
    """
    by_split: dict[str, list[SourceFile]] = defaultdict(list)
    for split, file in named:
        by_split[split].append(file)
    for split, files in by_split.items():
        if len(files) > 1:
            raise _twice(split, files)
    return {split: files[0] for split, files in by_split.items()}


def _twice(split: str, files: Sequence[SourceFile]) -> DataError:
    return DataError(
        f"{len(files)} files give {split}: {', '.join(sorted(file.name for file in files)[:_NAMED])}",
        hint=f"join them into one file, take all but one away, or {_NAME_THEM}",
    )


@dataclass(frozen=True)
class ChosenFiles:
    """One file a split, the split files left alone and why, and the splits that the user named himself."""

    by_split: dict[str, SourceFile]
    not_used: dict[str, str]
    named: frozenset[str] = frozenset()


def all_files(request: PrepareRequest) -> list[SourceFile]:
    """Every file that the request points at.

    Raises:
        UsageError: it points at none.
        DataError: a path that is not there, or an unsafe archive.
    """
    if request.named_files:
        return [disk_file(path) for path in request.named_files.values()]
    if request.source is None:
        ways = "a folder or a zip" if request.task == RANKING else "or --train FILE with --dev FILE and --test FILE"
        raise UsageError(
            f"Where is {request.name}? Give --from PATH, {ways}.",
            hint=f"ag prepare --dataset {shlex.quote(request.name)} --from PATH",
        )
    return source_files(expanded(request.source))


def choose_files(request: PrepareRequest, suffixes: Sequence[str]) -> ChosenFiles:
    """The split files of a request: those named, else those recognised by name; a single file is train.

    Raises:
        UsageError: the request names no source.
        DataError: no file is recognised.
    """
    if request.named_files:
        files = {split: disk_file(path) for split, path in request.named_files.items()}
        return ChosenFiles(files, {}, frozenset(files))
    files_here = all_files(request)
    if len(files_here) == 1 and files_here[0].suffix in suffixes:
        return ChosenFiles({"train": files_here[0]}, {})
    by_split, not_used = split_files(files_here, suffixes)
    if not by_split:
        raise DataError(
            "no file here names a split",
            file=request.source,
            allowed=[f"a name with train, dev (val, validation) or test, ending in {', '.join(suffixes)}"],
            hint=_NAME_THEM,
        )
    return ChosenFiles(by_split, not_used)
