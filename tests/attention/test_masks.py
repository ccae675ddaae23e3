"""Bias and gate of an `AttentionMask` against loops over the equations, and the way of a mask through an encoder."""

import math

import pytest
import torch
from captures import NOTHING, attention_maps

from agcli.attention import AttentionMask, Capture, Request, attach, guided_attention
from agcli.attention import dispatch as selection
from agcli.attention.masks import HIGHEST_EXPONENT
from agcli.errors import ModelError, UsageError

SCALING = 0.4
PADDING = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])


@pytest.fixture
def qkv():
    """Queries, keys and values, each (batch 2, heads 2, length 5, head_dim 3), in float64."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn((2, 2, 5, 3), generator=generator, dtype=torch.float64) for _ in range(3)]


def random(*shape, seed=1):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def hard(*shape, keep=0.4, seed=1):
    return (random(*shape, seed=seed) < keep).double()


def naive(query, key, value, bias, gate, renormalise):
    """Output and received attention, one cell at a time."""
    shape = (*query.shape[:3], query.shape[2])
    bias, gate = (torch.zeros(shape) if bias is None else bias.expand(shape)), gate.expand(shape)
    output, received = torch.zeros_like(value), torch.zeros(query.shape[:3], dtype=query.dtype)
    for b, h, i in torch.cartesian_prod(*map(torch.arange, query.shape[:3])).tolist():
        real = [j for j in range(shape[-1]) if PADDING[b, j]]
        exponential = {
            j: math.exp(SCALING * float(query[b, h, i] @ key[b, h, j]) + float(bias[b, h, i, j])) for j in real
        }
        cells = {j: float(gate[b, h, i, j]) * exponential[j] for j in real}
        if renormalise and not any(cells.values()):
            cells = {i: 1.0}
        total = sum(cells.values()) if renormalise else sum(exponential.values())
        for j, cell in cells.items():
            output[b, h, i] += cell / total * value[b, h, j]
            if PADDING[b, i]:
                received[b, h, j] += cell / total
    return output, received


SHAPES = [(1, 1, 5, 5), (1, 2, 5, 5), (2, 1, 5, 5), (2, 2, 5, 5), (1, 2, 1, 1), (2, 1, 1, 5)]


@pytest.mark.parametrize("renormalise", [True, False])
@pytest.mark.parametrize("make", [random, hard])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_gate_equals_the_equation(qkv, shape, make, renormalise):
    gate = make(*shape)
    mask = AttentionMask(PADDING, gate=gate, renormalise=renormalise)
    found = guided_attention(*qkv, mask, scaling=SCALING, implementation="reference")
    expected = naive(*qkv, None, gate, renormalise)
    real = PADDING[:, None, :, None]
    torch.testing.assert_close(found[0] * real, expected[0] * real, rtol=0, atol=1e-12)
    torch.testing.assert_close(found[1], expected[1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("gate", [torch.ones(1, 1, 1, 1), hard(2, 2, 5, 5)])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_bias_equals_the_equation(qkv, shape, gate):
    bias = 3 * random(*shape, seed=2) - 1
    mask = AttentionMask(PADDING, bias=bias, gate=None if gate.numel() == 1 else gate)
    output, received = guided_attention(*qkv, mask, scaling=SCALING)
    expected, expected_received = naive(*qkv, bias, gate, True)
    real = PADDING[:, None, :, None]
    torch.testing.assert_close(output * real, expected * real, rtol=0, atol=1e-12)
    torch.testing.assert_close(received, expected_received, rtol=0, atol=1e-12)


def test_a_gate_of_ones_changes_nothing(qkv):
    plain = guided_attention(*qkv, PADDING, scaling=SCALING)
    for renormalise in (True, False):
        mask = AttentionMask(PADDING, gate=torch.ones(1, 1, 5, 5), renormalise=renormalise)
        for found, expected in zip(guided_attention(*qkv, mask, scaling=SCALING), plain, strict=True):
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_masked_cells_are_exactly_0_and_rows_sum_to_1(qkv):
    gate = hard(1, 2, 5, 5)
    maps = attention_maps(*qkv[:2], AttentionMask(PADDING, gate=gate), scaling=SCALING)
    torch.testing.assert_close(maps.sum(-1), torch.ones(2, 2, 5, dtype=torch.float64))
    empty = ~((gate > 0) & PADDING[:, None, None, :]).any(-1, keepdim=True)
    assert empty[PADDING[:, None, :, None].expand_as(empty)].any()
    assert not maps[(gate == 0).expand_as(maps) & ~empty].any()
    assert not maps[:, :, :, 3:][1][:, :3].any()


def test_a_row_without_a_key_keeps_its_diagonal(qkv):
    maps = attention_maps(*qkv[:2], AttentionMask(gate=torch.zeros(1, 1, 5, 5)), scaling=SCALING)
    assert torch.equal(maps, torch.eye(5, dtype=torch.float64).expand(2, 2, 5, 5))


def test_a_sample_without_tokens_is_finite(qkv):
    padding = PADDING & torch.tensor([[True], [False]])
    output, received = guided_attention(*qkv, AttentionMask(padding, gate=hard(1, 2, 5, 5)), scaling=SCALING)
    assert output.isfinite().all()
    assert not received[1].any()


def test_a_gate_holds_together_with_a_window(qkv):
    mask = AttentionMask(PADDING, gate=hard(1, 2, 5, 5, keep=0.8))
    maps = attention_maps(*qkv[:2], mask, scaling=SCALING, window=2)
    band = (torch.arange(5)[:, None] - torch.arange(5)).abs() < 2
    expected = attention_maps(*qkv[:2], AttentionMask(PADDING, gate=mask.gate * band), scaling=SCALING)
    torch.testing.assert_close(maps[0], expected[0], rtol=0, atol=1e-12)
    torch.testing.assert_close(maps[1, :, :3], expected[1, :, :3], rtol=0, atol=1e-12)


@pytest.mark.parametrize("renormalise", [True, False])
def test_gradients_reach_bias_and_gate(qkv, renormalise):
    inputs = [*qkv, random(1, 2, 5, 5, seed=2), 0.1 + random(2, 2, 5, 5)]

    def attend(query, key, value, bias, gate):
        mask = AttentionMask(PADDING, bias, gate, renormalise)
        return guided_attention(query, key, value, mask, scaling=SCALING)

    assert torch.autograd.gradcheck(attend, [tensor.requires_grad_() for tensor in inputs])


def test_the_gradient_of_a_closed_gate_is_the_limit_of_an_open_one(qkv):
    """Straight-through estimators need it where the gate is 0; by ln gate it would not be a number."""
    gradients = []
    for closed in (0.0, 1e-9):
        gate = torch.eye(5).logical_or(hard(1, 2, 5, 5)).double().clamp(min=closed).requires_grad_()
        output, received = guided_attention(*qkv, AttentionMask(gate=gate), scaling=SCALING)
        (output.sum() + received.square().sum()).backward()
        gradients.append(gate.grad)
    assert gradients[0].isfinite().all()
    assert gradients[0][gate == closed].any()
    torch.testing.assert_close(*gradients, rtol=1e-6, atol=1e-6)


def test_a_masked_cell_that_outscores_its_row_by_far_leaves_it_finite():
    query = torch.tensor([100.0, 0.0, 0.0])[None, None, :, None].requires_grad_()
    key = torch.tensor([100.0, 0.0, 1.0])[None, None, :, None]
    gate = torch.tensor([0.0, 1.0, 1.0])[None, None, None].requires_grad_()
    maps = attention_maps(query, key, AttentionMask(gate=gate), scaling=1.0)
    assert float(query.detach().max() * key.max()) > HIGHEST_EXPONENT
    torch.testing.assert_close(maps[0, 0, 0], torch.tensor([0.0, 0.0, 1.0]))
    maps[..., 2].sum().backward()
    assert gate.grad.isfinite().all()
    assert query.grad.isfinite().all()


@pytest.mark.parametrize("extra", [{"bias": torch.zeros(1, 1, 100, 100)}, {"gate": torch.ones(1, 2, 1, 1)}])
def test_only_the_reference_takes_bias_and_gate(monkeypatch, extra):
    query, mask = torch.randn(2, 2, 100, 4), AttentionMask(torch.ones(2, 100).bool(), **extra)
    monkeypatch.setattr(selection, "why_not_triton", lambda query: None)
    for implementation in ("cpu", "triton"):
        with pytest.raises(UsageError, match=f"^--attention {implementation}: an additive bias or a gate") as error:
            guided_attention(query, query, query, mask, scaling=1.0, implementation=implementation)
        assert "--attention auto" in error.value.hint
    expected = guided_attention(query, query, query, None, scaling=1.0, implementation="reference")
    for found, tensor in zip(guided_attention(query, query, query, mask, scaling=1.0), expected, strict=True):
        torch.testing.assert_close(found, tensor)
    with torch.no_grad():  # where torch's own attention runs without them
        output, _ = selection.attend(query, query, query, mask, scaling=1.0)
    torch.testing.assert_close(output, expected[0])


@pytest.mark.parametrize("implementation", ["cpu", "auto", "reference"])
def test_padding_alone_is_the_plain_mask(implementation):
    query, padding = torch.randn(2, 2, 100, 4), torch.arange(100) < torch.tensor([[100], [40]])
    plain = guided_attention(query, query, query, padding, scaling=1.0, implementation=implementation)
    found = guided_attention(query, query, query, AttentionMask(padding), scaling=1.0, implementation=implementation)
    assert all(map(torch.equal, found, plain))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"padding": torch.ones(2, 1, 5)}, "padding must be"),
        ({"bias": torch.ones(5, 5)}, "bias must be"),
        ({"gate": torch.ones(1, 1, 5, 5, dtype=torch.bool)}, "gate must be floating-point"),
    ],
)
def test_what_is_no_mask_is_refused(fields, words):
    with pytest.raises(ValueError, match=words):
        AttentionMask(**fields)


@pytest.mark.parametrize("shape", [(3, 1, 5, 5), (1, 3, 5, 5), (1, 1, 4, 5), (1, 1, 5, 6)])
@pytest.mark.parametrize("name", ["bias", "gate"])
def test_a_mask_of_another_shape_is_refused(qkv, name, shape):
    with pytest.raises(ValueError, match="broadcastable to"):
        guided_attention(*qkv, AttentionMask(**{name: torch.ones(shape)}), scaling=1.0)


DIAGONAL = AttentionMask(gate=(1 - torch.eye(12))[None, None])


@pytest.mark.parametrize("family", ["bert", "albert", "modernbert"])
def test_a_mask_goes_through_an_encoder(tiny, batch, family):
    model = tiny(family)
    attention, capture = attach(model), Capture((Request("maps"),))
    outputs = model(**batch, **attention.forward_kwargs(capture, DIAGONAL))
    real = batch["attention_mask"].bool()
    maps = torch.stack(list(attention.collect(outputs, real, capture)["maps"].values()), 1)
    diagonal = maps.diagonal(dim1=-2, dim2=-1)
    assert not diagonal[0].any()
    assert not diagonal[1, ..., :7].any()
    assert not maps[1, ..., :7, 7:].any()
    assert (diagonal[2, ..., 0] == 1).all()  # one token, which keeps itself
    evaluated = model(**batch, **attention.forward_kwargs(NOTHING, DIAGONAL))
    assert evaluated.attentions is None
    torch.testing.assert_close(evaluated.logits, outputs.logits)
    assert not torch.allclose(outputs.logits, model(**batch).logits, atol=1e-3)


def test_a_mask_may_differ_by_layer(tiny, batch):
    model = tiny("bert")
    attention, capture = attach(model), Capture((Request("maps"),))
    outputs = model(**batch, **attention.forward_kwargs(capture, {1: DIAGONAL}))
    maps = attention.collect(outputs, batch["attention_mask"].bool(), capture)["maps"]
    assert (maps[0][0].diagonal(dim1=-2, dim2=-1) > 0).all()
    assert not maps[1][0].diagonal(dim1=-2, dim2=-1).any()


def test_a_learned_gate_learns_in_an_encoder(tiny, batch):
    """One draw for all layers, also where activation checkpointing computes them twice."""
    gradients = []
    for recompute in (False, True):
        model = tiny("bert", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0).train()
        if recompute:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        logits = torch.zeros(1, 4, 12, 12, requires_grad=True)
        torch.manual_seed(0)
        keep = logits.sigmoid()
        gate = torch.bernoulli(keep.detach()) + keep - keep.detach()  # straight through
        attention = attach(model)
        model(**batch, **attention.forward_kwargs(NOTHING, AttentionMask(gate=gate))).logits.square().sum().backward()
        gradients.append(logits.grad)
    assert gradients[0].any()
    assert gradients[0].isfinite().all()
    torch.testing.assert_close(gradients[1], gradients[0])


def test_an_encoder_that_cannot_take_a_mask_refuses_it(tiny):
    with pytest.raises(ModelError, match=r"MPNet.* takes no bias or gate"):
        attach(tiny("mpnet")).forward_kwargs(NOTHING, DIAGONAL)
    with pytest.raises(ModelError, match=r"Albert.* takes no bias or gate by layer"):
        attach(tiny("albert")).forward_kwargs(NOTHING, {1: DIAGONAL})
