"""What an encoder must give to the guides: received attention, by our own attention function or from full maps."""

from agcli.attention.dispatch import IMPLEMENTATIONS, Implementation, guided_attention, why_maps_are_kept
from agcli.attention.encoder_attention import EncoderAttention, attach
from agcli.attention.masks import AttentionMask
from agcli.attention.reference import reference_attention
from agcli.guides.capture import Capture, LayerCapture, Request
from agcli.guides.quantities import received_attention
from agcli.guides.targets import Cells, Columns, Diagonal, Target

__all__ = [
    "IMPLEMENTATIONS",
    "AttentionMask",
    "Capture",
    "Cells",
    "Columns",
    "Diagonal",
    "EncoderAttention",
    "Implementation",
    "LayerCapture",
    "Request",
    "Target",
    "attach",
    "guided_attention",
    "received_attention",
    "reference_attention",
    "why_maps_are_kept",
]
