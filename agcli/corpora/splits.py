"""Which file is which split, by its name; and the cut of dev from train."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from agcli.corpora.files import SourceFile
from agcli.corpora.pairs import Pair
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

    Files that belong together share their folder, their suffix and their name but for the split word. Of several such
    families the one with a train file, the most splits, the shallowest folder and the richest format is taken.
    """
    families: dict[tuple[str, str, str], dict[str, SourceFile]] = defaultdict(dict)
    not_used: dict[str, str] = {}
    for file in files:
        split, rest = split_of(file.stem)
        if file.suffix not in suffixes:
            continue
        if split:
            families[(file.folder, rest, file.suffix)].setdefault(split, file)
        elif "mismatched" in file.stem.lower():
            not_used[file.name] = "the mismatched set is not part of the task"
    if not families:
        return {}, not_used
    chosen = min(families, key=lambda key: _preference(key, families[key]))
    for family in families.keys() - {chosen}:
        not_used |= {file.name: "another file gives this split" for file in families[family].values()}
    return {split: families[chosen][split] for split in SPLITS if split in families[chosen]}, not_used


def _preference(key: tuple[str, str, str], family: Mapping[str, SourceFile]) -> tuple[object, ...]:
    folder, rest, suffix = key
    return ("train" not in family, -len(family), folder.count("/"), _SUFFIX_ORDER.index(suffix), folder, rest)


@dataclass(frozen=True)
class DevCut:
    """How dev was cut from train: asked fraction, seed, and what came of it."""

    fraction: float
    seed: int
    rows: int
    texts: int
    by: str = "text_a"


def cut_dev(train: list[Pair], fraction: float, seed: int) -> tuple[list[Pair], list[Pair], DevCut]:
    """Cut dev from train so that no `text_a` is in both; both keep their order.

    Texts are ordered by a hash of seed and text and taken until the fraction is reached. So the cut depends on no
    library's random stream and not on the file's order, and the `.txt` and `.tsv` form of one data set give one dev.

    Raises:
        DataError: train has too few different texts to be cut.
    """
    rows_of: dict[str, int] = defaultdict(int)
    for pair in train:
        rows_of[pair.text_a] += 1
    chosen: set[str] = set()
    rows = 0
    for text in sorted(rows_of, key=lambda text: _place(text, seed)):
        if rows >= fraction * len(train):
            break
        chosen.add(text)
        rows += rows_of[text]
    if rows == len(train):
        raise DataError(f"dev cannot be cut: train has only {len(rows_of)} different first texts")
    dev = [pair for pair in train if pair.text_a in chosen]
    rest = [pair for pair in train if pair.text_a not in chosen]
    return rest, dev, DevCut(fraction, seed, len(dev), len(chosen))


def _place(text: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\0{text}".encode()).digest()
