"""Forwards that capture received attention of every layer."""

import torch

from agcli.attention import Capture, Request, reference_attention
from agcli.attention.cpu import blockwise_attention

RECEIVED = Capture((Request("received"),))
RELEASED = Capture((Request("released"),))
NOTHING = Capture()


def stacked(attention, outputs, mask, capture=RECEIVED):
    """What a forward captured of every layer, shape (batch, layers, heads, length)."""
    [layers] = attention.collect(outputs, mask.bool(), capture).values()
    return torch.stack(list(layers.values()), dim=1)


def reference(query, key, value, mask, **settings):
    """Output and received attention by the reference."""
    output, captured = reference_attention(query, key, value, mask, **settings)
    return output, captured.get("received")


def blockwise(query, key, value, lengths, **settings):
    """Output and received attention by the CPU path."""
    output, captured = blockwise_attention(query, key, value, lengths, **settings)
    return output, captured.get("received")


def attention_maps(query, key, mask, **settings):
    """Clean maps by the reference."""
    return reference_attention(query, key, query, mask, capture={"maps": "all"}, **settings)[1]["maps"]
