"""`python -m agcli`, and the target of the executables `ag` and `agcli`."""

from __future__ import annotations

import errno
import io
import sys


def main() -> None:
    """Run the command line.

    A character that the encoding of a stream lacks is replaced; a full disk under stdout is a message and exit code 1.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    from agcli.commands.app import app

    try:
        app()
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        sys.stderr.write(f"error: {error.strerror}: the output could not be written in full.\n")
        sys.stderr.flush()
        sys.exit(1)
