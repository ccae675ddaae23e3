"""The guides: one file each, the formula beside its equation; `registry` lists them without importing torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agcli.guides.value import guide_value as guide_value

__all__ = ["guide_value"]


def __getattr__(name: str) -> object:
    """Load the public function on first use, so that the registry pulls in no torch (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'agcli.guides' has no attribute {name!r}")
    return getattr(import_module("agcli.guides.value"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
