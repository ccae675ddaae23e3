"""Guides as they are given, several of them, and the run options that say the same."""

from __future__ import annotations

import pytest

from agcli.guides.spec import guide_values, parse_guides


def values(*texts: str) -> dict[str, object]:
    specs, problems = parse_guides(texts)
    assert problems == ()
    return guide_values(specs)


def test_one_text_or_several_in_their_order() -> None:
    for value in ("first=0.05", ["first=0.05"], ("first=0.05",)):
        assert [str(spec) for spec in parse_guides(value)[0]] == ["first=0.05"]
    specs, _ = parse_guides(["period=1,form=squared,heads=0+1", "first=0.050"])
    assert [str(spec) for spec in specs] == ["period=1,form=squared,heads=0-1", "first=0.05"]
    assert parse_guides([]) == ((), ())


def test_all_problems_together() -> None:
    _, problems = parse_guides(["nxt=1", "first=1", "prev=1,hads=2", "first=2,form=squared", "self"])
    starts = [
        "there is no guide 'nxt'",
        "prev has no option 'hads'",
        "first is given twice, as first=1 and first=2,form=squared",
        "'self' has no weight",
    ]
    assert len(problems) == len(starts)
    assert all(problem.startswith(start) for problem, start in zip(problems, starts, strict=True))
    assert problems[0].endswith("Did you mean 'next'?")


@pytest.mark.parametrize("value", [3, 0.5, True, {"next": 0.05}, ["next=0.05", 1]])
def test_what_is_no_text(value: object) -> None:
    specs, (problem,) = parse_guides(value)
    assert specs == ()
    assert problem.endswith('is neither a guide such as "next=0.05" nor a list of such texts.')


def test_weights_of_guides_with_a_flag_are_options_of_their_own() -> None:
    assert values("mdg=0.01") == {"mdg": 0.01, "guide": None}
    assert values("next=0.05", "pdg=0") == {"pdg": 0.0, "guide": ("next=0.05",)}
    assert values("pdg=0,layers=1", "next=0,form=squared", "first=share:0") == {"pdg": 0.0, "guide": None}
    assert values("mdg=0.01,schedule=linear:0.50") == {"mdg": 0.01, "guide": ("mdg=0.01,schedule=linear:0.5",)}
    assert values("mdg=share:0.05") == {"mdg": 0.05, "guide": ("mdg=share:0.05",)}


def test_a_weight_that_stays_in_a_text_is_as_exact_as_the_text() -> None:
    found = values("mdg=0.12345678901234,layers=0")
    assert found == {"mdg": 0.123456789, "guide": ("mdg=0.123456789,layers=0",)}
    assert values("mdg=0.12345678901234")["mdg"] == 0.12345678901234
