"""Attention guiding for pre-trained encoders. Importing this package is cheap: names load when they are used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from agcli.guides.mdg import MDG as MDG
    from agcli.guides.pdg import PDG as PDG
    from agcli.training.trainer_mixin import GuidedTrainerMixin as GuidedTrainerMixin

_HOMES = {"MDG": "agcli.guides.mdg", "PDG": "agcli.guides.pdg", "GuidedTrainerMixin": "agcli.training.trainer_mixin"}

__all__ = ["MDG", "PDG", "GuidedTrainerMixin", "__version__"]


def __getattr__(name: str) -> object:
    """Load a public name on first use, so that `import agcli` pulls in no torch (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'agcli' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
