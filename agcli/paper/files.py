"""A laid-out table as files: CSV, JSON, Markdown and LaTeX."""

from __future__ import annotations

import json
from pathlib import Path

from agcli.paper.latex import document
from agcli.paper.layout import LaidOutTable
from agcli.paper.rendering import as_json, markdown, records
from agcli.runs.atomic import write_text
from agcli.runs.folder import csv_text

STEM = "paper_table"


def write_files(table: LaidOutTable, folder: Path) -> list[Path]:
    """Write `paper_table.csv`, `.json`, `.md` and `.tex`, the last a whole document.

    Raises:
        RunError: the disk refuses.
    """
    rows = records(table)
    header = list(rows[0]) if rows else []
    texts = {
        "csv": csv_text([header, *([row[name] for name in header] for row in rows)]),
        "json": json.dumps(as_json(table), indent=2, ensure_ascii=False) + "\n",
        "md": markdown(table),
        "tex": document([table]),
    }
    for kind, text in texts.items():
        write_text(folder / f"{STEM}.{kind}", text)
    return [folder / f"{STEM}.{kind}" for kind in texts]
