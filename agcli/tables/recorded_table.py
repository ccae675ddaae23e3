"""A table together with the numbers behind it, in every form that is written to files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agcli.tables.csv_json import json_text, records_csv
from agcli.tables.latex import document
from agcli.tables.markdown import markdown
from agcli.tables.table import Table


@dataclass(frozen=True)
class RecordedTable:
    """A table for people, and for programs records of its numbers: mappings of the same keys, in full precision."""

    name: str
    unit: str
    table: Table
    records: Sequence[Mapping[str, Any]]

    def as_json(self) -> dict[str, Any]:
        """The whole table as one object."""
        return {
            "table": self.name,
            "title": self.table.title,
            "unit": self.unit,
            "numbers": list(self.records),
            "footnotes": list(self.table.footnotes.values()),
            "notes": list(self.table.notes),
        }

    def files(self, stem: str) -> dict[str, str]:
        """Name of a file -> its text: CSV, JSON, Markdown, and LaTeX as a whole document."""
        return {
            f"{stem}.csv": records_csv(self.records),
            f"{stem}.json": json_text(self.as_json()),
            f"{stem}.md": markdown(self.table),
            f"{stem}.tex": document([self.table]),
        }
