"""What the Triton kernels must do. `test_kernel` runs this file in Triton's interpreter, and on a GPU where one is."""

from __future__ import annotations

import os

import pytest
import torch
from captures import RECEIVED, attention_maps, reference, stacked
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from agcli.attention import attach
from agcli.attention.triton import operators
from agcli.attention.triton.attention import triton_attention, why_not_triton
from agcli.attention.triton.operators import attend_operator
from agcli.attention.triton.tiles import Tile, Tiles

DEVICE = "cpu" if os.environ.get("TRITON_INTERPRET") == "1" else "cuda"
SCALING = 0.3
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2, torch.float16: 2e-2}
SMALL = Tile(32, 32, 4, 1)


def tensors(batch, heads, length, head_dim, dtype=torch.float32, seed=0):
    """Queries, keys and values as transformers hands them: views of (batch, length, heads, head_dim)."""
    generator = torch.Generator().manual_seed(seed)
    made = (torch.randn(batch, length, heads, head_dim, generator=generator).to(DEVICE, dtype) for _ in range(3))
    return [tensor.transpose(1, 2).requires_grad_() for tensor in made]


def ragged(length, *real):
    return (torch.arange(length) < torch.tensor(real)[:, None]).to(DEVICE)


def normal(*shape, seed=9):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(DEVICE)


def run(attention, inputs, mask, gradients, **options):
    """Output, received attention and the three gradients; a gradient of None is not sent."""
    outputs = attention(*inputs, mask, scaling=SCALING, **options)
    sent = [(output, g.to(output.dtype)) for output, g in zip(outputs, gradients, strict=True) if g is not None]
    grads = torch.autograd.grad([output for output, _ in sent], inputs, [g for _, g in sent], allow_unused=True)
    grads = [torch.zeros_like(x) if g is None else g for x, g in zip(inputs, grads, strict=True)]
    return *(output.detach() for output in outputs), *grads


def doubled(inputs):
    return [tensor.detach().double().requires_grad_() for tensor in inputs]


def assert_near(found, expected, tolerance):
    for name, a, b in zip(("output", "received", "dq", "dk", "dv"), found, expected, strict=True):
        assert a.isfinite().all(), name
        size = max(b.norm().item(), 0.5)  # a single token's queries and keys have no gradient, only rounding
        assert (a.double() - b).norm().item() <= tolerance * size, name


def compare(inputs, mask, sends=(True, True)):
    """The kernels against the reference in float64; padded rows are sent no gradient and not looked at."""
    batch, heads, length, head_dim = inputs[0].shape
    real = torch.ones(batch, length, device=DEVICE) if mask is None else mask.float()
    real = real[:, None, :, None]
    gradients = [normal(batch, heads, length, head_dim) * real, normal(batch, heads, length)]
    gradients = [g.to(inputs[0].dtype) if i == 0 else g for i, g in enumerate(gradients)]
    gradients = [g if send else None for g, send in zip(gradients, sends, strict=True)]
    found = run(triton_attention, inputs, mask, gradients)
    expected = run(reference, doubled(inputs), mask, gradients)
    assert found[1].dtype == torch.float32
    assert found[0].dtype == inputs[0].dtype
    assert_near((found[0] * real, *found[1:]), (expected[0] * real, *expected[1:]), TOLERANCE[inputs[0].dtype])


CASES = {
    "one token": ((2, 1, 1, 16), None),
    "five tokens": ((2, 1, 5, 32), (5, 1)),
    "a full tile": ((1, 1, 32, 64), None),
    "heads of no power of two": ((2, 2, 33, 24), (33, 20)),
    "wide heads": ((1, 1, 40, 128), (37,)),
    "odd heads": ((1, 1, 16, 7), None),
    "many blocks": ((1, 2, 70, 16), None),
    "many blocks, ragged": ((3, 1, 70, 16), (70, 41, 1)),
    "padded tail": ((1, 1, 100, 16), (18,)),
}


@pytest.mark.parametrize("case", CASES)
def test_equals_the_reference(case):
    shape, real = CASES[case]
    compare(tensors(*shape), real and ragged(shape[2], *real))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("case", ["heads of no power of two", "many blocks, ragged", "one token"])
