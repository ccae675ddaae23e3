"""SIGINT and SIGTERM as a question that a run asks at safe places, instead of an exception anywhere."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interruption:
    """Whether somebody asked the process to stop. A further SIGINT, a second Ctrl-C, raises KeyboardInterrupt at once.

    A further SIGTERM does not: `timeout` and batch systems send it to a process and to its group, so that one wish to
    stop arrives several times.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    @property
    def asked(self) -> bool:
        """Whether a signal came."""
        return self.signal is not None

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.signal is None:
            self.signal = signal.Signals(number)
        elif number == signal.SIGINT:
            raise KeyboardInterrupt(f"ended by SIGINT after {self.signal.name}")


@contextmanager
def watched() -> Iterator[Interruption]:
    """Watch for SIGINT and SIGTERM while the block runs; outside the main thread nothing is watched."""
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    # A signal that is ignored, as in a job started with nohup, stays ignored.
    heard = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, interruption._note) for number in heard}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
