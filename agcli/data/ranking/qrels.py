"""Files of judgements, in either form: TREC's four columns, or BEIR's three under a header."""

from __future__ import annotations

import re
from collections.abc import Iterator

from agcli.data.files import SourceFile, text_lines
from agcli.data.ranking.collection import Judgement
from agcli.errors import DataError, did_you_mean

_BEIR = ("query-id", "corpus-id", "score")
_WHOLE = re.compile(r"([+-]?\d{1,9})(\.0+)?", re.ASCII)  # tables that were read as numbers say 1.0


def read_judgements(source: SourceFile) -> list[Judgement]:
    """The judgements in source order; which form it is, the first row says.

    Raises:
        DataError: a wrong number of columns, or a relevance that is no whole number.
    """
    rows = ((row, line) for row, line in text_lines(source) if line.strip())
    first_row, first = next(rows, (1, ""))
    fields = first.split()
    if len(fields) == 4:
        return [_trec(first_row, first, source), *(_trec(row, line, source) for row, line in rows)]
    header = [name.strip() for name in first.split("\t")]
    if not set(_BEIR) <= set(header):
        near = "".join(did_you_mean(name, header) for name in _BEIR if name not in header)
        raise DataError(
            f"{len(fields)} column(s), and no header of BEIR's",
            detail=near,
            file=source.name,
            row=first_row,
            allowed=["4 columns (claim, iteration, document, relevance)", "a header with " + ", ".join(_BEIR)],
        )
    return list(_beir(rows, header, source))


def _trec(row: int, line: str, source: SourceFile) -> Judgement:
    fields = line.split()
    if len(fields) != 4:
        raise DataError(f"{len(fields)} column(s)", file=source.name, row=row, allowed=["4 columns"])
    return Judgement(fields[0], fields[2], relevance(fields[3], source, row, "relevance"), row)


def _beir(rows: Iterator[tuple[int, str]], header: list[str], source: SourceFile) -> Iterator[Judgement]:
    claim, document, score = (header.index(name) for name in _BEIR)
    for row, line in rows:
        fields = [field.strip() for field in line.split("\t")]
        if len(fields) != len(header):
            problem = f"{len(fields)} column(s), separated by tabs"
            raise DataError(problem, file=source.name, row=row, allowed=[f"{len(header)} columns"])
        yield Judgement(fields[claim], fields[document], relevance(fields[score], source, row, "score"), row)


def relevance(text: str, source: SourceFile, row: int, column: str) -> int:
    """A relevance: a whole number; what becomes of one below 0, `checks.check_grades` says.

    Raises:
        DataError: anything else.
    """
    number = _WHOLE.fullmatch(text)
    if not number:
        allowed = ["a whole number from 0 (0: judged, not relevant)"]
        raise DataError("not a relevance", file=source.name, row=row, column=column, value=text, allowed=allowed)
    return int(number[1])
