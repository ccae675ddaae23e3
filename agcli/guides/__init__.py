"""The guides: one file each, the formula beside its equation."""

from agcli.guides.base import Guide, GuideValues, ReceivedAttention, guide_values, text_forms
from agcli.guides.mdg import MDG
from agcli.guides.pdg import PDG

__all__ = ["MDG", "PDG", "Guide", "GuideValues", "ReceivedAttention", "guide_values", "text_forms"]
