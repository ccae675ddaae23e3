"""The processes that methods run in."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from process_bodies import echo, fall, hang, save_slowly

from agcli.errors import InterruptedRunError
from agcli.runs import processes
from agcli.runs.processes import Child, Failure
from agcli.runs.signals import StopRequest
from agcli.timing.request import TimingRequest

Make = Callable[..., TimingRequest]


def test_processes_answer_fall_and_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """One test for three processes that start together, as each takes its time."""
    for name in ("_END_SECONDS", "_SAVING_SECONDS"):
        monkeypatch.setattr(processes, name, 0.3)
    stop = StopRequest()
    echoing, falling, hanging = Child(echo, "hello", stop=stop), Child(fall, stop=stop), Child(hang, stop=stop)
    try:
        assert echoing.receive() == ("hello", torch.get_num_threads())
        assert echoing.request("again") == "again"
        fallen = falling.receive()
        assert isinstance(fallen, Failure)
        assert "SIGKILL" in fallen.reason
        assert "memory" in fallen.reason
        assert isinstance(falling.request("again"), Failure), "asking the dead is no error"
        assert hanging.receive() == "here"
        stop.signal = signal.SIGINT
        with pytest.raises(InterruptedRunError, match="SIGINT") as raised:
            hanging.request("again")
        assert raised.value.exit_code == 130
    finally:
        for child in (echoing, falling, hanging):
            child.close()
    assert not any(child.process.is_alive() for child in (echoing, falling, hanging))


def test_one_that_gets_two_signals_to_end_saves_its_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`timeout` sends SIGTERM to all processes of a group, and the parent sends it to its children once more."""
    monkeypatch.setattr(processes, "_END_SECONDS", 0.1)
    stop = StopRequest()
    child = Child(save_slowly, tmp_path / "state", stop=stop)
    assert child.receive() == "here"
    stop.signal = signal.SIGTERM
    os.kill(child.process.pid or 0, signal.SIGTERM)
    child.close()
    assert (tmp_path / "state").read_text() == "saved after SIGTERM"
    assert child.process.exitcode == 0
