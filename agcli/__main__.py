"""`python -m agcli`, and the target of the executables `ag` and `agcli`."""

from __future__ import annotations


def main() -> None:
    """Run the command line. A character that the streams' encoding lacks is replaced, never an error."""
    from agcli.cli.output import guard_streams

    guard_streams()
    from agcli.cli.app import app

    app()


if __name__ == "__main__":
    main()
