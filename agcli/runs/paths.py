"""Paths that begin with `~`."""

from __future__ import annotations

from pathlib import Path

from agcli.errors import UsageError


def expanded(path: str | Path) -> Path:
    """The path with a leading `~` or `~name` replaced by that home folder.

    Raises:
        UsageError: there is none, as in a container whose user has neither HOME nor an entry in /etc/passwd.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UsageError(f"{path}: no home folder is known for `~`.", hint="write the path out, or set HOME") from None
