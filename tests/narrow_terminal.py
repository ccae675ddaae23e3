"""What a command shows on narrow terminals, set beside what it shows on a wide one."""

from __future__ import annotations

import re

from typer.testing import CliRunner

WIDTHS = (60, 80)
_INTERVAL = re.compile(r"\[[+−-]?\d[^\[\]A-Za-z]*\]|\(\d[^()A-Za-z]*\)|± \d[\d.]*|\d[\d.]* to \d[\d.]*")
_RULES = r"[\s│┃━─┏┓┗┛┡┩┼┳┴┬├┤╇└┘┷┿]+"


def shown_at(width: int, *words: object) -> str:
    """The stdout of `ag WORDS` on a terminal of this width."""
    from agcli.cli.app import app

    result = CliRunner(env={"COLUMNS": str(width)}).invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, f"{result.output}\n{result.exception!r}"
    return result.stdout


def assert_whole(narrow: str, wide: str, width: int) -> None:
    """No word, number or interval of `wide` is broken or missing in `narrow`, and no line is too wide.

    What is wider than the terminal is one word.
    """
    missing = words_of(wide) - words_of(narrow)
    assert not missing, missing
    broken = {interval for interval in _INTERVAL.findall(wide) if interval not in narrow}
    assert not broken, broken
    for line in narrow.splitlines():
        assert len(line.rstrip()) <= width or max(map(len, line.split())) > width / 2, line


def words_of(shown: str) -> set[str]:
    """The words and numbers of an output, without its rules and punctuation."""
    return {word for each in re.split(_RULES, shown) if (word := each.strip(",.:;()[]"))}


def assert_narrows(*words: object) -> None:
    """A command's output has all its words at every narrow width."""
    wide = shown_at(1000, *words)
    for width in WIDTHS:
        assert_whole(shown_at(width, *words), wide, width)