def test_equals_the_reference_in_16_bits(case, dtype):
    shape, real = CASES[case]
    compare(tensors(*shape, dtype=dtype), real and ragged(shape[2], *real))


@pytest.mark.parametrize("length", [40, 70])
def test_padding_may_lie_anywhere(length):
    mask = normal(2, length) > 0.3
    mask[0, :35] = False  # a first block of keys that is padding throughout
    mask[:, 36] = True
    compare(tensors(2, 1, length, 16), mask)


@pytest.mark.parametrize("sends", [(True, False), (False, True)])
@pytest.mark.parametrize("length", [20, 70])
def test_each_output_may_get_a_gradient_alone(sends, length):
    compare(tensors(1, 2, length, 16), ragged(length, length - 3), sends)


def test_a_padded_row_gives_zero_and_takes_no_gradient():
    inputs, mask = tensors(3, 1, 70, 16), ragged(70, 70, 12, 0)
    output, received, *grads = run(triton_attention, inputs, mask, [normal(3, 1, 70, 16), normal(3, 1, 70)])
    padded = ~mask[:, None]
    for tensor in (output, received, *grads):
        assert tensor.isfinite().all()
        assert (tensor[padded] == 0).all()


def test_padding_changes_nothing():
    inputs, gradients = tensors(1, 2, 30, 16), [normal(1, 2, 30, 16), normal(1, 2, 30)]
    plain = run(triton_attention, inputs, None, gradients)
    widened = []
    for tensor in (*inputs, *gradients):
        wide = torch.full((1, 2, 90, *tensor.shape[3:]), 50.0, device=DEVICE)  # overflows where it is not masked
        wide[:, :, :30] = tensor.detach()
        widened.append(wide.requires_grad_())
    padded = run(triton_attention, widened[:3], ragged(90, 30), widened[3:])
    for a, b in zip(plain, padded, strict=True):
        assert torch.allclose(a, b[:, :, :30], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8, torch.float32])
def test_a_mask_may_be_of_any_type(dtype):
    inputs, mask = tensors(2, 1, 20, 16), ragged(20, 20, 9)
    wide = torch.zeros(2, 40, dtype=dtype, device=DEVICE)
    wide[:, ::2] = mask.to(dtype)
    expected, found = (triton_attention(*inputs, m, scaling=SCALING) for m in (mask, wide[:, ::2]))
    assert torch.equal(expected[0], found[0])
    assert torch.equal(expected[1], found[1])


@pytest.mark.parametrize("length", [20, 70])
def test_tensors_may_lie_anyhow(length):
    inputs = tensors(2, 2, length, 16)
    odd = [x.detach().mT.contiguous().mT.requires_grad_() for x in inputs]  # a token's cells lie apart
    gradients = [normal(2, 2, 1, 1).expand(2, 2, length, 16), normal(2, 2, 3, length)[:, :, 1]]
    for a, b in zip(*(run(triton_attention, x, None, gradients) for x in (inputs, odd)), strict=True):
        assert torch.equal(a, b)


def test_output_is_laid_out_for_transformers_and_capture_is_optional():
    inputs = tensors(2, 3, 20, 16)
    output, received = triton_attention(*inputs, None, scaling=SCALING)
    plain, nothing = triton_attention(*inputs, None, scaling=SCALING, capture=False)
    assert output.transpose(1, 2).is_contiguous()
    assert received.shape == (2, 3, 20)
    assert nothing is None
    assert torch.equal(output, plain)
    plain.sum().backward()
    assert inputs[0].grad.isfinite().all()


@pytest.mark.parametrize("length", [40, 70])
def test_twice_is_the_same_bit_for_bit(length):
    inputs, gradients = tensors(2, 1, length, 16), [normal(2, 1, length, 16), normal(2, 1, length)]
    results = []
    for _ in range(2):
        torch.manual_seed(3)
        results.append(run(triton_attention, inputs, ragged(length, length, 11), gradients, dropout=0.2))
    for a, b in zip(*results, strict=True):
        assert torch.equal(a, b)


def test_under_no_grad_nothing_is_differentiable():
    with torch.no_grad():
        output, received = triton_attention(*tensors(1, 1, 8, 16), None, scaling=SCALING)
    assert not output.requires_grad
    assert not received.requires_grad


