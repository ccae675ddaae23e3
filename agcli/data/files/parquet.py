"""Parquet files, and sets of shards of them, as a header and rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

from agcli.data.files.opening import SourceFile
from agcli.errors import DataError

_LFS_POINTER = b"version https://git-lfs"


class Unreadable:
    """A cell that Arrow stores and Python has no value for: bytes that are no text, a date after the year 9999."""


def parquet_rows(source: SourceFile) -> tuple[tuple[str, ...], Iterator[tuple[int, Sequence[Any]]]]:
    """Header and numbered rows of a file, or of all shards together.

    Raises:
        DataError: not a parquet file, or shards whose columns differ.
    """
    import pyarrow

    tables = [_table(file) for file in source.files]
    for file, table in zip(source.files, tables, strict=True):
        if table.column_names != tables[0].column_names:
            raise DataError(f"its columns are not those of {source.files[0].name}", file=file.name)
    try:
        table = pyarrow.concat_tables(tables, promote_options="permissive")
    except (pyarrow.ArrowException, ValueError) as error:
        raise DataError(f"the columns of its shards have different types ({error})", file=source.name) from None
    cells = [_cells(column) for column in table.columns]
    return tuple(table.column_names), iter(list(enumerate(zip(*cells, strict=True), 1)))


def _cells(column: Any) -> list[Any]:
    """The cells of a column; where one has no value in Python, none has, which matters only if the column is used."""
    import pyarrow

    try:
        return cast("list[Any]", column.to_pylist())
    except (pyarrow.ArrowException, ValueError, OverflowError, LookupError):
        return [Unreadable()] * len(column)


def _table(file: SourceFile) -> Any:
    import pyarrow
    import pyarrow.parquet

    with file.open() as handle:
        content = handle.read()
    try:
        return pyarrow.parquet.read_table(pyarrow.BufferReader(content))
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        pointer = content.startswith(_LFS_POINTER)
        hint = "this is a pointer that git-lfs left; in its repository: git lfs pull" if pointer else None
        problem = f"not a readable parquet file ({type(error).__name__})"
        raise DataError(problem, file=file.name, hint=hint) from None
