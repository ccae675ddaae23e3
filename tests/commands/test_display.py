"""What the terminal shows: tables that fit, text that is not parsed as markup."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from agcli.commands import display
from agcli.commands.app import app
from agcli.errors import UsageError

WORDS = "a_long_name/that-must-not-break"


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("count", [2, 5, 12])
def test_no_cell_is_broken(width: int, count: int, monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    rows = [[f"{WORDS}{row}", *(f"{row}.{column:04}/26" for column in range(count))] for row in range(3)]
    display.show_table("Title", ["run", *(f"measure_{column}" for column in range(count))], rows)
    shown = capsys.readouterr().out
    assert all(str(cell) in shown for row in rows for cell in row)


def test_constant_columns_of_a_wide_table_go_to_the_caption(monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    display.show_table("T", ["run", "protocol", "score"], [[WORDS, "x" * 30, 1], [WORDS + "2", "x" * 30, 2]])
    assert "In every row: protocol" in capsys.readouterr().out


def test_users_text_is_neither_markup_nor_emoji(monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    text = r":dog: [x] [bold]y[/] \[z] end" + "\\"
    display.show_table(text, [text], [[text]], text)
    display.show_path("folder", text)
    display.note(text)
    display.warn(text)
    display.show_error(UsageError(text, hint=text))
    shown = capsys.readouterr()
    assert shown.out.count(text) == 5
    assert shown.err.count(text) == 4


@pytest.mark.parametrize("width", ["60", "80"])
@pytest.mark.parametrize("verb", ["models", "prepare", "finetune", "evaluate", "rank", "ablate", "timing"])
def test_help_cuts_no_option_name(verb: str, width: str) -> None:
    shown = CliRunner(env={"COLUMNS": width, "TERMINAL_WIDTH": width}).invoke(app, [verb, "--help"]).output
    assert "…" not in shown
    assert "<bool>" not in shown
    assert r"\[" not in shown