def dropped_map(inputs, mask, seed, rate) -> Tensor:
    """The map after dropout, read off outputs: as many columns at a time as a head is wide, values the identity's."""
    query, key = (x.detach() for x in inputs[:2])
    length, head_dim = query.shape[2:]
    slabs = []
    for columns in torch.eye(length, device=DEVICE, dtype=query.dtype).split(head_dim, -1):
        values = torch.nn.functional.pad(columns, (0, head_dim - columns.shape[1])).expand_as(query)
        torch.manual_seed(seed)
        output, _ = triton_attention(query, key, values, mask, scaling=SCALING, dropout=rate)
        slabs.append(output[..., : columns.shape[1]])
    return torch.cat(slabs, -1)


def test_dropout_drops_at_its_rate_and_independently():
    inputs = tensors(2, 3, 96, 48)
    kept = (dropped_map(inputs, None, 0, 0.3) != 0).double()
    assert abs(kept.mean().item() - 0.7) < 5 * (0.21 / kept.numel()) ** 0.5
    centred = kept - 0.7
    for dims, shift in ((-1, 1), (-1, 8), (-2, 1), (-2, 8), (-2, 16), (-1, 32), (1, 1), (0, 1)):
        together = (centred * centred.roll(shift, dims)).mean().item() / 0.21
        assert abs(together) < 5 / kept.numel() ** 0.5, (dims, shift)
    other = (dropped_map(inputs, None, 1, 0.3) != 0).double()
    assert abs(((other - 0.7) * centred).mean().item()) / 0.21 < 5 / kept.numel() ** 0.5


def test_dropped_maps_are_scaled_and_their_mean_is_the_clean_one():
    inputs, mask = tensors(1, 1, 24, 16), ragged(24, 20)
    clean = attention_maps(*inputs[:2], mask, scaling=SCALING)[:, :, :20].detach()
    draws = torch.stack([dropped_map(inputs, mask, seed, 0.4)[:, :, :20] for seed in range(40)])
    kept = draws != 0
    assert torch.allclose(draws[kept], (clean / 0.6).expand_as(draws)[kept], rtol=1e-4)
    error = (draws.mean(0) - clean)[..., :20] / clean[..., :20]  # standard deviation sqrt(0.4 / 0.6 / 40) = 0.13
    assert abs(error.mean().item()) < 5 * 0.13 / error.numel() ** 0.5


def test_received_attention_is_the_clean_one_under_dropout():
    inputs, mask = tensors(1, 2, 70, 16), ragged(70, 60)
    clean, dropped = (triton_attention(*inputs, mask, scaling=SCALING, dropout=rate) for rate in (0.0, 0.5))
    assert torch.allclose(clean[1], dropped[1], rtol=1e-6)
    assert not torch.equal(clean[0], dropped[0])


on_a_gpu = pytest.mark.skipif(DEVICE == "cpu", reason="a GPU's own sizes")
DROPPED = [(length, 16, torch.float32) for length in (40, 70)] + [
    pytest.param(length, head_dim, torch.bfloat16, marks=on_a_gpu)
    for length in (17, 50, 100, 200, 300)
    for head_dim in (32, 64, 128)
]


