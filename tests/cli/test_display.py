"""What the terminal shows: tables that fit, text that is not parsed as markup."""

from __future__ import annotations

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from agcli.cli import display
from agcli.cli.app import app
from agcli.errors import UsageError
from agcli.tables.table import Table

WORDS = "a_long_name/that-must-not-break"


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("count", [2, 5, 12])
def test_no_cell_is_broken(width: int, count: int, monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    rows = [[f"{WORDS}{row}", *(f"{row}.{column:04}/26" for column in range(count))] for row in range(3)]
    display.show(Table("Title", ["run", *(f"measure_{column}" for column in range(count))], rows))
    shown = capsys.readouterr().out
    assert all(str(cell) in shown for row in rows for cell in row)


@pytest.mark.parametrize("width", ["60", "80"])
def test_an_interval_stands_whole_beside_its_value_or_below_it_in_the_whole_table(
    width: str, monkeypatch, capsys
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    intervals = [(f"0.{row}646", f"[0.{row}917, 0.{row}271]") for row in range(1, 4)]
    rows = [[f"name_{row}", *(" ".join(pair) for _ in range(3))] for row, pair in enumerate(intervals)]
    display.show(Table("T", ["name", "first", "second", "difference"], [*rows, ["n", 3, 3, None]]))
    lines = capsys.readouterr().out.splitlines()
    for value, interval in intervals:
        [first] = [line for line in lines if value in line]
        assert first.count(value) == 3
        assert "[" not in first
        assert lines[lines.index(first) + 1].count(interval) == 3


def test_what_has_room_keeps_its_intervals_in_one_line(monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    cells = ["0.8646 [0.7917, 0.9271]", "0.500 (0.400-0.600)", "83.89 ± 0.31*", "70.12 to 80.34"]
    for cell in cells:
        display.show(Table("T", ["name", "a value", "what it means"], [["a", cell, "some words " * 20]]))
    shown = capsys.readouterr().out
    assert all(cell in shown for cell in cells)


def test_constant_columns_of_a_wide_table_go_to_the_caption(monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    display.show(Table("T", ["run", "protocol", "score"], [[WORDS, "x" * 30, 1], [WORDS + "2", "x" * 30, 2]]))
    assert "In every row: protocol" in capsys.readouterr().out


def test_users_text_is_neither_markup_nor_emoji(monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    text = r":dog: [x] [bold]y[/] \[z] end" + "\\"
    display.show(Table(text, [text], [[text]], text))
    display.show_path("folder", text)
    display.note(text)
    display.warn(text)
    display.show_error(UsageError(text, hint=text))
    shown = capsys.readouterr()
    assert shown.out.count(text) == 5
    assert shown.err.count(text) == 4


def test_numbers_stand_on_the_right(monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    rows = [["a", "<0.0001", 5, "words"], ["b", "0.25", None, "w"], ["c", None, "12 [3, 4]", "x"]]
    display.show(Table("T", ["name", "randomisation p", "count of it", "text"], rows))
    shown = capsys.readouterr().out
    for cell in (
        "        <0.0001",
        "           0.25",
        "              -",
        "          5",
        "  12 [3, 4]",
        "words",
        "w    ",
    ):
        assert f"│ {cell} │" in shown


def test_letters_stand_for_names_where_the_table_is_too_wide(monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    names = [f"runs/{word}-of-a-name-that-is-long" for word in ("one", "two")]
    rows = [[name, "0.1234 [0.1111, 0.2222]", names[0]] for name in names] + [["majority class", 0.3, "x"]]
    display.show(Table("T", ["run", "value", f"first of {names[1]}"], rows, names=names))
    shown = capsys.readouterr().out
    assert f"A = {names[0]}\nB = {names[1]}" in shown
    assert "first of B" in shown
    assert "majority class" in shown
    assert max(map(len, shown.splitlines())) <= 60


@pytest.mark.parametrize("width", ["60", "80"])
def test_a_long_path_in_title_and_caption_stays_whole(width: str, monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", width)
    path = "/".join(["a-folder"] * 20)
    display.show(Table(f"mine, prepared in {path}", ["a", "b"], [[1, 2]], f"train: {path}\ndigest 12"))
    assert capsys.readouterr().out.count(path) == 2


@pytest.mark.parametrize("width", ["60", "80"])
@pytest.mark.parametrize("verb", ["models", "prepare", "finetune", "evaluate", "rank", "ablate", "timing"])
def test_help_cuts_no_option_name(verb: str, width: str, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", width)
    command = get_command(app).get_command(None, verb)
    shown = command.get_help(command.context_class(command, info_name=f"ag {verb}"))
    assert "…" not in shown
    assert "<bool>" not in shown
    assert r"\[" not in shown
    assert all(len(line) <= int(width) for line in shown.splitlines())


def test_help_groups_the_options() -> None:
    shown = CliRunner(env={"COLUMNS": "80"}).invoke(app, ["ablate", "--help"]).output
    panels = [line for line in shown.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert panels[0] == "Model options:"
    assert panels[-4:] == ["Grid:", "Output:", "Running:", "Options:"]
    assert shown.index("Grid:") < shown.index("--variants") < shown.index("Running:") < shown.index("--engine")
