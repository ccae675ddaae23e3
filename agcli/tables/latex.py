r"""A table as LaTeX: booktabs rules, best means bold, stars raised, every text escaped.

Up to three groups of columns stand side by side; more begin a new `table*`. The preamble needs
`\usepackage[T1]{fontenc}`, `booktabs` and `graphicx`; `document` writes one.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from pandas.io.formats.style import Styler

from agcli.tables.table import Number, Table, cell_text

SIDE_BY_SIDE = 3
_SIGNS = {
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", '"': r"\textquotedbl{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "-": "{-}"},
    **{"[": "{[}", "]": "{]}", "*": "{*}"},  # at the start of a line they would belong to the \\ before it
    **{"α": r"$\alpha$", "β": r"$\beta$", "τ": r"$\tau$", "±": r"$\pm$", "×": r"$\times$", "≤": r"$\leq$"},
    **{"–": "--", "—": "---", "’": "'", "“": "``", "”": "''", "…": r"\dots{}"},
}
"""What pandas' own escaping leaves out as well: brackets, dashes, Greek and typographic signs."""
_PREAMBLE = r"""\documentclass{article}
\usepackage[utf8]{inputenc}
\usepackage[T1]{fontenc}
\usepackage{textcomp}
\usepackage{booktabs}
\usepackage{graphicx}
\usepackage[landscape,margin=15mm]{geometry}
\begin{document}
"""


def document(tables: Sequence[Table]) -> str:
    """A whole document that compiles."""
    return _PREAMBLE + "\n".join(latex(table) for table in tables) + "\\end{document}\n"


def latex(table: Table) -> str:
    """The table as `table*` environments: one, or one for every three groups of columns."""
    parts = list(table.by_groups(SIDE_BY_SIDE)) if table.groups else [table]
    return "\n".join(_environment(table.title, part, with_notes=part is parts[-1]) for part in parts)


def escaped(text: str) -> str:
    """Text that LaTeX prints as it stands; letters that its fonts may lack become their code point."""
    return "".join(_sign(letter) for letter in " ".join(text.split()))


def _sign(letter: str) -> str:
    if letter in _SIGNS:
        return _SIGNS[letter]
    printable = " " <= letter <= "~" or "¡" <= letter <= "ÿ"
    return letter if printable else f"{{[}}U+{ord(letter):04X}{{]}}"


def _environment(title: str, table: Table, *, with_notes: bool) -> str:
    below = [escaped(line) for line in table.caption.splitlines()]
    below += [f"\\textsuperscript{{{key}}} {escaped(text)}" for key, text in table.footnotes.items()]
    below += [escaped(note) for note in table.notes] if with_notes else []
    small = "".join(f"\\par\\smallskip\\raggedright\\footnotesize {line}\n" for line in below)
    return (
        f"\\begin{{table*}}\n\\centering\n\\caption{{{escaped(title)}}}\n"
        "\\resizebox{\\ifdim\\width>\\textwidth\\textwidth\\else\\width\\fi}{!}{%\n"
        f"{_tabular(table).rstrip()}}}\n{small}\\end{{table*}}\n"
    )


def _tabular(table: Table) -> str:
    columns = list(table.columns)
    headings = [""] * table.first_grouped + [heading for heading, width in table.groups for _ in range(width)]
    frame = pd.DataFrame([list(row) for row in table.rows], columns=range(len(columns)), dtype=object)
    frame.columns = pd.MultiIndex.from_arrays([headings, columns]) if table.groups else pd.Index(columns)
    alignment = "".join("r" if table.numeric(index) else "l" for index in range(len(columns)))
    style = Styler(frame).hide(axis="index").format(_cell).format_index(lambda name: escaped(str(name)), axis="columns")
    text: str = style.to_latex(hrules=True, multicol_align="c", column_format=alignment)
    if not table.groups:
        return text
    begin, toprule, group_headings, rest = text.split("\n", 3)
    return "\n".join([begin, toprule, group_headings, _rules_below_headings(table), rest])


def _rules_below_headings(table: Table) -> str:
    """Styler rules off no group of columns."""
    rules, first = "", table.first_grouped + 1
    for _, width in table.groups:
        rules += f"\\cmidrule(lr){{{first}-{first + width - 1}}}"
        first += width
    return rules


def _cell(cell: object) -> str:
    if not isinstance(cell, Number):
        return "" if cell is None else escaped(cell_text(cell))
    number = f"\\textbf{{{escaped(cell.text)}}}" if cell.best else escaped(cell.text)
    spread = f" {{\\scriptsize$\\pm$ {escaped(cell.spread)}}}" if cell.spread else ""
    return f"{number}{spread}{_raised(cell.stars)}{_raised(','.join(map(str, cell.footnotes)))}"


def _raised(text: str) -> str:
    return f"\\textsuperscript{{{text}}}" if text else ""
