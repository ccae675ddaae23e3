"""What a cell is known by: every guide is in it, and one that is absent is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agcli.config import make_config
from agcli.guides.registry import GUIDES
from agcli.guides.spec import parse_guide
from agcli.guides.variants import run_options, variant_names
from agcli.sweep import cell
from agcli.sweep.grid import Grid, first_cells

OFF = {"mdg": 0.0, "pdg": 0.0}
KEPT: list[tuple[dict[str, Any], str]] = [
    ({"mdg": 0.0, "pdg": 0.0}, "f54ebaa8119a7575"),
    ({"mdg": 0.01, "pdg": 0.0}, "21a91da4c7eca897"),
    ({"mdg": 0.0, "pdg": 0.001}, "b641cfbeb54b2e2e"),
    ({"mdg": 0.01, "pdg": 0.001}, "92fd216049ccf677"),
    ({"mdg": 0.0, "pdg": 0.001, "guide_mode": "released"}, "21c0d13577e4ad04"),
    ({"mdg": 0.0, "pdg": 0.0, "monitor": "mdg"}, "4a89e12158f00a5a"),
    ({"mdg": 0.0, "pdg": 0.1, "guide_layers": "0", "temperature": 2.0, "seed": 7}, "949cc57826f5837c"),
]
"""Options, and the fingerprint under which earlier sweeps keep such a cell."""


@pytest.fixture(autouse=True)
def _data_and_model_that_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cell, "data_digest", lambda dataset: "data")
    monkeypatch.setattr(cell, "model_digest", lambda model, offline: "model")
    monkeypatch.setattr(cell, "knowledge_digests_of", lambda dataset, names: dict.fromkeys(names, "knowledge"))


def fingerprint(**options: Any) -> str:
    return cell.fingerprint(make_config({"model": "minilm", "dataset": "sample", **options}))


@pytest.mark.parametrize(("options", "expected"), KEPT)
def test_cells_of_earlier_sweeps_are_found_again(options: dict[str, Any], expected: str) -> None:
    assert fingerprint(**options) == expected


@pytest.mark.parametrize("guide", GUIDES)
def test_every_guide_makes_another_cell(guide: str) -> None:
    texts = [f"{guide}={text}" for text in ("0.0", "0.1", "0.2", "share:0.1", "0.1,layers=0", "0.1,schedule=off:0.5")]
    found = [fingerprint(**run_options([parse_guide(text)])) for text in texts]
    monitored = fingerprint(**OFF, monitor=guide)
    assert len({*found, monitored}) == 7
    assert found[0] == fingerprint(**OFF)
    assert fingerprint(**run_options([parse_guide(texts[1])]), guide_layers="0") not in found


def test_every_value_of_every_option_of_a_guide_makes_another_cell() -> None:
    texts = ["next=0.1", "next=0.1,heads=2", "next=0.1,heads=2-2", "next=0.1,share=0.5", "next=0.1,form=squared"]
    texts += ["match=0.1", "match=0.1,match=similar", "match=0.1,match=similar,nearest=5", "pmi=0.1,counts=sentence"]
    found = [fingerprint(**run_options([parse_guide(text)])) for text in texts]
    assert len(set(found)) == len(texts)
    assert fingerprint(**run_options([parse_guide("next=0.1,form=nll,heads=0-1")])) == fingerprint(
        **run_options([parse_guide("next=0.1,heads=1+0")])
    )


def test_every_variant_of_a_grid_has_cells_of_its_own() -> None:
    grid = Grid(
        models=("minilm",), datasets=("sample",), variants=(*variant_names(), "mdg+next", "next+first"), seeds=(1,)
    )
    found = [cell.fingerprint(cell.config_of(each)) for each in first_cells(grid)]
    assert len(set(found)) == len(variant_names()) + 2


def test_how_an_unguided_cell_would_be_guided_does_not_count() -> None:
    assert fingerprint(**OFF, guide_layers="0", reduction="sum") == fingerprint(**OFF)


PROGRAM = """
import json, sys
import entropy_guide
from agcli.config import make_config
from agcli.guides.spec import parse_guide
from agcli.guides.variants import run_options
from agcli.sweep import cell
cell.data_digest = lambda dataset: "data"
cell.model_digest = lambda model, offline: "model"
make = lambda **options: cell.fingerprint(make_config({"model": "minilm", "dataset": "sample", **options}))
of = lambda *texts: make(**run_options([parse_guide(text) for text in texts]))
print(json.dumps({
    "kept": [make(**options) for options in json.loads(sys.argv[1])],
    "alone": [of(f"{name}={weight}") for name in ("mdg", "next", "received_entropy") for weight in (0.1, 0.2)],
    "own option": [of("received_entropy=0.1,power=2")],
    "absent": [of("received_entropy=0,power=2"), of("mdg=0.1", "received_entropy=0,power=2")],
}))
"""


def test_a_third_guide_has_cells_of_its_own_and_leaves_the_others_alone() -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    words = [sys.executable, "-c", PROGRAM, json.dumps([options for options, _ in KEPT])]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=120, env=environment)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["kept"] == [expected for _, expected in KEPT]
    different = [*found["alone"], *found["own option"], found["kept"][0]]
    assert len(set(different)) == len(different) == 8
    assert found["absent"] == [found["kept"][0], fingerprint(mdg=0.1, pdg=0.0)]
