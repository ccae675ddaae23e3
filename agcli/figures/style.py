"""The frame that all pictures share: colours, type sizes, captions, legends, files.

Type is 8 pt or more at the width that a page gives (17.8 cm). The colours are Okabe and Ito's, which people with any
kind of colour blindness can tell apart, and nothing rests on colour alone: lines and bars differ in more.
"""

from __future__ import annotations

import io
import itertools
import math
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from agcli.guides.variants import variant_colour
from agcli.runs import atomic

PAGE_WIDTH = 7.0
"""Inches: the text width of A4 with margins of 1.6 cm."""
LEFT = 0.008
"""Where text across the page starts, as a share of its width."""
SMALL, NORMAL = 8.0, 9.0
"""Type sizes in points."""
_LEGEND_ROW, _LABEL_ROW = 0.175, 0.2
"""Inches."""
_LEGEND_COLUMNS = 3
_CAPTION_WIDTH = 118
"""Characters of a line of SMALL type across the page."""
_HEADING = 96
"""Most characters of a heading."""
_LONGEST_NAME = 40
"""Characters of a name that go into a file's name, counted from its end: a path's end tells most."""

INK, QUIET, GRID = "#222222", "#595959", "#DDDDDD"
METHOD_COLOURS = {"authors": "#B22222", "hf-trainer": "#8B6F47", "hf-guided": "#2F4F4F"}
"""The baselines of a timing, unlike any guide; variants have the registry's colours."""
_SPARE_COLOURS = ("#F0E442", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
HATCHES = ("", "////", "....", "xxxx", "----", "++++")
DASHES = ("solid", (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)), (0, (8, 2)))

_SETTINGS: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": QUIET,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": NORMAL,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": NORMAL,
    "axes.unicode_minus": True,
    "figure.dpi": 100,
    "font.size": SMALL,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.5,
    "legend.fontsize": SMALL,
    "legend.frameon": False,
    "lines.linewidth": 1.3,
    "lines.markersize": 4.5,
    "pdf.fonttype": 42,  # TrueType: publishers refuse matplotlib's Type 3
    "svg.fonttype": "none",  # text stays text: it can be searched, and edited in a paper
    "svg.hashsalt": "agcli",  # the same picture has the same bytes
    "text.color": INK,
    "text.parse_math": False,  # a `$` or `_` in a model's name is that character
    "xtick.color": QUIET,
    "xtick.labelcolor": INK,
    "xtick.labelsize": SMALL,
    "ytick.color": QUIET,
    "ytick.labelcolor": INK,
    "ytick.labelsize": SMALL,
}
METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": "agcli"},
    "svg": {"Date": None, "Creator": "agcli"},
    "pdf": {"CreationDate": None, "Creator": "agcli", "Producer": None},
}
"""Format -> what is written about a file; no date in it."""


@contextmanager
def picture(height: float, caption: Iterable[str] = (), heading: str = "") -> Iterator[Figure]:
    """An empty figure of the page's width whose parts make room for each other; draw and save it inside the block.

    Matplotlib's defaults plus ours hold in the block; afterwards the user's settings again.

    Args:
        height: in inches, without the caption.
        caption: paragraphs under the picture.
        heading: a bold line above it.
    """
    lines = [line for text in caption for line in textwrap.wrap(plain(text, 4 * _CAPTION_WIDTH), _CAPTION_WIDTH)]
    room = 0.15 * len(lines) + 0.06 if lines else 0.0
    total = height + room
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        figure = Figure(figsize=(PAGE_WIDTH, total))
        figure.set_layout_engine("constrained", rect=(0, room / total, 1, height / total))
        figure.text(LEFT, 0.05 / total, "\n".join(lines), va="bottom", color=QUIET)
        if heading:
            figure.suptitle(plain(heading, _HEADING), x=LEFT, ha="left", weight="bold", size=NORMAL)
        yield figure


def legend_below(figure: Figure, axes: Axes, label: str = "") -> None:
    """Put the legend of some axes under all of a figure, above its caption; above it the label of a shared axis.

    Matplotlib's own `outside` legend would cover the caption: it does not know the room that was kept for that.
    """
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        bottom = _keep_below(figure, _LEGEND_ROW * math.ceil(len(labels) / _LEGEND_COLUMNS) + 0.08)
        look: dict[str, Any] = {"borderaxespad": 0.2, "ncols": _LEGEND_COLUMNS, "handlelength": 3}
        figure.legend(handles, labels, loc="lower center", bbox_to_anchor=(0.5, bottom), **look)
    if label:
        figure.text(0.5, _keep_below(figure, _LABEL_ROW), label, ha="center", va="bottom", size=NORMAL)


def _keep_below(figure: Figure, inches: float) -> float:
    """Take room from the bottom of a figure's parts; returns where it starts, as a share of the height."""
    engine = figure.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine), "every picture has it until it is saved"
    left, bottom, width, height = engine.get()["rect"]
    room = inches / figure.get_figheight()
    engine.set(rect=(left, bottom + room, width, height - room))
    return float(bottom)


def stem_of(kind: str, names: Sequence[str], written: Iterable[Path]) -> str:
    """`KIND_NAME_NAME` in characters that every file system takes; numbered where a file that was written has it.

    A name without any such character becomes `unnamed`.
    """
    taken = {path.stem.lower() for path in written}
    safe = (re.sub(r"[^A-Za-z0-9.-]+", "_", name).strip("._")[-_LONGEST_NAME:] for name in names)
    stem = "_".join([kind, *(name or "unnamed" for name in safe)])
    number = 1
    while (numbered := stem if number == 1 else f"{stem}_{number}").lower() in taken:
        number += 1
    return numbered


def save(figure: Figure, folder: Path, stem: str) -> list[Path]:
    """Write `stem.png`, `stem.svg` and `stem.pdf`, each whole or not at all; the same picture has the same bytes.

    Raises:
        RunError: the disk refuses.
    """
    with atomic.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    written = []
    for kind, metadata in METADATA.items():
        content = io.BytesIO()
        figure.savefig(content, format=kind, dpi=200, metadata=metadata)
        figure.set_layout_engine("none")  # the other files keep the places that were computed for the first
        written.append(folder / f"{stem}.{kind}")
        atomic.write_bytes(written[-1], content.getvalue())
    return written


def colours_of(names: Iterable[str]) -> dict[str, str]:
    """Variant or method -> its colour in a picture of all of these; what has none of its own gets a spare one."""
    own = {name: METHOD_COLOURS.get(name) or variant_colour(name) for name in names}
    spare = itertools.cycle(_SPARE_COLOURS)
    return {name: colour or next(spare) for name, colour in own.items()}


def by_place(looks: Sequence[Any], value: object, values: Iterable[object]) -> Any:
    """One of `DASHES` or `HATCHES`, by the place of a value among those of a picture."""
    return looks[list(dict.fromkeys(values)).index(value) % len(looks)]


def plain(text: object, limit: int) -> str:
    """At most `limit` characters on one line, the middle left out; no control characters, which SVG forbids."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in str(text)).split())
    if len(line) <= limit:
        return line
    head = (limit - 1) // 2
    return f"{line[:head]}…{line[len(line) - (limit - 1 - head) :]}"
