"""The guides: one file each, the formula beside its equation; `registry` lists them without importing torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agcli.guides.base import Guide, GuideValues, ReceivedAttention, guide_values, text_forms
    from agcli.guides.mdg import MDG
    from agcli.guides.pdg import PDG

__all__ = ["MDG", "PDG", "Guide", "GuideValues", "ReceivedAttention", "guide_values", "text_forms"]


def __getattr__(name: str) -> object:
    """Load a name on first use, so that the registry can be read without torch (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = f"agcli.guides.{name.lower()}" if name.isupper() else "agcli.guides.base"
    return getattr(import_module(module), name)
