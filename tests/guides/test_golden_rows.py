"""Values of guides on rows that were computed once by literal loops over the maps."""

import json
from pathlib import Path

import pytest
import torch

from agcli.guides import guide_value

CASES = json.loads((Path(__file__).parent / "golden_rows.json").read_text())
WITH_FORMS = ("next", "prev", "self", "first", "delim", "period", "match")
SIGNS = {"special_ids": (0, 101, 102), "delim_ids": (102,), "period_ids": (1012,)}


def value(case, name, **options):
    maps = torch.tensor(case["attention"], dtype=torch.float64)
    mask = torch.arange(maps.shape[-1]) < torch.tensor(case["lengths"])[:, None]
    ids, types = torch.tensor(case["input_ids"]), torch.tensor(case["token_type_ids"])
    return guide_value(name, maps, ids, types, mask, **SIGNS, **options)


def assert_golden(found, expected):
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-9)


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
@pytest.mark.parametrize("form", ["nll", "squared"])
@pytest.mark.parametrize("name", WITH_FORMS)
def test_guides_towards_targets(case, name, form):
    expected = case["values"][name]
    assert_golden(value(case, name, form=form, heads=expected["heads"]), expected[form])


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_entropy_is_minimised_with_the_opposite_sign(case):
    assert_golden(-value(case, "entropy"), case["values"]["entropy"])


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_disagreement_of_positions(case):
    assert_golden(value(case, "disagreement"), case["values"]["disagreement_position"])


def test_the_file_covers_every_value_above():
    assert len(CASES) == 4
    assert all({*WITH_FORMS, "entropy", "disagreement_position"} == set(case["values"]) for case in CASES)
    assert all(sum(any(case["values"][name]["nll"]) for case in CASES) >= 2 for name in WITH_FORMS)
