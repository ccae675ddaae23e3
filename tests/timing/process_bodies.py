"""Bodies of test processes. Nothing heavy is imported: each of them imports this file anew."""

from __future__ import annotations

import os
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path

from agcli.runs.signals import stop_on_signals


def echo(pipe: Connection, threads: int, greeting: str) -> None:
    """Body of a process: greet with the thread count, then repeat what comes."""
    pipe.send((greeting, threads))
    while True:
        pipe.send(pipe.recv())


def fall(pipe: Connection, threads: int) -> None:
    """Body of a process that is killed, as the system does it where memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


def hang(pipe: Connection, threads: int) -> None:
    """Body of a process that says that it is there, and then neither answers nor listens."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    pipe.send("here")
    time.sleep(600)


def save_slowly(pipe: Connection, threads: int, state: Path) -> None:
    """Body of a process that is asked to stop, and takes its time to save its state."""
    with stop_on_signals() as stop:
        pipe.send("here")
        while stop.signal is None:
            time.sleep(0.01)
        for _ in range(50):
            time.sleep(0.01)
        state.write_text(f"saved after {stop.signal.name}")
