"""Rows and records as CSV and JSON, in full precision: what programs read."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def csv_text(rows: Iterable[Sequence[object]]) -> str:
    """Rows as CSV: floats in full precision, text as it is, so that ids join with those of the source.

    A spreadsheet runs text that begins with `=`, `+`, `-` or `@` as a formula: it should import such columns as text.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows(rows)
    return text.getvalue()


def records_csv(records: Sequence[Mapping[str, object]]) -> str:
    """Records of the same keys as CSV under a header of these keys."""
    header = list(records[0]) if records else []
    return csv_text([header, *([record[name] for name in header] for record in records)])


def json_text(value: Any) -> str:
    """A value as the JSON of every file and of `--json`."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
