"""Attention guiding for pre-trained encoders. Importing this package is cheap: names load when they are used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from agcli.guides.registry import GUIDES

__version__ = "0.1.0"

if TYPE_CHECKING:
    from agcli.guides.disagreement import Disagreement as Disagreement
    from agcli.guides.entropy import Entropy as Entropy
    from agcli.guides.entropy import EntropyBand as EntropyBand
    from agcli.guides.knowledge import PMI as PMI
    from agcli.guides.knowledge import Dependency as Dependency
    from agcli.guides.knowledge import WordSim as WordSim
    from agcli.guides.match import Match as Match
    from agcli.guides.mdg import MDG as MDG
    from agcli.guides.patterns import Delim as Delim
    from agcli.guides.patterns import First as First
    from agcli.guides.patterns import Next as Next
    from agcli.guides.patterns import Period as Period
    from agcli.guides.patterns import Prev as Prev
    from agcli.guides.patterns import Self as Self
    from agcli.guides.pdg import PDG as PDG
    from agcli.training.trainer_mixin import GuidedTrainerMixin as GuidedTrainerMixin

_TARGETS = [*(entry.target for entry in GUIDES.values()), "agcli.training.trainer_mixin:GuidedTrainerMixin"]
_MODULES = {name: module for module, _, name in (target.partition(":") for target in _TARGETS)}

__all__ = [*_MODULES, "__version__"]


def __getattr__(name: str) -> object:
    """Load a public name on first use, so that `import agcli` pulls in no torch (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module 'agcli' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
