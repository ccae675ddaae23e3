"""What an encoder must give to the guides: received attention, by our own attention function or from full maps."""

from agcli.attention.interface import Seam, attach, register
from agcli.attention.reference import Capture, received_attention, reference_attention
from agcli.attention.selection import IMPLEMENTATIONS, Implementation, guided_attention, why_maps_are_kept

__all__ = [
    "IMPLEMENTATIONS",
    "Capture",
    "Implementation",
    "Seam",
    "attach",
    "guided_attention",
    "received_attention",
    "reference_attention",
    "register",
    "why_maps_are_kept",
]
