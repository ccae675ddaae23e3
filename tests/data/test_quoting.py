"""Quoting is decided by evidence, and no row is ever eaten."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agcli.data.files.delimited import detect_quoting
from agcli.data.files.opening import SourceFile, disk_file
from agcli.data.files.tables import open_table
from agcli.data.prepared import PreparedPairs
from agcli.errors import DataError

Make = Callable[..., PreparedPairs]


def in_memory(name: str, text: str) -> SourceFile:
    return SourceFile(name, lambda: io.BytesIO(text.encode()))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\tb\nx\ty\n", "none"),
        ('a\tb\n"lone\ty\n', "none"),
        ('a\tb\n"lone\ty\nx\tends"\n', "none"),
        ('a\tb\nx\t"lone\nz"\ty\n', "none"),
        ('a\tb\n"Hello."\ty\n', "none"),
        ('a\tb\nHe said "yes".\t""\n', "none"),
        ('a\tb\n"He said ""yes""."\ty\n', "minimal"),
        ('a\tb\n"He said ""yes""."\t5" nail\n', "none"),
        ('"a"\t"b"\n"x"\t"y"\n', "minimal"),
        ('a\tb\n"x\ttab"\ty\n', "minimal"),
        ('a\tb\n"x\nline"\ty\n', "minimal"),
        ('a\tb\n"He said \\"yes\\"."\ty\n', "backslash"),
        ('"a"\t"b"\n"He said \\"yes\\"."\t"y"\n', "backslash"),
        ('a\tb\n"\\"Yes\\"\tshe said"\ty\n', "backslash"),
        ('a\tb\nHe said \\"yes\\".\ty\n', "none"),
        ('a\tb\n"He said \\"yes\\"."\t"lone\n', "none"),
        ('"a"\t"b"\n"C:\\"\t"y"\n', "minimal"),
        ('a\tb\n"\\"Yes\\" he said"\t"a \\"b\\""\n5" nail\ty\n', "backslash"),
        ('a\tb\n"\\"Yes\\" he said"\t5" nail\n"lone\ty\n', "none"),
    ],
)
def test_tab_separated(text: str, expected: str) -> None:
    assert detect_quoting(in_memory("f.tsv", text), "\t") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('a,b\n"\\"Yes\\" he said",y\n', "backslash"),
        ('a,b\n"\\"Yes, no\\"",y\n', "backslash"),
        ('a,b\n"C:\\",y\n', "minimal"),
        ("a,b\nx,y\n", "none"),
        ('a,b\n"x",y\n', "minimal"),
        ('a,b\n"x, z",y\n', "minimal"),
        ('a,b\n"x,y\n', "none"),
        ('a,b\n"\\"Yes\\" he said",y\n5" tube,y\n', "backslash"),
        ('a,b\n"\\"Yes\\" he said",y\n5" tube,6" tube\n', "backslash"),
        ('a,b\n"\\"Yes\\" he said",y\n"a ""b"" c",He \\"left\\"\n', "backslash"),
        ('a,b\nHe said \\"yes\\",y\n5" tube,y\n', "minimal"),
    ],
)
def test_comma_separated(text: str, expected: str) -> None:
    assert detect_quoting(in_memory("f.csv", text), ",") == expected


_CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=12)
_PLAIN = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n\t"), max_size=12)


@given(st.lists(st.tuples(_CELL, _CELL), min_size=1, max_size=6))
def test_what_a_csv_writer_writes_is_read_back(rows: list[tuple[str, str]]) -> None:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([("a", "b"), *rows])
    table = open_table(in_memory("f.csv", out.getvalue()), "minimal")
    while rows and not any(rows[-1]):  # as below a spreadsheet's last row
        rows.pop()
    assert [tuple(values) for _, values in table.rows] == rows


@given(st.lists(st.tuples(_PLAIN, _PLAIN), min_size=1, max_size=6))
def test_plain_files_keep_every_row(rows: list[tuple[str, str]]) -> None:
    text = "".join(f"x{a}\t{b}x\n" for a, b in [("a", "b"), *rows])
    assert len(list(open_table(in_memory("f.tsv", text)).rows)) == len(rows)


def test_unusual_line_separators_and_marks_stay_text(tmp_path: Path) -> None:
    path = tmp_path / "f.tsv"
    path.write_bytes("\ufeffa\tb\r\none\u0085two\tthree\u2028four\r\nNA\tnull\r\n\r\n".encode())
    table = open_table(disk_file(path))
    assert table.header == ("a", "b")
    assert list(table.rows) == [(2, ["one\u0085two", "three\u2028four"]), (3, ["NA", "null"])]


_ANY = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=12)


@given(st.lists(st.tuples(_ANY, _ANY), min_size=1, max_size=6))
def test_what_spark_writes_is_read_back(rows: list[tuple[str, str]]) -> None:
    def cell(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    text = "".join(f"{cell(a)},{cell(b)}x\n".replace('"x\n', 'x"\n') for a, b in [("a", "b"), *rows])
    table = open_table(in_memory("f.csv", text), "backslash")
    assert [tuple(values) for _, values in table.rows] == [(a, b + "x") for a, b in rows]


def test_no_mark_or_backslash_is_left_in_the_text() -> None:
    text = 'a,b\n"\\"Tea\\", she said, \\"helps\\" C:\\\\new",y\nplain,z\n'
    table = open_table(in_memory("f.csv", text))
    assert list(table.rows) == [(2, ['"Tea", she said, "helps" C:\\new', "y"]), (3, ["plain", "z"])]


@pytest.mark.parametrize("name", ["f.csv", "f.tsv"])
def test_a_bare_mark_beside_marks_behind_backslashes(name: str) -> None:
    rows = [f'"say \\"hi\\" {n}","he \\"{n}\\" said",yes' for n in range(30)]
    text = "\n".join(["text_a,text_b,label", *rows, '5" tube,\\"y\\" \\n,yes']) + "\n"
    table = open_table(in_memory(name, text if name == "f.csv" else text.replace(",", "\t")))
    read = [values for _, values in table.rows]
    assert read[:2] == [[f'say "hi" {n}', f'he "{n}" said', "yes"] for n in range(2)]
    assert read[30] == ['5" tube', '"y" \\n', "yes"]


@pytest.mark.parametrize(
    ("name", "rows", "bare"),
    [
        ("f.csv", ['"say \\"hi\\" {n}",y'] * 3, '"lone,y'),
        ("f.csv", ['"say \\"hi\\" {n}",y'], '"Tea" helps,"lone'),
        ("f.tsv", ['"say \\"hi\\" {n}"\ty'] * 3, '"lone\ty'),
        ("f.tsv", ['"say \\"hi\\" {n}"\ty'], '5" tube\t6" tube'),
    ],
)
def test_marks_that_contradict_each_other_are_refused(name: str, rows: list[str], bare: str) -> None:
    delimiter = "\t" if name == "f.tsv" else ","
    text = "\n".join([f"a{delimiter}b", *rows, bare]) + "\n"
    with pytest.raises(DataError, match=r"wrapped in quotation marks with .* inside \(first: row 2\)") as caught:
        open_table(in_memory(name, text))
    assert caught.value.row == len(rows) + 2
    assert "--quoting backslash" in str(caught.value.hint)
    assert "--quoting none" in str(caught.value.hint)
    assert len(list(open_table(in_memory(name, text), "none").rows)) == len(rows) + 1


def test_a_backslash_in_the_middle_of_a_field_of_several_lines() -> None:
    table = open_table(in_memory("f.csv", 'a,b\n"x\nC:\\\\new \\d\nz",y\n'), "backslash")
    assert [values for _, values in table.rows] == [["x\nC:\\new \\d\nz", "y"]]


def test_a_reading_that_was_named_is_taken_from_the_first_look_on(tmp_path: Path, make: Make) -> None:
    rows = [f'"say \\"hi\\" {n}",he said {n},{"yes" if n % 2 else "no"}' for n in range(30)]
    path = tmp_path / "train.csv"
    path.write_text("\n".join(["text_a,text_b,label", *rows, '"lone,y,yes']) + "\n")
    with pytest.raises(DataError, match="hold marks that are not written so"):
        make("own", train=path, dev_fraction=0.2)
    assert make("own", train=path, dev_fraction=0.2, quoting="none").manifest["sources"][0]["quoting"] == "none"


def test_a_carriage_return_inside_a_field_is_text(make: Make, tmp_path: Path) -> None:
    rows = [(f"one\rtwo {n}" if n == 7 else f"tr a {n}", f'he said "tr b {n}", twice', "yn"[n % 2]) for n in range(30)]
    frame = pd.DataFrame(rows, columns=["text_a", "text_b", "label"])
    frame.to_csv(tmp_path / "train.csv", index=False, lineterminator="\n")
    prepared = make("own", source=str(tmp_path), dev_fraction=0.2)
    whole = pd.concat(prepared.splits.values())
    assert set(whole[["text_a", "text_b", "label"]].itertuples(index=False, name=None)) == set(rows)


@pytest.mark.parametrize("quoting", ["auto", "minimal"])
def test_cells_behind_a_comma_and_a_space(quoting: Literal["auto", "minimal"]) -> None:
    text = 'text_a, text_b, label\n"tr a 0", "tr, b 0", yes\n"tr ""a"" 1",  "tr b 1", no\n'
    table = open_table(in_memory("f.csv", text), quoting)
    assert table.header == ("text_a", "text_b", "label")
    assert [values for _, values in table.rows] == [["tr a 0", "tr, b 0", "yes"], ['tr "a" 1', "tr b 1", "no"]]


DIALECTS = {"none": "", "minimal": '"', "backslash": '"'}
ROWS = [[f"text {n}, with a comma", 'she said "no"' if n % 3 else "plain", "yes" if n % 2 else "no"] for n in range(60)]


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
@pytest.mark.parametrize("form", ["plain", "minimal", "all"])
def test_agrees_with_clevercsv(suffix: str, form: str) -> None:
    """Where clevercsv is sure of itself: whole files by one writer. On lone marks and backslashes it often errs."""
    clevercsv = pytest.importorskip("clevercsv", reason="an oracle for this test alone: pip install clevercsv")
    delimiter = "," if suffix == ".csv" else "\t"
    rows = [["first", "second", "label"], *ROWS]
    out = io.StringIO()
    if form == "plain":
        rows = [[cell.replace('"', "").replace(",", "") for cell in row] for row in rows]
        out.write("".join(delimiter.join(row) + "\n" for row in rows))
    else:
        quoting = csv.QUOTE_ALL if form == "all" else csv.QUOTE_MINIMAL
        csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator="\n").writerows(rows)
    text = out.getvalue()
    found = clevercsv.Sniffer().sniff(text, delimiters=[",", "\t"])
    theirs = [*clevercsv.reader(io.StringIO(text), found)]
    table = open_table(in_memory(f"f{suffix}", text))
    assert [list(table.header), *(list(cells) for _, cells in table.rows)] == theirs == rows
    assert found.quotechar == DIALECTS[table.quoting or ""]
