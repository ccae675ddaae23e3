"""Clusters of Ray that are gone, too small or out of reach are errors, not a wait without end."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tiny_runs import as_flags

from agcli.errors import RunError, UsageError
from agcli.sweep import on_ray
from agcli.sweep.on_ray import join

MACHINES = (
    {"Alive": True, "Resources": {"CPU": 8.0}},
    {"Alive": True, "Resources": {"CPU": 2.0, "GPU": 1.0}},
    {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 4.0}},
)


@pytest.fixture
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster of two machines, and one that has left it."""
    monkeypatch.setattr(on_ray, "_ray", lambda: SimpleNamespace(is_initialized=lambda: True, nodes=lambda: MACHINES))


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.mark.parametrize(("threads", "gpus"), [(8, 0.0), (2, 1.0), (1, 0.5)])
def test_a_cell_that_one_machine_can_hold(no_ray: None, threads: int, gpus: float) -> None:
    join(None, threads, gpus)


@pytest.mark.parametrize(("threads", "gpus"), [(9, 0.0), (3, 1.0), (1, 2.0)])
def test_a_cell_that_none_can_hold(no_ray: None, threads: int, gpus: float) -> None:
    with pytest.raises(
        UsageError, match=rf"takes --threads {threads} and --gpus {gpus:g} .* cluster's 2 .* 8 cores, .* 1\."
    ):
        join(None, threads, gpus)


def test_too_large_a_cell_leaves_no_sweep_behind(
    no_ray: None, options: dict[str, Any], ag: Callable[..., Any], tmp_path: Path
) -> None:
    sweep = ["--engine", "ray", "--variants", "none", "--seeds", 1, "--output", tmp_path / "sweep"]
    ag("ablate", *as_flags(options), *sweep, "--threads", 64, code=2)
    assert not (tmp_path / "sweep").exists()


def test_an_address_where_nobody_listens(closed_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    with pytest.raises(RunError, match=f"--address 127.0.0.1:{closed_port}: no Ray cluster there .*refused"):
        join(f"127.0.0.1:{closed_port}", 1, 0)
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{closed_port}")
    with pytest.raises(RunError, match=f"RAY_ADDRESS=127.0.0.1:{closed_port}: no Ray cluster there"):
        join(None, 1, 0)


def test_an_address_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    limits: list[float] = []

    def silent(_: object, limit: float) -> None:
        limits.append(limit)
        raise TimeoutError("timed out")

    monkeypatch.setattr(socket, "create_connection", silent)
    with pytest.raises(RunError, match=r"no Ray cluster there \(timed out\)"):
        join("10.255.255.1:6379", 1, 0)
    assert limits == [on_ray.CONNECT_SECONDS]


def test_a_client_s_address_without_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.setattr(on_ray, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match="without its client") as caught:
        join("ray://127.0.0.1:10001", 1, 0)
    assert caught.value.hint == 'pip install "ray[client]"'
