"""Activation checkpointing gives the same gradients, through the task's path and through received attention."""

import pytest
import torch

from agcli.attention import attach


def gradients(model, batch):
    seam = attach(model)
    torch.manual_seed(5)
    outputs = model.train()(**batch, **seam.forward_kwargs("received"))
    received = seam.received(outputs.attentions, batch["attention_mask"].bool(), "received")
    (outputs.logits.sum() + received.square().sum()).backward()
    return torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None])


@pytest.mark.parametrize("family", ["bert", "modernbert", "distilbert"])
def test_checkpointed_gradients_equal_plain_ones(tiny, batch, family):
    """With dropout on: the recomputed forward must draw the same numbers."""
    plain = gradients(tiny(family), batch)
    checkpointed = tiny(family)
    checkpointed.gradient_checkpointing_enable({"use_reentrant": False})
    assert checkpointed.is_gradient_checkpointing
    assert plain.isfinite().all()
    assert torch.equal(gradients(checkpointed, batch), plain)
