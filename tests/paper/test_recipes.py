"""The paper's tables as sweeps: the paper's settings at full scale, what is at hand at small scale, what is said."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from agcli.config import make_config
from agcli.errors import UsageError
from agcli.models.zoo import ZOO
from agcli.paper.given_beside import given_beside
from agcli.paper.published import shipped
from agcli.paper.recipes import RECIPES, SCALES, Recipe, recipe

SEVEN = {"bert", "albert", "roberta", "biobert", "clinicalbert", "bluebert", "scibert"}
THREE = {"multinli", "mednli", "cross-genre-ir"}
AT_HAND = {"mnli_20k": 18_000, "sample": 300}
TRAINED = tuple(name for name in RECIPES if name != "table4")


def both_scales(name: str) -> list[Recipe]:
    return [recipe(name), recipe(name, "small", AT_HAND)]


def test_full_scale_is_what_the_paper_ran() -> None:
    one, two, three = (recipe(f"table{number}") for number in (1, 2, 3))
    assert (set(one.models), set(one.datasets), len(one.pairs)) == (SEVEN, THREE, 21)
    assert one.variants == ("none", "both")
    assert (two.models, set(two.datasets)) == (("bert",), THREE)
    assert set(three.pairs) == {("roberta", "multinli"), ("bluebert", "mednli"), ("biobert", "cross-genre-ir")}
    assert set(three.variants) == {"none", "mdg", "pdg", "both"}
    layers, sizes = recipe("figure3"), recipe("figure6")
    assert layers.pairs == sizes.pairs == (("bert", "mednli"),)
    assert layers.each_layer
    assert [part.sizes for part in sizes.parts] == [(0.2, 0.4, 0.6, 0.8, 1.0)]
    assert {name for name in RECIPES if recipe(name).each_layer} == {"figure3"}


@pytest.mark.parametrize("name", TRAINED)
def test_full_scale_has_the_settings_of_section_3_3(name: str) -> None:
    settings = shipped()["hyperparameters"]
    for part in recipe(name).parts:
        for model in part.models:
            for dataset in part.datasets:
                config = make_config({"model": model, "dataset": dataset, **part.options})
                training = config.training
                assert training.optimizer == settings["optimizer"].lower()
                assert training.learning_rate == part.options["learning_rate"] == settings["learning_rate"]
                assert training.batch_size == (settings["batch_size_albert"] if model == "albert" else 64)
                assert training.epochs == settings["epochs"][dataset]
                assert config.data.max_length == settings["max_length"]
                assert config.guides.temperature == settings["temperature"]


@pytest.mark.parametrize("name", ["table1", "table2", "table3", "figure6"])
def test_the_papers_grid_is_searched_and_its_silence_said(name: str) -> None:
    found = recipe(name)
    assert found.searches
    assert set(found.weights["mdg"]) == set(found.weights["pdg"]) == {0.1, 0.01, 0.001, 0.0001}
    assert any("names neither the weights" in note for note in found.notes)


def test_layers_are_looked_at_with_fixed_weights() -> None:
    """A sweep refuses layers beside several weights, and the paper does not say which weights its figure has."""
    found = recipe("figure3")
    assert (found.weights, found.searches) == ({"mdg": (0.01,), "pdg": (0.001,)}, False)
    assert any("the paper does not say" in note for note in found.notes)


@pytest.mark.parametrize("name", TRAINED)
def test_small_scale_is_minilm_on_what_is_at_hand(name: str) -> None:
    found = recipe(name, "small", AT_HAND)
    assert (found.models, found.datasets) == (("minilm",), tuple(AT_HAND))
    assert found.searches == (name == "table2")
    assert any(note.startswith("Small scale") and "Neither encoder" in note for note in found.notes)
    for part in found.parts:
        (dataset,) = part.datasets
        examples = part.sizes or (part.options["train_limit"],)
        assert max(examples) == min(2000, AT_HAND[dataset])  # a run refuses more than there are
        config = make_config({"model": "minilm", "dataset": dataset, **part.options})
        assert config.training.epochs * max(examples) / config.training.batch_size <= 130


def test_small_shares_are_numbers_of_examples() -> None:
    """A share and a limit exclude each other, and 20 % of a large data set are not few steps."""
    parts = {part.datasets[0]: part for part in recipe("figure6", "small", {**AT_HAND, "tiny": 3}).parts}
    assert parts["mnli_20k"].sizes == (400, 800, 1200, 1600, 2000)
    assert parts["sample"].sizes == (60, 120, 180, 240, 300)
    assert parts["tiny"].sizes == (1, 2, 3)
    assert all("train_limit" not in part.options for part in parts.values())


def test_table_4_is_a_timing_at_the_papers_shapes() -> None:
    found = recipe("table4")
    assert found.timed
    assert [name for name in RECIPES if recipe(name).timed] == ["table4"]
    assert set(found.models) == SEVEN
    batches = {model: part.options["batch_size"] for part in found.parts for model in part.models}
    assert batches == {model: 56 if model == "albert" else 64 for model in SEVEN}
    assert all((part.options["lengths"], part.options["padding"]) == ((256,), "max") for part in found.parts)
    assert "cross-genre-ir" not in found.datasets
    assert any("Cross-genre-IR is not timed" in note for note in found.notes)
    assert recipe("table4", "small", AT_HAND).models == ("minilm",)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_ten_seeds_of_known_encoders_with_notes(name: str) -> None:
    for found in both_scales(name):
        assert found.seeds == 10
        assert set(found.models) <= set(ZOO)
        assert found.notes
        assert "none" in found.variants
        assert pickle.loads(pickle.dumps(found)) == found  # what workers are sent must travel


def test_a_reader_cannot_spoil_a_recipe() -> None:
    recipe("table1").parts[0].options["epochs"] = 1  # type: ignore[index]
    assert "epochs" not in recipe("table1").parts[0].options


def test_narrowed_keeps_pairs_of_both() -> None:
    found = recipe("table1").narrowed(models=["bert", "albert"], datasets=["mednli"])
    assert found.pairs == (("bert", "mednli"), ("albert", "mednli"))
    assert recipe("table3").narrowed(datasets=["mednli"]).pairs == (("bluebert", "mednli"),)
    assert recipe("table3").narrowed() == recipe("table3")


@pytest.mark.parametrize("asked", ["dmis-lab/biobert-v1.1", "/models/biobert-v1.1", "biobert"])
def test_narrowed_to_a_hub_id_or_a_folder_runs_that(asked: str) -> None:
    assert recipe("table3").narrowed([asked]).pairs == ((asked, "cross-genre-ir"),)
    assert recipe("table1").narrowed([asked, "bert"], ["mednli"]).models == ("bert", asked)


def test_narrowed_to_albert_by_its_id_keeps_its_batches() -> None:
    (part,) = recipe("table1").narrowed(["albert/albert-base-v2"]).parts
    assert part.options["batch_size"] == 56


@pytest.mark.parametrize("name", TRAINED)
def test_a_note_on_settings_holds_whatever_option_is_given(name: str) -> None:
    for found in both_scales(name):
        (settings,) = (note for note in found.notes if "epochs" in note and "batches of" in note)
        assert "where no option was given" in settings


@pytest.mark.parametrize("scale", SCALES)
def test_options_given_beside_a_recipe_are_said(scale: str) -> None:
    asked = recipe("table1", scale, AT_HAND)
    given = {"epochs": 1, "batch_size": 8, "offline": True}
    plain: list[dict[str, Any]] = [
        {"models": part.models, **asked.weights, "options": dict(part.options)} for part in asked.parts
    ]
    assert list(given_beside("table1", scale, plain)) == []
    changed = [{**grid, "mdg": [0.5], "options": {**grid["options"], **given}} for grid in plain]
    (line,) = given_beside("table1", scale, changed)
    assert line.startswith("Given beside the recipe: ")
    assert "--epochs 1" in line
    assert "--batch-size 8" in line
    assert "offline" not in line, "which changes no number"
    assert "--mdg 0.5" in line
    assert "pdg" not in line, "which is the recipe's own"
    assert "train" not in line, "which the recipe sets"


@pytest.mark.parametrize(
    ("models", "datasets", "said"),
    [
        (["brt"], [], "Did you mean 'bert'"),
        ([], ["snli"], "multinli, mednli, cross-genre-ir"),
        (["bluebert"], ["multinli"], "bluebert on mednli"),
    ],
)
def test_narrowed_to_nothing_is_an_error(models: list[str], datasets: list[str], said: str) -> None:
    name = "table3" if models == ["bluebert"] else "table1"
    with pytest.raises(UsageError, match=said):
        recipe(name).narrowed(models, datasets)


def test_unknown_names_are_errors_that_help() -> None:
    with pytest.raises(UsageError, match="Did you mean 'table1'"):
        recipe("tabel1")
    with pytest.raises(UsageError, match=", ".join(SCALES)):
        recipe("table1", "tiny")
    with pytest.raises(UsageError, match="none is named"):
        recipe("table1", "small")
