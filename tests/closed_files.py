"""Files and folders that this user may not read, also where the tests run as root, whom no mode keeps out."""

from __future__ import annotations

import builtins
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def close(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse to open this file, or whatever lies in this folder, as the system does without the right to."""
    is_folder = path.is_dir()

    def refusing(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(place: Any, *arguments: Any, **options: Any) -> Any:
            if not isinstance(place, int):
                absolute = Path(os.fsdecode(place)).absolute()
                if path in absolute.parents if is_folder else absolute == path:
                    raise PermissionError(13, "Permission denied", str(place))
            return function(place, *arguments, **options)

        return call

    for module, name in ((builtins, "open"), (io, "open"), *([(os, "stat")] if is_folder else [])):
        monkeypatch.setattr(module, name, refusing(getattr(module, name)))
