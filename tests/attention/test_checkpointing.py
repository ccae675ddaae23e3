"""Activation checkpointing gives the same gradients, through the task's path and through received attention."""

import pytest
import torch
from captures import RECEIVED, stacked

from agcli.attention import attach
from agcli.attention import dispatch as selection


def gradients(model, batch, implementation):
    attention = attach(model, implementation)
    torch.manual_seed(5)
    outputs = model.train()(**batch, **attention.forward_kwargs(RECEIVED))
    received = stacked(attention, outputs, batch["attention_mask"])
    (outputs.logits.sum() + received.square().sum()).backward()
    return torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None])


@pytest.mark.parametrize(
    ("family", "implementation"),
    [(family, one) for family in ("bert", "distilbert") for one in ("reference", "cpu")] + [("modernbert", "auto")],
)
def test_checkpointed_gradients_equal_plain_ones(monkeypatch, tiny, batch, family, implementation):
    """With dropout on: the recomputed forward must draw the same numbers. ModernBERT's layers take turns."""
    monkeypatch.setattr(selection, "SHORT", 0)
    changes = {"attention_dropout": 0.1} if family == "modernbert" else {}
    plain = gradients(tiny(family, **changes), batch, implementation)
    checkpointed = tiny(family, **changes)
    checkpointed.gradient_checkpointing_enable({"use_reentrant": False})
    assert checkpointed.is_gradient_checkpointing
    assert plain.isfinite().all()
    assert torch.equal(gradients(checkpointed, batch, implementation), plain)
