"""A cell's line of the results, read from what it left."""

from __future__ import annotations

from pathlib import Path

import pytest

from agcli.config import make_config
from agcli.runs.folder import RunFolder
from agcli.sweep.cell import RECORD, Outcome, columns, fingerprint, row
from agcli.sweep.grid import Cell

OPTIONS = {"model": "minilm", "dataset": "news", "seed": 1, "mdg": 0.0, "pdg": 0.0}


def cell(role: str = "single") -> Cell:
    return Cell("none", role, OPTIONS)  # type: ignore[arg-type]


def left(folder: Path, *, degenerate: bool = False) -> RunFolder:
    """A finished cell that ranked: on dev and test, beside the first stage."""
    run = RunFolder(folder)
    folder.mkdir()
    run.write_json(RECORD, {"fingerprint": "ab", "threads": 1, "seconds": 1.0, "degenerate": degenerate})
    run.write_json("metrics.json", {"dev": {"RR": 0.4}, "baseline": {"dev": {"label": "first stage", "RR": 0.7}}})
    stages = {stage: {"all": {"RR": {"value": value}}} for stage, value in (("first_stage", 0.8), ("reranked", 0.3))}
    (folder / "rankings" / "test").mkdir(parents=True)
    RunFolder(folder / "rankings" / "test").write_json("metrics.json", stages)
    return run


@pytest.mark.parametrize(
    ("weights", "expected"), [({}, "92fd216049ccf677"), ({"mdg": 0.0, "pdg": 0.0}, "f54ebaa8119a7575")]
)
def test_a_new_option_leaves_the_cells_of_older_sweeps_alone(
    monkeypatch: pytest.MonkeyPatch, weights: dict[str, float], expected: str
) -> None:
    """The expected values are those of the version before `max_steps`."""
    monkeypatch.setattr("agcli.sweep.cell.data_digest", lambda _: "data")
    monkeypatch.setattr("agcli.sweep.cell.model_digest", lambda *_: "model")
    assert fingerprint(make_config(weights)) == expected
    assert fingerprint(make_config(weights | {"max_steps": 5})) != expected


def test_a_ranking_is_set_beside_its_first_stage_on_both_splits(tmp_path: Path) -> None:
    found = row(cell(), "ab", left(tmp_path / "cell"), None)
    assert {name: found[name] for name in ("metric", "baseline", "dev:RR", "test:RR")} == {
        **{"metric": "RR", "baseline": "first stage"},
        **{"dev:RR": 0.4, "test:RR": 0.3},
    }
    assert (found["dev:baseline"], found["test:baseline"]) == (0.7, 0.8)
    assert found.keys() <= set(columns((), ("mdg", "pdg")))


def test_a_cell_that_selects_shows_nothing_of_test(tmp_path: Path) -> None:
    found = row(cell("select"), "ab", left(tmp_path / "cell"), None)
    assert found["dev:baseline"] == 0.7
    assert not [name for name in found if name.startswith("test:")]


def test_one_class_everywhere_is_a_collapse_and_numbers_that_end_a_divergence(tmp_path: Path) -> None:
    collapsed = row(cell(), "ab", left(tmp_path / "cell", degenerate=True), None)
    diverged = row(cell(), "ab", RunFolder(tmp_path / "none"), Outcome("ab", "failed", "the loss is nan", 1.0, True))
    flags = [tuple(found[name] for name in ("state", "collapsed", "diverged")) for found in (collapsed, diverged)]
    assert flags == [("finished", 1, 0), ("failed", 0, 1)]
