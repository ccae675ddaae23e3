"""The standard streams: what they cannot show or take is no reason to end a run."""

from __future__ import annotations

import errno
import io
import os
import sys


class Output(io.TextIOWrapper):
    """A stream that replaces characters its encoding lacks and, once it cannot be written, writes nowhere.

    Attributes:
        failure: the error that ended it.
    """

    failure: OSError | None = None

    def write(self, text: str) -> int:
        """Write, or note the failure."""
        try:
            return super().write(text)
        except OSError as error:
            self._end(error)
            return len(text)

    def flush(self) -> None:
        """Flush, or note the failure."""
        try:
            super().flush()
        except OSError as error:
            self._end(error)

    def _end(self, error: OSError) -> None:
        """What is still held goes nowhere, lest the interpreter fail on it once more as it ends."""
        self.failure = error
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)


def guard_streams() -> None:
    """Put an `Output` in place of stdout and stderr, where they are open."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            output = Output(
                stream.buffer, stream.encoding, "replace", None, stream.line_buffering, stream.write_through
            )
            setattr(sys, name, output)


def lost_output() -> OSError | None:
    """What kept stdout from being written. A reader that has had enough, as `head` has, loses nothing."""
    if not isinstance(sys.stdout, Output):
        return None
    sys.stdout.flush()
    failure = sys.stdout.failure
    return None if failure is None or failure.errno == errno.EPIPE else failure
