"""JSON read value by value: the same as `json`, whatever the layout, and broken text is refused with its row."""

from __future__ import annotations

import io
import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import ijson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agcli.data.files import json_values
from agcli.data.files.json_values import json_members, json_records
from agcli.data.files.opening import SourceFile
from agcli.errors import DataError


def source(text: str, encoding: str = "utf-8") -> SourceFile:
    return SourceFile("x.json", lambda: io.BytesIO(text.encode(encoding)))


INTEGERS = st.integers(1 - 2**63, 2**63 - 1)
TEXT = st.text(st.characters(codec="utf-8"))


def values(scalars: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.recursive(
        st.none() | st.booleans() | scalars | TEXT,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
        max_leaves=6,
    )


def objects(scalars: st.SearchStrategy[object]) -> st.SearchStrategy[dict[str, object]]:
    return st.dictionaries(TEXT, values(scalars), max_size=5)


INDENTS = st.sampled_from([None, 0, 2])


@given(objects(INTEGERS | st.floats(allow_nan=False, allow_infinity=False)), INDENTS, st.booleans())
@settings(max_examples=200, deadline=None)
def test_members_agree_with_json(value: dict[str, object], indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    if "\0" in text:
        return
    assert {key: found for _, key, found in json_members(source("\n" + text + "\n"))} == value


@given(st.lists(objects(st.integers() | st.floats(allow_nan=False)), min_size=1, max_size=3), INDENTS, st.booleans())
@settings(max_examples=200, deadline=None)
def test_arrays_agree_with_json(rows: list[dict[str, object]], indent: int | None, ascii_only: bool) -> None:
    """Also where `json` writes what is no JSON, such as Infinity, and integers beyond 64 bits."""
    text = json.dumps([{"first": 1}, *rows], indent=indent, ensure_ascii=ascii_only)
    if "\0" in text:
        return
    assert list(json_records(source(text))) == [*enumerate([{"first": 1}, *rows], 1)]


def test_rows_and_repeated_keys() -> None:
    text = '{\n"a": "x",\n"b": [\n"1"\n],\n"a": 2\n}\n'
    assert list(json_members(source(text))) == [(2, "a", "x"), (5, "b", ["1"]), (6, "a", 2)]
    assert list(json_records(source('[{"a": 1, "a": 2}]'))) == [(1, {"a": 2})]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_encodings_with_a_mark(encoding: str) -> None:
    assert list(json_members(source('{"é": "\U0001f600"}', encoding))) == [(1, "é", "\U0001f600")]
    assert list(json_records(source('[{"é": "\U0001f600"}]', encoding))) == [(1, {"é": "\U0001f600"})]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("[1]", "row 1: this file holds one JSON object"),
        ('\n\n"a"', "row 3: this file holds one JSON object"),
        ('{"a": "x"\n"b": 1}', "row 2: not valid JSON"),
        ('{"a": "cut\noff"}', "row 1: not valid JSON"),
        ('{"a": 1,\n"b" 2}', "row 2: not valid JSON"),
        ('{"a": 1,\n', "not closed"),
        ('{"a": 1}\n{"b": 2}', "row 2: not valid JSON"),
        ('{1: 2}', "not valid JSON"),
        ('{"a": "\\q"}', "row 1: not valid JSON"),
        ("", "the file is empty"),
        ('{"a": 1,\n"b": NaN}', "row 2: not valid JSON"),
        ('{"a": 1,\n"b": ' + "1" * 5000 + "}", "row 2: not valid JSON .*overflow"),
        ('{"a": 1,\n"b": "\\ud83d"}', "row 2: not valid JSON .*half of a surrogate pair"),
    ],
)  # fmt: skip
def test_broken_objects_are_refused(text: str, match: str) -> None:
    with pytest.raises(DataError, match=match) as caught:
        list(json_members(source(text)))
    assert "cut" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('[{"a": 1},\n{"b" 2}]', "row 2: not valid JSON"),
        ('[{"a": 1},\n\n{"a": "secret" 2}]', "row 3: not valid JSON"),
        ('[{"a": 1},\n{"b": NaN},\n{"secret" 2}]', "not valid JSON"),
        ('[{"a": 1},\n', "row 1: .*not closed"),
        ('[{"a": 1}]\n[{"a": 2}]', "row 2: not valid JSON .*trailing"),
        ('[{"a": 1},\n' + "[" * 100_000, "row 2: not valid JSON"),
    ],
)  # fmt: skip
def test_broken_arrays_are_refused(text: str, match: str) -> None:
    with pytest.raises(DataError, match=match) as caught:
        list(json_records(source(text)))
    assert "secret" not in str(caught.value)


def test_what_only_json_reads_goes_on_where_the_stream_stopped() -> None:
    rows: list[dict[str, Any]] = [{"n": n, "text": "\U0001f600\\ud800"} for n in range(5)]
    rows[3]["n"] = 2**70
    rows[4]["text"] = "half \ud800"
    assert list(json_records(source(json.dumps(rows, indent=1)))) == [*enumerate(rows, 1)]


ESCAPES = st.lists(
    st.sampled_from(["\\ud83d", "\\uDE00", "\\\\", "\\n", "\\u0041", "u", "d83d", "\\uD83D\\ude00"]), max_size=6
)


@given(ESCAPES)
@example(["\\\\", "ud83d", "\\uDE00"])
def test_halves_of_surrogate_pairs_are_told_from_whole_ones(escapes: list[str]) -> None:
    text = "".join(escapes)
    half = any("\ud800" <= character <= "\udfff" for character in json.loads(f'"{text}"'))
    assert json_values._has_half_pair(text) == half


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of what ijson is handed."""
    sizes: list[int] = []

    def counting(make: Callable[..., Any]) -> Callable[..., Any]:
        def made(*arguments: Any, **options: Any) -> Any:
            parser = make(*arguments, **options)

            class Counting:
                close = parser.close

                def send(self, piece: bytes) -> None:
                    sizes.append(len(piece))
                    parser.send(piece)

            return Counting()

        return made

    monkeypatch.setattr(ijson, "basic_parse_coro", counting(ijson.basic_parse_coro))
    return sizes


def test_long_records_over_many_lines_are_read_once(sent: list[int]) -> None:
    records = [{"text": f"é {n}", "tokens": ["word"] * 500, "spans": {"a": [1], "b": {}}} for n in range(4)]
    text = json.dumps(records, indent=1)
    assert [record for _, record in json_records(source(text))] == records
    assert sum(sent) == len(text.encode())


@pytest.mark.parametrize("character", ["x", "é", "\U0001f600", "\\", '"'])
def test_one_long_line_is_read_in_pieces(sent: list[int], character: str) -> None:
    records = [{"text": character * 20_000, "n": n} for n in range(20)]
    text = json.dumps(records)
    assert [record for _, record in json_records(source(text))] == records
    assert sum(sent) == len(text)
    assert max(sent) < 1 << 18


def test_a_large_file_of_one_line_is_never_held_whole() -> None:
    text = json.dumps({str(n): "word " * 200 for n in range(10_000)}).encode()
    file = SourceFile("x.json", lambda: io.BytesIO(text))
    members = json_members(file)
    next(members)
    tracemalloc.start()
    assert sum(1 for _ in members) == 9_999
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < len(text) / 10
