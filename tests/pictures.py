"""What is written in pictures: of files, and of figures that were not written."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.text import Text

SVG = "{http://www.w3.org/2000/svg}"
NASTY = r"my_model$x^2$\frac{a}{b} <b>&amp; % #1"
"""A name that markup would make something else of."""


def texts(written: list[Path]) -> list[str]:
    """The text elements of the only SVG among the files."""
    (file,) = (path for path in written if path.suffix == ".svg")
    return ["".join(element.itertext()) for element in ET.parse(file).iter(f"{SVG}text")]


def points_of(written: list[Path]) -> list[float]:
    """The type sizes of the only SVG among the files."""
    (file,) = (path for path in written if path.suffix == ".svg")
    styles = [element.get("style", "") for element in ET.parse(file).iter(f"{SVG}text")]
    return [float(size) for each in styles for size in re.findall(r"([\d.]+)px", each)]


def all_text(figure: Figure) -> list[str]:
    """All text of a figure."""
    return [text.get_text() for text in figure.findobj(Text) if isinstance(text, Text)]
