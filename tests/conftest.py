"""What the tests of whole runs start from: a small prepared data set, a tiny random encoder, and `ag` itself."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from matplotlib.figure import Figure
from tiny_runs import short_options, write_dataset, write_encoder
from typer.testing import CliRunner, Result

from agcli.config import RunConfig, make_config
from agcli.figures import style


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Tiny tensors gain nothing from threads, and the order of float sums stays one and the same."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _interruptible() -> None:
    """What a shell starts in the background ignores SIGINT, and so would the runs that tests interrupt."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _still_one_thread() -> Iterator[None]:
    """A fork of a process whose threads have been at work hangs, far from what set them to work."""
    yield
    found = torch.get_num_threads()
    torch.set_num_threads(1)
    assert found == 1, "the test, or what it calls, left another number of threads behind"


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """44 pairs to train on, 18 for dev, 12 for test."""
    return write_dataset(tmp_path_factory.mktemp("data") / "pairs")


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved random BERT: 2 layers of 4 heads, dropout 0.1, at most 64 tokens."""
    return write_encoder(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def options(dataset: Path, encoder: Path) -> dict[str, Any]:
    """The options of a short run: 6 steps an epoch, 2 epochs, both guides."""
    return short_options(dataset, encoder)


@pytest.fixture
def config(options: dict[str, Any]) -> Callable[..., RunConfig]:
    """The checked settings of that run, with changes."""
    return lambda **changes: make_config({**options, **changes})


@pytest.fixture
def ag() -> Callable[..., Result]:
    """`ag` in this process, on a wide terminal; checks the exit code."""

    def invoke(*words: object, code: int = 0) -> Result:
        from agcli.cli.app import app

        result = CliRunner(env={"COLUMNS": "240"}).invoke(app, [str(word) for word in words])
        assert result.exit_code == code, f"{result.output}\n{result.exception!r}"
        return result

    return invoke


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures as they would be written; writing, which takes most of the time, is left out."""
    figures: list[Figure] = []

    def kept(figure: Figure, folder: Path, stem: str) -> list[Path]:
        figures.append(figure)
        return [folder / f"{stem}.{kind}" for kind in style.METADATA]

    monkeypatch.setattr(style, "save", kept)
    return figures


@pytest.fixture
def only_svg(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are saved as SVG alone, for tests that read its text."""
    monkeypatch.setattr(style, "METADATA", {"svg": style.METADATA["svg"]})
