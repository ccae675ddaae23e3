r"""A laid-out table as LaTeX: booktabs, the best mean bold, stars raised, every text escaped.

Up to three groups of columns stand side by side as in the paper; more begin a new table. The preamble needs
`\usepackage[T1]{fontenc}`, `booktabs` and `graphicx`; `document` writes one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agcli.paper.layout import Cell, Entry, LaidOutTable, Row
from agcli.paper.printed import PERCENT, Group
from agcli.paper.rendering import OURS, PAPER, number_text, seeds_text

SIDE_BY_SIDE = 3
"""Data sets that the paper's tables are wide."""
_SIGNS = {
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", '"': r"\textquotedbl{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "-": "{-}"},
    **{"[": "{[}", "]": "{]}", "*": "{*}"},  # at the start of a line they would belong to the \\ before it
    **{"α": r"$\alpha$", "β": r"$\beta$", "τ": r"$\tau$", "±": r"$\pm$", "×": r"$\times$", "≤": r"$\leq$"},
    **{"–": "--", "—": "---", "’": "'", "“": "``", "”": "''", "…": r"\dots{}"},
}


def escaped(text: str) -> str:
    """Text that LaTeX prints as it stands; letters that its fonts may lack become their code point."""
    return "".join(_sign(letter) for letter in " ".join(text.split()))


def document(tables: Sequence[LaidOutTable]) -> str:
    """A whole document that compiles."""
    head = r"""\documentclass{article}
\usepackage[utf8]{inputenc}
\usepackage[T1]{fontenc}
\usepackage{textcomp}
\usepackage{booktabs}
\usepackage{graphicx}
\usepackage[landscape,margin=15mm]{geometry}
\begin{document}
"""
    return head + "\n".join(latex(table) for table in tables) + "\\end{document}\n"


def latex(table: LaidOutTable) -> str:
    """The table as LaTeX `table*` environments: one, or one for every three groups of columns."""
    filled = [place for place in range(len(table.groups)) if any(_has_number(row.entries[place]) for row in table.rows)]
    shares = [filled[start : start + SIDE_BY_SIDE] for start in range(0, len(filled), SIDE_BY_SIDE)]
    return "\n".join(_environment(table, places, last=places is shares[-1]) for places in shares)


def _environment(table: LaidOutTable, places: Sequence[int], *, last: bool) -> str:
    groups = [table.groups[place] for place in places]
    said = [f"\\textsuperscript{{{mark}}} {escaped(table.footnotes[mark - 1])}" for mark in _marks(table, places)]
    said += [escaped(note) for note in table.notes] if last else []
    below = "".join(f"\\par\\smallskip\\raggedright\\footnotesize {line}\n" for line in said)
    rows = "\n".join(line for row in table.rows for line in _row_lines(table, row, places))
    return (
        f"\\begin{{table*}}\n\\centering\n\\caption{{{escaped(table.title)}}}\n"
        "\\resizebox{\\ifdim\\width>\\textwidth\\textwidth\\else\\width\\fi}{!}{%\n"
        f"\\begin{{tabular}}{{ll{''.join(_columns(table, group) for group in groups)}}}\n\\toprule\n"
        f"{_heads(table, groups)}\\midrule\n{rows}\n\\bottomrule\n\\end{{tabular}}}}\n{below}\\end{{table*}}\n"
    )


def _heads(table: LaidOutTable, groups: Sequence[Group]) -> str:
    """Two lines of headings: the groups, ruled below, then the columns."""
    spans, rules, first = [], [], 3
    for group in groups:
        width = len(_columns(table, group))
        spans.append(f"\\multicolumn{{{width}}}{{c}}{{{escaped(group.text)}}}")
        rules.append(f"\\cmidrule(lr){{{first}-{first + width - 1}}}")
        first += width
    heads = [[column.text for column in group.columns] + (["n"] if _counted(table) else []) for group in groups]
    columns = ["Methods", "", *(escaped(text) for each in heads for text in each)]
    return f" & & {' & '.join(spans)} \\\\\n{''.join(rules)}\n{' & '.join(columns)} \\\\\n"


def _row_lines(table: LaidOutTable, row: Row, places: Sequence[int]) -> Iterator[str]:
    """Our numbers, and below them the paper's."""
    entries = [row.entries[place] for place in places]
    ours = any(_has_ours(entry) for entry in entries)
    if ours:
        cells = [cell for entry in entries for cell in _our_cells(table, entry)]
        yield f"{escaped(row.text)} & {OURS} & {' & '.join(cells)} \\\\"
    if any(cell.paper is not None for entry in entries for cell in entry.cells):
        cells = [cell for entry in entries for cell in _paper_cells(table, entry)]
        yield f"{'' if ours else escaped(row.text)} & \\textit{{{PAPER}}} & {' & '.join(cells)} \\\\"


def _our_cells(table: LaidOutTable, entry: Entry) -> list[str]:
    cells = [_our_number(cell, table.unit) for cell in entry.cells]
    cells[0] += _raised(entry.ours)
    n = seeds_text(entry.cells) if _has_ours(entry) else ""
    return [*cells, *([n] if _counted(table) else [])]


def _paper_cells(table: LaidOutTable, entry: Entry) -> list[str]:
    cells = ["" if cell.paper is None else number_text(cell.paper, table.unit) for cell in entry.cells]
    cells[0] += _raised(entry.paper)
    return [*cells, *([""] if _counted(table) else [])]


def _our_number(cell: Cell, unit: str) -> str:
    if cell.mean is None:
        return ""
    mean = number_text(cell.mean, unit)
    spread = f" {{\\scriptsize$\\pm$ {number_text(cell.sd, unit)}}}" if cell.sd is not None else ""
    stars = f"\\textsuperscript{{{cell.stars}}}" if cell.stars else ""
    bold = f"\\textbf{{{mean}}}"
    return f"{bold if cell.best else mean}{spread}{stars}"


def _raised(marks: Sequence[int]) -> str:
    return f"\\textsuperscript{{{','.join(map(str, marks))}}}" if marks else ""


def _marks(table: LaidOutTable, places: Sequence[int]) -> list[int]:
    entries = [row.entries[place] for row in table.rows for place in places]
    return sorted({mark for entry in entries for mark in (*entry.ours, *entry.paper)})


def _columns(table: LaidOutTable, group: Group) -> str:
    return "r" * (len(group.columns) + _counted(table))


def _counted(table: LaidOutTable) -> bool:
    """Whether numbers rest on seeds that can be counted."""
    return table.unit == PERCENT


def _has_ours(entry: Entry) -> bool:
    return bool(entry.ours) or any(cell.mean is not None for cell in entry.cells)


def _has_number(entry: Entry) -> bool:
    return _has_ours(entry) or any(cell.paper is not None for cell in entry.cells)


def _sign(letter: str) -> str:
    if letter in _SIGNS:
        return _SIGNS[letter]
    printable = " " <= letter <= "~" or "¡" <= letter <= "ÿ"
    return letter if printable else f"{{[}}U+{ord(letter):04X}{{]}}"
