"""SIGINT and SIGTERM as a flag that a run reads at safe places, instead of an exception anywhere."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Whether the process is to stop. A further SIGINT, a second Ctrl-C, raises KeyboardInterrupt at once.

    A further SIGTERM does not: `timeout` and batch systems send it to a process and to its group, so that one request
    arrives several times.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def _receive(self, number: int, _: FrameType | None) -> None:
        if self.signal is None:
            self.signal = signal.Signals(number)
        elif number == signal.SIGINT:
            raise KeyboardInterrupt(f"ended by SIGINT after {self.signal.name}")


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Handle SIGINT and SIGTERM while the block runs; outside the main thread neither is handled."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # a job started with nohup goes on ignoring it
            signal.signal(number, request._receive)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
