"""What an encoder must give to the guides: received attention, by our own attention function or from full maps."""

from agcli.attention.interface import IMPLEMENTATION, Seam, attach, register
from agcli.attention.received import Capture, received_attention, reference_attention

__all__ = [
    "IMPLEMENTATION",
    "Capture",
    "Seam",
    "attach",
    "received_attention",
    "reference_attention",
    "register",
]
