"""The Triton kernels under activation checkpointing, under torch.compile and in an encoder."""

from __future__ import annotations

import pytest
import torch
from captures import RECEIVED, stacked
from kernel_runs import DEVICE, SCALING, kernels, normal, ragged, tensors
from torch.utils.checkpoint import checkpoint

from agcli.attention import attach
from agcli.attention.triton.attention import why_not_triton
from agcli.attention.triton.operators import attend_operator


@pytest.mark.parametrize("looks_at", ["both", "output", "received"])
def test_activation_checkpointing_draws_the_same_dropout(looks_at):
    inputs = tensors(1, 2, 40, 16)

    def layer(query, key, value):
        output, received = kernels(query, key, value, None, scaling=SCALING, dropout=0.3)
        losses = {"output": (output * normal(16)).sum(), "received": received.square().sum()}
        return sum(losses.values()) if looks_at == "both" else losses[looks_at]

    grads = []
    for call in (layer, lambda *x: checkpoint(layer, *x, use_reentrant=False)):
        torch.manual_seed(4)
        grads.append(torch.autograd.grad(call(*inputs), inputs))
    for a, b in zip(*grads, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_compiles_without_a_graph_break(rate):
    inputs, mask = tensors(2, 1, 20, 16), ragged(20, 20, 13)

    def loss(query, key, value, mask):
        assert why_not_triton(query) is None
        output, received = kernels(query * 2, key, value, mask, scaling=SCALING, dropout=rate)
        return output.transpose(1, 2).square().sum() + received.square().sum()

    grads = []
    for call in (loss, torch.compile(loss, fullgraph=True, backend="aot_eager")):
        torch.manual_seed(2)
        grads.append(torch.autograd.grad(call(*inputs, mask), inputs))
    for a, b in zip(*grads, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("capture", [True, False])
def test_the_operator_keeps_torchs_rules(capture):
    seed = torch.tensor([7], device=DEVICE)
    arguments = (*tensors(2, 1, 20, 16), ragged(20, 20, 13), seed, [], [], None, SCALING, 0.2, capture)
    torch.library.opcheck(attend_operator, arguments)


@pytest.mark.parametrize("how", ["plain", "checkpointed", "compiled"])
def test_an_encoder_learns_the_same(tiny, batch, how):
    batch = {name: tensor.to(DEVICE) for name, tensor in batch.items()}
    gradients = []
    for implementation in ("reference", "triton"):
        model = tiny("bert", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0).to(DEVICE).train()
        attention = attach(model, implementation)
        if how == "checkpointed":
            model.gradient_checkpointing_enable({"use_reentrant": False})
        compiled = how == "compiled" and implementation == "triton"
        call = torch.compile(model, fullgraph=True, backend="aot_eager") if compiled else model
        outputs = call(**batch, **attention.forward_kwargs(RECEIVED))
        received = stacked(attention, outputs, batch["attention_mask"])
        loss = outputs.logits.square().sum() + received.square().sum()
        weights = dict(model.named_parameters())
        found = torch.autograd.grad(loss, weights.values(), allow_unused=True)
        gradients.append({name: grad for name, grad in zip(weights, found, strict=True) if grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, expected in gradients[0].items():
        assert torch.allclose(
            gradients[1][name], expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item() + 1e-5
        ), name
