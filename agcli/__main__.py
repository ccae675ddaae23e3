"""`python -m agcli`, and the target of the executables `ag` and `agcli`."""

from __future__ import annotations

import io
import sys


def main() -> None:
    """Run the command line. A character that the streams' encoding lacks is replaced, never an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    from agcli.commands.app import app

    app()


if __name__ == "__main__":
    main()
