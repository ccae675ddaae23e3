"""The processes that arms run in."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest
import torch
from process_bodies import echo, fall, hang

from agcli import processes
from agcli.errors import InterruptedRunError
from agcli.interruption import Interruption
from agcli.processes import Child, Failure
from agcli.timing import TimingRequest

Make = Callable[..., TimingRequest]


def test_processes_answer_fall_and_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """One test for three processes that start together, as each takes its time."""
    monkeypatch.setattr(processes, "_FAREWELL_SECONDS", 0.3)
    stop = Interruption()
    echoing, falling, hanging = Child(echo, "hello", stop=stop), Child(fall, stop=stop), Child(hang, stop=stop)
    try:
        assert echoing.answer() == ("hello", torch.get_num_threads())
        assert echoing.ask("again") == "again"
        fallen = falling.answer()
        assert isinstance(fallen, Failure)
        assert "SIGKILL" in fallen.reason
        assert "memory" in fallen.reason
        assert isinstance(falling.ask("again"), Failure), "asking the dead is no error"
        assert hanging.answer() == "here"
        stop.signal = signal.SIGINT
        with pytest.raises(InterruptedRunError, match="SIGINT") as raised:
            hanging.ask("again")
        assert raised.value.exit_code == 130
    finally:
        for child in (echoing, falling, hanging):
            child.close()
    assert not any(child.process.is_alive() for child in (echoing, falling, hanging))
