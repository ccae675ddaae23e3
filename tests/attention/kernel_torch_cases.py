"""The Triton kernels in torch: checkpointed, compiled and in an encoder; what they keep and what they wait for."""

from __future__ import annotations

import pytest
import torch
from captures import RECEIVED
from kernel_runs import CAPTURES, DEVICE, SCALING, kernels, normal, on_a_gpu, ragged, targets_of, tensors
from torch.utils.checkpoint import checkpoint

from agcli.attention import Capture, Request, attach
from agcli.attention.triton.attention import triton_attention, why_not_triton
from agcli.attention.triton.operators import attend_operator
from agcli.attention.triton.plan import plan_rows


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


ROWS = Capture(
    (
        Request("received", (0,)),
        Request("mass:next", (1,), (0, 2)),
        Request("mass:near", "all", (1,)),
        Request("squared_norm", (0,), (3,)),
    )
)


@pytest.mark.parametrize(
    ("capture", "how"),
    [(RECEIVED, "plain"), (RECEIVED, "checkpointed"), (ROWS, "checkpointed"), (ROWS, "compiled")],
    ids=["received, plain", "received, checkpointed", "rows, checkpointed", "rows, compiled"],
)
def test_an_encoder_learns_the_same(tiny, batch, how, capture):
    batch = {name: tensor.to(DEVICE) for name, tensor in batch.items()}
    mask = batch["attention_mask"].bool()
    targets = targets_of(mask, mask.shape[1])
    gradients = []
    for implementation in ("reference", "triton"):
        model = tiny("bert", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0).to(DEVICE).train()
        attention = attach(model, implementation)
        if how == "checkpointed":
            model.gradient_checkpointing_enable({"use_reentrant": False})
        compiled = how == "compiled" and implementation == "triton"
        call = torch.compile(model, fullgraph=True, backend="aot_eager") if compiled else model
        outputs = call(**batch, **attention.forward_kwargs(capture, targets=targets))
        captured = attention.collect(outputs, mask, capture, targets)
        assert set(captured) == set(capture.quantities)
        loss = outputs.logits.square().sum()
        loss += sum(layer.square().sum() for layers in captured.values() for layer in layers.values())
        weights = dict(model.named_parameters())
        found = torch.autograd.grad(loss, weights.values(), allow_unused=True)
        gradients.append({name: grad for name, grad in zip(weights, found, strict=True) if grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, expected in gradients[0].items():
        assert torch.allclose(
            gradients[1][name], expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item() + 1e-5
        ), name


@pytest.mark.parametrize(("capture", "rate"), [("all", 0.3), ("cells", 0.0)])
def test_compiled_and_checkpointed_a_layer_with_rows_is_the_same(capture, rate):
    inputs, mask, capture = tensors(2, 5, 20, 16), ragged(20, 20, 13), CAPTURES[capture]
    targets = targets_of(mask, 20)

    def loss(query, key, value, mask):
        settings = {"scaling": SCALING, "dropout": rate, "capture": capture, "targets": targets}
        output, captured = triton_attention(query * 2, key, value, mask, **settings)
        return output.square().sum() + sum(tensor.square().sum() for tensor in captured.values())

    grads = []
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    for call in (loss, compiled, lambda *x: checkpoint(loss, *x, use_reentrant=False)):
        torch.manual_seed(2)
        grads.append(torch.autograd.grad(call(*inputs, mask), inputs))
    for others in grads[1:]:
        for a, b in zip(grads[0], others, strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("capture", ["all", "entropies"])
def test_the_operator_of_rows_keeps_torchs_rules(capture):
    inputs, mask = tensors(2, 5, 20, 16), ragged(20, 20, 13)
    plan = plan_rows(CAPTURES[capture], targets_of(mask, 20), inputs[0])
    seed = torch.tensor([7], device=DEVICE)
    arguments = (*inputs, mask, seed, plan.columns, plan.cells, plan.lines, SCALING, 0.2, capture == "all")
    torch.library.opcheck(attend_operator, arguments)


def test_nothing_as_large_as_a_map_is_kept():
    inputs, mask = tensors(1, 5, 96, 8), ragged(96, 96)
    targets = targets_of(mask, 96)
    shared, kept = {targets["near"].weights.data_ptr()}, []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        triton_attention(*inputs, mask, scaling=SCALING, dropout=0.1, capture=CAPTURES["all"], targets=targets)
    assert shared <= {tensor.data_ptr() for tensor in kept}
    assert all(tensor.numel() < 96 * 96 for tensor in kept if tensor.data_ptr() not in shared)


@on_a_gpu
def test_a_layer_with_rows_never_waits_for_the_device():
    """But once for each plan, which is copied to it."""
    inputs, mask = tensors(2, 5, 200, 64, torch.bfloat16), ragged(200, 200, 50)
    targets = targets_of(mask, 200)

    def step():
        output, captured = triton_attention(*inputs, mask, scaling=SCALING, capture=CAPTURES["all"], targets=targets)
        (output.float().sum() + sum(tensor.sum() for tensor in captured.values())).backward()

    step()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
