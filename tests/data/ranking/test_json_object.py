"""One large JSON object read member by member: the same as `json`, whatever the layout, and broken text is refused."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agcli.data.files import SourceFile
from agcli.data.ranking.json_object import members
from agcli.errors import DataError


def source(text: str) -> SourceFile:
    return SourceFile("x.json", lambda: io.BytesIO(text.encode()))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(
    st.dictionaries(st.text(st.characters(codec="utf-8")), VALUES, max_size=5),
    st.sampled_from([None, 0, 2]),
    st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_agrees_with_json(value: dict[str, object], indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    if "\0" in text:
        return
    assert {key: found for _, key, found in members(source("\n" + text + "\n"))} == value


def test_rows_and_repeated_keys() -> None:
    text = '{\n"a": "x",\n"b": [\n"1"\n],\n"a": 2\n}\n'
    assert list(members(source(text))) == [(2, "a", "x"), (5, "b", ["1"]), (7, "a", 2)]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("[1]", "row 1: this file holds one JSON object"),
        ('{"a": "x"\n"b": 1}', "row 2: not valid JSON"),
        ('{"a": "cut\noff"}', "row 1: not valid JSON"),
        ('{"a": 1,\n"b" 2}', "row 2: not valid JSON"),
        ('{"a": 1,\n', "not closed"),
        ('{"a": 1}\n{"b": 2}', "row 2: not valid JSON"),
        ('{1: 2}', "not valid JSON"),
        ('{"a": "\\q"}', "row 1: not valid JSON"),
        ("", "the file is empty"),
    ],
)  # fmt: skip
def test_broken_text_is_refused(text: str, match: str) -> None:
    with pytest.raises(DataError, match=match):
        list(members(source(text)))
