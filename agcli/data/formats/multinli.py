"""MultiNLI 1.0 (`.jsonl`, `.txt`), GLUE's MNLI (`.tsv`), the hub's (`.parquet`), SNLI in the same forms, and plain
sentence-pair tables.

Source: Williams et al. 2018 (MultiNLI), Bowman et al. 2015 (SNLI), Wang et al. 2019 (GLUE). Columns go by name, since
their order differs between the forms. In parquet files labels are 0, 1, 2 in the order of `NLI_LABELS`, or -1 for none.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

from agcli.data.files.delimited import DELIMITERS, Quoting
from agcli.data.files.opening import SourceFile
from agcli.data.files.tables import JSON_SUFFIXES, SUFFIXES, open_table
from agcli.data.formats.columns import Columns, read_pairs, read_tables
from agcli.data.pairs import NLI_LABELS, Corpus
from agcli.data.request import PrepareRequest
from agcli.data.split_files import ChosenFiles, choose_files
from agcli.errors import DataError

COLUMNS = Columns(
    text_a=("sentence1", "premise"),
    text_b=("sentence2", "hypothesis"),
    label=("gold_label", "label"),
    id=("pairID",),
    hint="the first row names the columns; to read others: --format tabular --text-a A --text-b B --label LABEL",
)
_TEXT_SUFFIXES = (*DELIMITERS, *JSON_SUFFIXES)
_HEAD = 100  # rows that a recognition looks at


def read(request: PrepareRequest) -> Corpus:
    """Read one of the forms; where a folder holds several, the one that covers most splits.

    Raises:
        DataError: as the files deserve.
    """
    return read_files(choose_files(request, SUFFIXES), request)


def read_files(files: ChosenFiles, request: PrepareRequest) -> Corpus:
    """Read chosen files. A test file without labels (GLUE's) is left alone unless the user named it."""
    by_split, not_used = dict(files.by_split), dict(files.not_used)
    if "test" in by_split and "test" not in files.named:
        header = open_table(by_split["test"], "none", head=_HEAD).header
        if set(COLUMNS.label).isdisjoint(header):
            not_used[by_split.pop("test").name] = "no labels"
    columns = replace(COLUMNS, id=()) if request.no_ids else COLUMNS
    splits, sources = read_tables(by_split, columns, request.quoting, NLI_LABELS)
    return Corpus(NLI_LABELS, splits, sources, not_used, files.named)


def recognises(file: SourceFile, quoting: Quoting = "auto") -> bool:
    """Whether a file has these columns, and NLI labels in its first rows."""
    if file.suffix not in _TEXT_SUFFIXES:
        return False
    table = open_table(file, quoting, head=_HEAD)
    if not {"sentence1", "sentence2"} <= set(table.header) or set(COLUMNS.label).isdisjoint(table.header):
        return False
    try:
        labels = {pair.label for pair in islice(read_pairs(table, COLUMNS), _HEAD)}
    except DataError:
        return True
    return labels <= {*NLI_LABELS, "-"}
