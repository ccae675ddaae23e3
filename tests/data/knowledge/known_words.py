"""Prepared pairs of known texts, and a parser that needs no model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from agcli.data.prepared import COLUMNS, PreparedPairs, load_prepared, write_pairs

LABELS = ("yes", "no")


def frame(pairs: Iterable[tuple[str, str]], split: str) -> pd.DataFrame:
    rows = [(f"{split}-{n}", a, b, LABELS[n % 2], "") for n, (a, b) in enumerate(pairs)]
    return pd.DataFrame(rows, columns=list(COLUMNS), dtype="str")


def prepared(folder: Path, train: list[tuple[str, str]], overwrite: bool = False, **manifest: Any) -> PreparedPairs:
    """Pairs to train on; dev and test hold the words `devword` and `testword`, and `both here` throughout."""
    splits = {
        "train": frame(train, "train"),
        "dev": frame([("devword both here", "devword both here too")] * 6, "dev"),
        "test": frame([("testword both here", "testword both here too")] * 6, "test"),
    }
    written = {"name": folder.name, "labels": LABELS, "splits": list(splits), **manifest}
    return load_prepared(write_pairs(folder, splits, written, overwrite=overwrite).folder)


@dataclass(eq=False)
class Token:
    i: int
    idx: int
    text: str
    head: Token | None = None

    @property
    def is_space(self) -> bool:
        return self.text.isspace()


class ToParser:
    """Words between spaces; a sentence ends at `.`, and its words hang on its first one. Double spaces are tokens."""

    pipe_names = ("parser",)

    def pipe(self, texts: Iterable[str], batch_size: int) -> Iterator[list[Token]]:
        for text in texts:
            tokens: list[Token] = []
            root, place = None, 0
            for part in text.split(" "):
                token = Token(len(tokens), place, part or " ")
                place += len(part) + 1
                root = root or token
                token.head = root
                root = None if part == "." else root
                tokens.append(token)
            yield tokens
