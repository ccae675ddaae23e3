"""The zoo of pre-trained encoders: what is known, where it is on this machine, and loading it safely.

Importing this package costs little; torch and transformers come with the first use of a loading function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agcli.models.model_files import Source, locate
from agcli.models.zoo import ZOO, ModelEntry, find_entry

if TYPE_CHECKING:
    from agcli.models.load import LoadedModel, load_config, load_model, load_tokenizer, quiet_transformers, random_model

__all__ = [
    "ZOO",
    "LoadedModel",
    "ModelEntry",
    "Source",
    "find_entry",
    "load_config",
    "load_model",
    "load_tokenizer",
    "locate",
    "quiet_transformers",
    "random_model",
]


def __getattr__(name: str) -> Any:
    """Import the loading functions on first use (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from agcli.models import load as loading

    return getattr(loading, name)
