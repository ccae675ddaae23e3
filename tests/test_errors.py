"""What of the data an error shows, and what it never shows."""

from __future__ import annotations

from agcli.errors import DataError, counted, did_you_mean, shortened_list

LONG = "a sentence that was taken for a name " * 100


def test_every_quoted_cell_is_cut() -> None:
    error = DataError(
        "no such column",
        file="t.tsv",
        row=1,
        column=LONG,
        value=LONG,
        allowed=[LONG] * 50,
        detail=did_you_mean("a sentence", [LONG[:36], LONG]),
    )
    assert len(str(error)) < 1000
    assert "(47 more)" in str(error)


def test_lists_are_cut_by_number_and_length_and_stay_on_one_line() -> None:
    assert shortened_list(range(3)) == "0, 1, 2"
    assert shortened_list(range(1000)).endswith("more)")
    assert len(shortened_list(["x" * 5000])) == 120
    assert "\r" not in shortened_list(["one\rtwo"])


def test_one_is_singular() -> None:
    assert [counted(n, "step") for n in (0, 1, 2000)] == ["0 steps", "1 step", "2,000 steps"]
    assert [counted(n, "query", "queries") for n in (1, 2)] == ["1 query", "2 queries"]


def test_without_cells_keeps_the_place_and_what_to_do() -> None:
    error = DataError(
        "no such column", file="t", row=3, column="q", value="S1", allowed=["S2"], hint="do", detail=" S3?"
    ).without_cells()
    assert str(error) == "t, row 3: no such column."
    assert (error.hint, error.row, error.value) == ("do", 3, None)


def test_did_you_mean_looks_past_case_and_takes_no_time_over_whole_files() -> None:
    assert did_you_mean("NEUTRAL", ["entailment", "neutral"]) == " Did you mean 'neutral'?"
    assert did_you_mean("x" * 10**6, ["x" * 10**6, "y"]) == ""
