"""What a reader of one source format hands over: pairs as they stand in the source, before any check."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field

from agcli.data.files.opening import SourceFile

SPLITS = ("train", "dev", "test")
NLI_LABELS = ("entailment", "neutral", "contradiction")
CLAIM_LABELS = ("SUPPORT", "NEI", "CONTRADICT")
_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u2060\ufeff"))
UNLABELLED = "pairs without labels are not supported yet"


def folded(text: str) -> str:
    """The text without differences of case, white space and Unicode form, for telling texts that are the same."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).translate(_INVISIBLE)
    return " ".join(text.casefold().split())


@dataclass(frozen=True, slots=True)
class Pair:
    """Two texts and a label.

    Attributes:
        row: 1-based line of the source file (or record, where the format has no lines).
        text_a: the premise or the claim.
        text_b: the hypothesis or the document.
        label: the label as written; None where the source says that there is no gold label.
        id: the source's own identifier; empty where it has none.
        document: the document that the pair rests on; empty where the source names none.
        split: what the source's split column says; empty where there is no such column.
    """

    row: int
    text_a: str
    text_b: str
    label: str | None
    id: str = ""
    document: str = ""
    split: str = ""


@dataclass(frozen=True)
class SourceRecord:
    """One source file as the manifest names it: which split it became, its hash and how it was read."""

    split: str
    file: str
    sha256: str
    bytes: int
    quoting: str | None = None
    revision: str | None = None


def source_records(split: str, source: SourceFile) -> tuple[SourceRecord, ...]:
    """Hash and size of each file of a source; an archive's damaged member shows here, before any row is read."""
    return tuple(SourceRecord(split, file.name, *file.sha256_and_bytes) for file in source.files)


@dataclass(frozen=True)
class SourceSplit:
    """The pairs of one split and where they were read.

    Attributes:
        file: the file's name in messages.
        label_column: the label column's name in messages.
        pairs: the pairs in source order.
        dropped: reason -> number of records that the reader itself left out.
    """

    file: str
    label_column: str
    pairs: list[Pair]
    dropped: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Corpus:
    """A whole source.

    Attributes:
        labels: the label set of the format, in its order; None where it is taken from the training rows.
        splits: `train`, `dev`, `test` as the source names them.
        not_used: file -> why it was left alone.
        named: splits that the user named with `--train`, `--dev` or `--test`; their roles are kept.
        credentialed: whether its text must stay out of messages.
    """

    labels: tuple[str, ...] | None
    splits: dict[str, SourceSplit]
    sources: tuple[SourceRecord, ...]
    not_used: Mapping[str, str] = field(default_factory=dict)
    named: frozenset[str] = frozenset()
    credentialed: bool = False
    format: str = ""
