"""What a grid comes to: its cells, what is tried, and who wins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from agcli.cli.ablate_grids import parse_axis, parse_sizes
from agcli.cli.ablate_guides import parse_weights
from agcli.errors import UsageError
from agcli.sweep.grid import Cell, Grid, first_cells, report_cells
from agcli.sweep.sweep import choose

Make = Callable[..., Grid]


def test_the_papers_table_3_is_four_variants_a_seed(grid: Make) -> None:
    cells = first_cells(grid(seeds=(1, 2, 3)))
    assert Counter(cell.variant for cell in cells) == {"none": 3, "mdg": 3, "pdg": 3, "both": 3}
    weights = {cell.variant: (cell.options["mdg"], cell.options["pdg"]) for cell in cells}
    assert weights == {"none": (0, 0), "mdg": (0.01, 0), "pdg": (0, 0.001), "both": (0.01, 0.001)}
    assert {cell.role for cell in cells} == {"single"}


def test_layers_one_at_a_time_and_the_unguided_run_once(grid: Make) -> None:
    cells = first_cells(grid(layers=(0, 1), seeds=(1,)))
    assert sorted((cell.variant, cell.options.get("guide_layers")) for cell in cells if cell.variant != "none") == [
        (variant, layer) for variant in ("both", "mdg", "pdg") for layer in ("0", "1")
    ]
    assert sum(cell.variant == "none" for cell in cells) == 1


def test_a_plan_is_what_earlier_versions_wrote(grid: Make) -> None:
    """So that a sweep that was begun with one of them is the same sweep."""
    plan = grid(weights={"mdg": (0.1, 0.01)}, select_seeds=(9,)).plan
    names = ("models", "datasets", "variants", "mdg", "pdg", "layers", "sizes", "seeds", "select_seeds")
    assert plan.keys() == {*names, "axes", "options"}
    assert (plan["mdg"], plan["pdg"]) == ((0.1, 0.01), (0.001,))


def test_axes_and_sizes_multiply(grid: Make) -> None:
    cells = first_cells(grid(sizes=(0.5, 1.0), axes={"dropout": (0.0, 0.1), "batch_size": (4, 8)}, seeds=(1,)))
    assert len(cells) == 2 * 2 * 2 * 4
    assert {cell.options["train_fraction"] for cell in cells} == {0.5, 1.0}


def test_the_unguided_baseline_gets_as_many_trials(grid: Make) -> None:
    searched = grid(weights={"mdg": (0.1, 0.01), "pdg": (0.1, 0.01, 0.001)}, seeds=(1, 2), select_seeds=(3,))
    trials = {variant: len(searched.trials(variant, "tiny")) for variant in searched.variants}
    assert trials == {"none": 6, "mdg": 2, "pdg": 3, "both": 6}
    rates = [trial["learning_rate"] for trial in searched.trials("none", "tiny")]
    assert rates == sorted(rates)
    assert 1e-3 in rates  # the given rate
    assert rates[-1] == pytest.approx(1e-3 * 4, rel=0.01)


def line(cell: Cell, accuracy: float | None) -> dict[str, object]:
    """A line of the results; without a metric, of a cell that failed."""
    ended = {"state": "failed"} if accuracy is None else {"state": "finished", "dev:accuracy": accuracy}
    options = {name: cell.options[name] for name in ("model", "dataset", "mdg", "pdg", "seed")}
    rate = cell.options.get("learning_rate", 1e-3)
    shared = {"size": 24, "guide_mode": "received", "layers": "all", "diverged": 0, "metric": "accuracy"}
    return {**options, **shared, "variant": cell.variant, "role": cell.role, "learning_rate": rate, **ended}


def test_winners_are_chosen_on_dev_and_run_with_other_seeds(grid: Make) -> None:
    searched = grid(variants=("none", "mdg"), weights={"mdg": (0.1, 0.01)}, seeds=(1, 2), select_seeds=(7, 8))
    cells = first_cells(searched)
    assert {cell.options["seed"] for cell in cells} == {7, 8}
    assert {cell.role for cell in cells} == {"select"}
    dev = {("mdg", 0.1): 0.5, ("mdg", 0.01): 0.6}
    rows = [line(cell, dev.get((cell.variant, cell.options["mdg"]), 0.4)) for cell in cells]
    winners = choose(cells, rows)
    reported = report_cells(searched, winners)
    assert [(cell.variant, cell.options["mdg"], cell.options["seed"]) for cell in reported] == [
        ("none", 0.0, 1),
        ("none", 0.0, 2),
        ("mdg", 0.01, 1),
        ("mdg", 0.01, 2),
    ]
    # A tie among learning rates goes to the lowest: the first of the baseline's.
    assert reported[0].options["learning_rate"] == searched.trials("none", "tiny")[0]["learning_rate"]


def test_a_tie_goes_to_the_weaker_guide_and_a_failed_seed_is_out(grid: Make) -> None:
    searched = grid(variants=("none", "mdg"), weights={"mdg": (0.1, 0.01)}, seeds=(1,), select_seeds=(7, 8))
    cells = [cell for cell in first_cells(searched) if cell.variant == "mdg"]
    same = [line(cell, 0.5) for cell in cells]
    assert next(iter(choose(cells, same).values()))["mdg"] == 0.01
    failed = [
        line(cell, None) if cell.options["mdg"] == 0.01 and cell.options["seed"] == 8 else row
        for cell, row in zip(cells, same, strict=True)
    ]
    assert next(iter(choose(cells, failed).values()))["mdg"] == 0.1


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"variants": ("none", "bth")}, "Did you mean 'both'"),
        ({"weights": {"mdg": (0.0, 0.1)}}, "weights above 0"),
        ({"sizes": (1.5,)}, "neither a share"),
        ({"axes": {"mdg": (1.0,)}}, "--set mdg: not an option that can be varied"),
        ({"weights": {"mdg": (0.1, 0.01)}}, "some seeds must pick the winner"),
        ({"select_seeds": (9,)}, "nothing to pick"),
        ({"weights": {"mdg": (0.1, 0.01)}, "select_seeds": (1,)}, "share 1"),
        ({"weights": {"mdg": (0.1, 0.01)}, "select_seeds": (9,), "layers": (0,)}, "choose the weights first"),
        ({"weights": {"next": (0.1, float("nan"))}}, "--guide-grid next needs different weights above 0"),
        ({"weights": {"next": ("share:nan",)}}, "--guide-grid next needs different weights above 0"),
        ({"weights": {"next": (float("inf"),)}}, "--guide-grid next needs different weights above 0"),
        ({"weights": {"next": (0.1, "share:-1")}}, "--guide-grid next needs different weights above 0"),
    ],
)
def test_grids_that_cannot_be(grid: Make, fields: dict[str, object], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        grid(**fields)


def test_words_of_the_command_line() -> None:
    assert parse_axis("learning-rate=1e-5,3e-5") == ("learning_rate", (1e-5, 3e-5))
    assert parse_axis("compile=true,false") == ("compile", (True, False))
    assert parse_weights("paper", "--mdg-grid") == (0.1, 0.01, 0.001, 0.0001)
    assert parse_sizes("0.2,1.0") == (0.2, 1.0)
    assert parse_sizes("500,2000") == (500, 2000)
    for text in ("dropot=0.1", "dropout", "dropout=x"):
        with pytest.raises(UsageError):
            parse_axis(text)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"variants": ("none", "both", "both")}, "--variants.*twice"),
        ({"sizes": (0.5, 0.5)}, "--sizes.*twice"),
        ({"sizes": (float("nan"),)}, "neither a share"),
        ({"axes": {"dropout": (0.1, 0.1)}}, "--set dropout.*twice"),
        ({"axes": {"data_seed": (1, 2)}}, "not an option that can be varied"),
        ({"datasets": ("pairs", "other/pairs")}, "the same"),
    ],
)
def test_what_could_not_be_told_apart_afterwards_is_refused_before(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Grid(**{"models": ("minilm",), "datasets": ("pairs",), **changed})
