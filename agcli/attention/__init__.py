"""What an encoder must give to the guides: received attention, by our own attention function or from full maps."""

from agcli.attention.capture import Capture
from agcli.attention.dispatch import IMPLEMENTATIONS, Implementation, guided_attention, why_maps_are_kept
from agcli.attention.encoder_attention import EncoderAttention, attach
from agcli.attention.masks import AttentionMask
from agcli.attention.reference import received_attention, reference_attention

__all__ = [
    "IMPLEMENTATIONS",
    "AttentionMask",
    "Capture",
    "EncoderAttention",
    "Implementation",
    "attach",
    "guided_attention",
    "received_attention",
    "reference_attention",
    "why_maps_are_kept",
]