@pytest.mark.parametrize(("length", "head_dim", "dtype"), DROPPED)
def test_gradients_under_dropout(length, head_dim, dtype):
    """Every kernel drops the same cells, whatever its tiles and whichever axis comes first in them."""
    inputs, mask = tensors(2, 1, length, head_dim, dtype), ragged(length, length, length // 3)
    real = mask[:, None, :, None].float()
    gradients = [(normal(2, 1, length, head_dim) * real).to(dtype), normal(2, 1, length)]
    kept = dropped_map(inputs, mask, 5, 0.25) != 0

    def explicit(query, key, value, mask, *, scaling):
        maps = attention_maps(query, key, mask, scaling=scaling)
        return (maps * kept / 0.75) @ value, (maps * mask[:, None, :, None]).sum(-2)

    torch.manual_seed(5)
    found = run(triton_attention, inputs, mask, gradients, dropout=0.25)
    expected = run(explicit, doubled(inputs), mask, gradients)
    assert_near((found[0] * real, *found[1:]), (expected[0] * real, *expected[1:]), TOLERANCE[dtype])


def test_rotated_queries_and_keys_may_have_stayed_in_float32():
    query, key, value = tensors(1, 2, 40, 16)
    mixed = [query, key, value.detach().bfloat16().requires_grad_()]
    plain = [tensor.detach().bfloat16().requires_grad_() for tensor in (query, key, value)]
    gradients = [normal(1, 2, 40, 16), normal(1, 2, 40)]
    found, expected = (run(triton_attention, inputs, None, gradients) for inputs in (mixed, plain))
    assert found[0].dtype == torch.bfloat16
    assert [tensor.dtype for tensor in found[2:]] == [tensor.dtype for tensor in mixed]
    for a, b in zip(found, expected, strict=True):
        assert torch.equal(a.float(), b.float())


def test_a_cut_into_blocks_changes_neither_values_nor_dropout(monkeypatch):
    inputs, gradients = tensors(1, 1, 64, 16), [normal(1, 1, 64, 16), normal(1, 1, 64)]
    results = []
    for tiles in (
        Tiles(Tile(64, 64, 4, 1), Tile(64, 32, 4, 1), SMALL, SMALL, SMALL),
        Tiles(Tile(16, 32, 4, 1), None, Tile(16, 64, 4, 1), Tile(32, 64, 4, 1), Tile(16, 32, 4, 1)),
    ):
        monkeypatch.setattr(operators, "_tiles", lambda query, tiles=tiles: tiles)
        torch.manual_seed(1)
        results.append(run(triton_attention, inputs, ragged(64, 50), gradients, dropout=0.3))
    for a, b in zip(*results, strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("looks_at", ["both", "output", "received"])
def test_activation_checkpointing_draws_the_same_dropout(looks_at):
    inputs = tensors(1, 2, 40, 16)

    def layer(query, key, value):
        output, received = triton_attention(query, key, value, None, scaling=SCALING, dropout=0.3)
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
        output, received = triton_attention(query * 2, key, value, mask, scaling=SCALING, dropout=rate)
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
    arguments = (*tensors(2, 1, 20, 16), ragged(20, 20, 13), seed, SCALING, 0.2, capture)
    torch.library.opcheck(attend_operator, arguments)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(st.data())
def test_any_shape(data):
    length = data.draw(st.integers(1, 70))
    real = data.draw(st.lists(st.integers(1, length), min_size=1, max_size=2))
    heads, head_dim = data.draw(st.integers(1, 2)), data.draw(st.integers(1, 40))
    mask = ragged(length, *real) if data.draw(st.booleans()) else None
    compare(tensors(len(real), heads, length, head_dim), mask)


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


@on_a_gpu
@pytest.mark.parametrize("head_dim", [32, 64, 128])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_equals_the_reference_at_every_length_class(dtype, head_dim):
    for length in (17, 50, 100, 128, 200, 256, 300, 512, 1030):
        compare(tensors(2, 3, length, head_dim, dtype), ragged(length, length, length // 2))


@on_a_gpu
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("sends", [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("length", [200, 512])
def test_whatever_is_absent(length, sends, masked):
    """Each absent mask or gradient is a kernel of its own."""
    compare(tensors(2, 3, length, 64, torch.bfloat16), ragged(length, length, 90) if masked else None, sends)


@on_a_gpu
def test_a_length_of_8192():
    compare(tensors(1, 1, 8192, 64, torch.bfloat16), None)


@on_a_gpu
def test_never_waits_for_the_device():
    inputs, mask = tensors(4, 4, 200, 64, torch.bfloat16), ragged(200, 200, 50, 7, 0)
    gradients = [normal(4, 4, 200, 64), normal(4, 4, 200)]
    run(triton_attention, inputs, mask, gradients, dropout=0.1)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        run(triton_attention, inputs, mask, gradients, dropout=0.1)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@on_a_gpu
def test_memory_grows_with_the_length_and_not_with_its_square():
    peaks = []
    for length in (2048, 4096):
        inputs = tensors(1, 4, length, 64, torch.bfloat16)
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        output, received = triton_attention(*inputs, None, scaling=SCALING, dropout=0.1)
        (output.sum() + received.square().sum()).backward()
        peaks.append(torch.cuda.max_memory_allocated() - before)
    assert peaks[1] < 2.2 * peaks[0]
