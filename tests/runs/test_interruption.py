"""What signals do to a process that watches for them."""

from __future__ import annotations

import signal

import pytest

from agcli.runs.signals import stop_on_signals


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_however_often_sigterm_arrives_it_is_one_wish_to_stop(first: signal.Signals) -> None:
    with stop_on_signals() as stop:
        assert stop.signal is None
        for number in (first, signal.SIGTERM, signal.SIGTERM):
            signal.raise_signal(number)
        assert stop.signal == first


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_a_further_ctrl_c_ends_the_process_at_once(first: signal.Signals) -> None:
    with stop_on_signals():
        signal.raise_signal(first)
        with pytest.raises(KeyboardInterrupt, match=f"ended by SIGINT after {first.name}"):
            signal.raise_signal(signal.SIGINT)
