"""Any table of two texts and a label: csv, tsv, jsonl, parquet; the columns are named, or have a customary name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from agcli.data.files.tables import SUFFIXES, open_table
from agcli.data.formats.columns import NAME_COLUMNS, Columns, read_tables
from agcli.data.pairs import UNLABELLED, Corpus, Pair, SourceRecord, SourceSplit
from agcli.data.request import PrepareRequest
from agcli.data.split_files import choose_files, split_of
from agcli.errors import DataError, UsageError

CUSTOMARY_TEXTS = (
    ("text_a", "text_b"),
    ("premise", "hypothesis"),
    ("sentence1", "sentence2"),
    ("question", "sentence"),
    ("question1", "question2"),
    ("text1", "text2"),
    ("query", "passage"),
)
CUSTOMARY_LABELS = ("label", "gold_label", "labels")


def read(request: PrepareRequest) -> Corpus:
    """Read one file a split, or one file with a split column.

    Raises:
        UsageError: a split column together with several files.
        DataError: as the files deserve.
    """
    files = choose_files(request, SUFFIXES)
    if request.split_column and len(files.by_split) > 1:
        raise UsageError("--split-column is for one file that holds every split; here are several.")
    first = next(iter(files.by_split.values()))
    columns = columns_for(request, open_table(first, request.quoting).header, first.name)
    splits, sources = read_tables(files.by_split, columns, request.quoting)
    if request.split_column:
        return replace(_by_split_column(splits.popitem()[1], sources, request.split_column), not_used=files.not_used)
    return Corpus(None, splits, sources, files.not_used, files.named)


def columns_for(request: PrepareRequest, header: Sequence[str], file: str) -> Columns:
    """The columns that the request names; for those left open, the first customary ones that the header has.

    Raises:
        DataError: texts or label are neither named nor found.
    """
    texts = next((pair for pair in CUSTOMARY_TEXTS if set(pair) <= set(header)), None)
    if texts is None and not (request.text_a and request.text_b):
        raise DataError("which columns hold the two texts?", file=file, allowed=header, hint=NAME_COLUMNS)
    if request.label is None and set(CUSTOMARY_LABELS).isdisjoint(header):
        problem = f"which column holds the label? ({UNLABELLED})"
        raise DataError(problem, file=file, allowed=header, hint=NAME_COLUMNS)
    texts = texts or ("", "")
    by_role = {"id": request.id, "document": request.document, "split": request.split_column, "label": request.label}
    return Columns(
        text_a=(request.text_a or texts[0],),
        text_b=(request.text_b or texts[1],),
        label=(request.label,) if request.label else CUSTOMARY_LABELS,
        id=() if request.no_ids else (request.id,) if request.id else ("id", "pairID"),
        document=(request.document or "document",),
        split=(request.split_column,) if request.split_column else (),
        named=frozenset(role for role, column in by_role.items() if column),
    )


def _by_split_column(whole: SourceSplit, sources: tuple[SourceRecord, ...], column: str) -> Corpus:
    pairs: dict[str, list[Pair]] = defaultdict(list)
    for pair in whole.pairs:
        split, rest = split_of(pair.split)
        if split is None or rest:
            allowed = ["train", "dev", "val", "validation", "test"]
            raise DataError("not a split", file=whole.file, row=pair.row, column=column, allowed=allowed)
        pairs[split].append(pair)
    splits = {split: SourceSplit(whole.file, whole.label_column, rows) for split, rows in pairs.items()}
    return Corpus(None, splits, sources)
