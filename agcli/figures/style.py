"""How all pictures look, and how they are written: one place for colours, type sizes, files.

Type is 8 pt or more at the width that a page gives (17.8 cm). The colours are Okabe and Ito's, which people with any
kind of colour blindness can tell apart, and nothing rests on colour alone: arms also differ in marker, line or hatch.
"""

from __future__ import annotations

import io
import math
import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agcli.runs import atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAGE_WIDTH = 7.0
"""Inches: the text width of A4 with margins of 1.6 cm."""
LEFT = 0.008
"""Where text across the page starts, as a share of its width."""
SMALL, NORMAL = 8.0, 9.0
"""Type sizes in points."""
_LEGEND_ROW, _LABEL_ROW = 0.175, 0.2
"""Inches."""
_CAPTION_WIDTH = 118
"""Characters of a line of SMALL type across the page."""
_LONGEST_NAME = 40
"""Characters of a name that go into a file's name, counted from its end: a path's end tells most."""

INK, QUIET, GRID = "#222222", "#595959", "#DDDDDD"
COLOURS = {
    "none": "#777777",
    "mdg": "#E69F00",
    "pdg": "#56B4E9",
    "both": "#0072B2",
    "authors": "#D55E00",
    "hf-trainer": "#CC79A7",
    "hf-guided": "#009E73",
}
"""Variant -> colour, the same in every picture."""
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


@contextmanager
def house_style() -> Iterator[None]:
    """Matplotlib's defaults plus ours while the block draws and writes; afterwards the user's settings again."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


def new_figure(height: float, caption: Sequence[str] = ()) -> Figure:
    """An empty figure of the page's width whose parts make room for each other.

    Args:
        height: in inches, without the caption.
        caption: what is to be said under all of it; each starts a line of its own.
    """
    from matplotlib.figure import Figure

    lines = [line for said in caption for line in textwrap.wrap(plain(said, 4 * _CAPTION_WIDTH), _CAPTION_WIDTH)]
    room = 0.15 * len(lines) + 0.06 if lines else 0.0
    total = height + room
    figure = Figure(figsize=(PAGE_WIDTH, total))
    figure.set_layout_engine("constrained", rect=(0, room / total, 1, height / total))
    figure.text(LEFT, 0.05 / total, "\n".join(lines), va="bottom", color=QUIET)
    return figure


def legend_below(figure: Figure, axes: Axes, columns: int = 3) -> None:
    """Put the legend of some axes under all of a figure, above its caption.

    Matplotlib's own `outside` legend would cover the caption: it does not know the room that was kept for that.
    """
    handles, labels = axes.get_legend_handles_labels()
    if not labels:
        return
    bottom = _keep_below(figure, _LEGEND_ROW * math.ceil(len(labels) / columns) + 0.08)
    if bottom is None:
        return
    figure.legend(
        handles,
        labels,
        loc="lower center",
        bbox_to_anchor=(0.5, bottom),
        borderaxespad=0.2,
        ncols=columns,
        handlelength=3,
    )


def label_below(figure: Figure, label: str) -> None:
    """Name the horizontal axis that all parts of a figure share, above the legend that is there already.

    Matplotlib's own place for it is the bottom of the page: it does not know the room that was kept for the caption.
    """
    bottom = _keep_below(figure, _LABEL_ROW)
    if bottom is not None:
        figure.text(0.5, bottom, label, ha="center", va="bottom", size=NORMAL)


def _keep_below(figure: Figure, inches: float) -> float | None:
    """Take room from the bottom of a figure's parts; returns where it starts, as a share of the height."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    engine = figure.get_layout_engine()
    if not isinstance(engine, ConstrainedLayoutEngine):
        return None
    left, bottom, width, height = engine.get()["rect"]
    room = inches / figure.get_figheight()
    engine.set(rect=(left, bottom + room, width, height - room))
    return float(bottom)


def write_beside(axes: Axes, line: int, text: str, points: float, side: str, colour: str) -> None:
    """Text beside a line, `points` to the right of the axes; it ends or starts there, by `side`."""
    axes.annotate(
        text,
        (1, line),
        xycoords=axes.get_yaxis_transform(),
        xytext=(points, 0),
        textcoords="offset points",
        ha=side,
        va="center",
        color=colour,
        annotation_clip=False,
    )


def stem_of(kind: str, names: Sequence[str], taken: Sequence[str]) -> str:
    """`KIND_NAME_NAME` in characters that every file system takes; numbered where that is taken.

    A name that has no such character becomes `unnamed`.

    Args:
        kind: of picture, in such characters already.
        names: what the picture is of, in anybody's characters.
        taken: stems of other pictures in the same folder.
    """
    safe = (re.sub(r"[^A-Za-z0-9.-]+", "_", name).strip("._")[-_LONGEST_NAME:] for name in names)
    stem = "_".join([kind, *(name or "unnamed" for name in safe)])
    number = 1
    while (found := stem if number == 1 else f"{stem}_{number}").lower() in (each.lower() for each in taken):
        number += 1
    return found


def pages(sizes: Sequence[int], most: int) -> Iterator[slice]:
    """Cut groups of lines, each with a heading, into pages of lines; no group is cut.

    Args:
        sizes: lines of each group, without its heading.
        most: lines of a page; a longer group has a page of its own.
    """
    start = used = 0
    for place, size in enumerate(sizes):
        if used and used + size + 1 > most:
            yield slice(start, place)
            start, used = place, 0
        used += size + 1
    if used:
        yield slice(start, len(sizes))


def save(figure: Figure, folder: Path, stem: str) -> list[Path]:
    """Write `stem.png` and `stem.svg`, each whole or not at all, with no date in them.

    Raises:
        RunError: the disk refuses.
    """
    metadata: dict[str, dict[str, Any]] = {"png": {"Software": "agcli"}, "svg": {"Date": None, "Creator": "agcli"}}
    with atomic.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    written = []
    for kind, said in metadata.items():
        content = io.BytesIO()
        figure.savefig(content, format=kind, dpi=200, metadata=said)
        figure.set_layout_engine("none")  # the second file keeps the places that were found for the first
        written.append(folder / f"{stem}.{kind}")
        atomic.write_bytes(written[-1], content.getvalue())
    return written


def colour_of(variant: str, beside: Sequence[str]) -> str:
    """A variant's colour: its own, or a spare one by its place among the unknown variants of a picture."""
    if variant in COLOURS:
        return COLOURS[variant]
    unknown = [each for each in dict.fromkeys(beside) if each not in COLOURS]
    return _SPARE_COLOURS[unknown.index(variant) % len(_SPARE_COLOURS)]


def hatch_of(attention: str | None, beside: Sequence[str | None]) -> str:
    """An attention's hatch by its place among those of a picture; the first has none."""
    return HATCHES[list(dict.fromkeys(beside)).index(attention) % len(HATCHES)]


def dashes_of(attention: str | None, beside: Sequence[str | None]) -> Any:
    """An attention's kind of line by its place among those of a picture; the first is solid."""
    return DASHES[list(dict.fromkeys(beside)).index(attention) % len(DASHES)]


def plain(text: object, limit: int) -> str:
    """Text on one line without control characters, which SVG forbids; the middle of a long one is left out.

    Args:
        text: anything.
        limit: most characters.
    """
    line = " ".join("".join(each if each.isprintable() else " " for each in str(text)).split())
    if len(line) <= limit:
        return line
    head = (limit - 1) // 2
    return f"{line[:head]}…{line[len(line) - (limit - 1 - head) :]}"
