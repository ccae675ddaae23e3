"""What the Triton kernels must do. `test_kernel` runs such files in Triton's interpreter and on a GPU, if any."""

from __future__ import annotations

import pytest
import torch
from captures import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_runs import (
    BLOCKS,
    DEVICE,
    SCALING,
    SMALL,
    TOLERANCE,
    assert_near,
    doubled,
    kernels,
    normal,
    on_a_gpu,
    ragged,
    run,
    tensors,
)

from agcli.attention.triton import operators
from agcli.attention.triton.tiles import Tile, Tiles


def compare(inputs, mask, sends=(True, True)):
    """The kernels against the reference in float64; padded rows are sent no gradient and not looked at."""
    batch, heads, length, head_dim = inputs[0].shape
    real = torch.ones(batch, length, device=DEVICE) if mask is None else mask.float()
    real = real[:, None, :, None]
    gradients = [normal(batch, heads, length, head_dim) * real, normal(batch, heads, length)]
    gradients = [g.to(inputs[0].dtype) if i == 0 else g for i, g in enumerate(gradients)]
    gradients = [g if send else None for g, send in zip(gradients, sends, strict=True)]
    found = run(kernels, inputs, mask, gradients)
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
    output, received, *grads = run(kernels, inputs, mask, [normal(3, 1, 70, 16), normal(3, 1, 70)])
    padded = ~mask[:, None]
    for tensor in (output, received, *grads):
        assert tensor.isfinite().all()
        assert (tensor[padded] == 0).all()


def test_padding_changes_nothing():
    inputs, gradients = tensors(1, 2, 30, 16), [normal(1, 2, 30, 16), normal(1, 2, 30)]
    plain = run(kernels, inputs, None, gradients)
    widened = []
    for tensor in (*inputs, *gradients):
        wide = torch.full((1, 2, 90, *tensor.shape[3:]), 50.0, device=DEVICE)  # overflows where it is not masked
        wide[:, :, :30] = tensor.detach()
        widened.append(wide.requires_grad_())
    padded = run(kernels, widened[:3], ragged(90, 30), widened[3:])
    for a, b in zip(plain, padded, strict=True):
        assert torch.allclose(a, b[:, :, :30], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8, torch.float32])
def test_a_mask_may_be_of_any_type(dtype):
    inputs, mask = tensors(2, 1, 20, 16), ragged(20, 20, 9)
    wide = torch.zeros(2, 40, dtype=dtype, device=DEVICE)
    wide[:, ::2] = mask.to(dtype)
    expected, found = (kernels(*inputs, m, scaling=SCALING) for m in (mask, wide[:, ::2]))
    assert torch.equal(expected[0], found[0])
    assert torch.equal(expected[1], found[1])


@pytest.mark.parametrize("length", [20, 70])
def test_tensors_may_lie_anyhow(length):
    inputs = tensors(2, 2, length, 16)
    odd = [x.detach().mT.contiguous().mT.requires_grad_() for x in inputs]  # a token's cells lie apart
    gradients = [normal(2, 2, 1, 1).expand(2, 2, length, 16), normal(2, 2, 3, length)[:, :, 1]]
    for a, b in zip(*(run(kernels, x, None, gradients) for x in (inputs, odd)), strict=True):
        assert torch.equal(a, b)


def test_output_is_laid_out_for_transformers_and_capture_is_optional():
    inputs = tensors(2, 3, 20, 16)
    output, received = kernels(*inputs, None, scaling=SCALING)
    plain, nothing = kernels(*inputs, None, scaling=SCALING, capture=False)
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
        results.append(run(kernels, inputs, ragged(length, length, 11), gradients, dropout=0.2))
    for a, b in zip(*results, strict=True):
        assert torch.equal(a, b)


def test_under_no_grad_nothing_is_differentiable():
    with torch.no_grad():
        output, received = kernels(*tensors(1, 1, 8, 16), None, scaling=SCALING)
    assert not output.requires_grad
    assert not received.requires_grad


def test_rotated_queries_and_keys_may_have_stayed_in_float32():
    query, key, value = tensors(1, 2, 40, 16)
    mixed = [query, key, value.detach().bfloat16().requires_grad_()]
    plain = [tensor.detach().bfloat16().requires_grad_() for tensor in (query, key, value)]
    gradients = [normal(1, 2, 40, 16), normal(1, 2, 40)]
    found, expected = (run(kernels, inputs, None, gradients) for inputs in (mixed, plain))
    assert found[0].dtype == torch.bfloat16
    assert [tensor.dtype for tensor in found[2:]] == [tensor.dtype for tensor in mixed]
    for a, b in zip(found, expected, strict=True):
        assert torch.equal(a.float(), b.float())


def test_a_cut_into_blocks_changes_neither_values_nor_dropout(monkeypatch):
    inputs, gradients = tensors(1, 1, 64, 16), [normal(1, 1, 64, 16), normal(1, 1, 64)]
    results = []
    for tiles in (
        Tiles(Tile(64, 64, 4, 1), Tile(64, 32, 4, 1), SMALL, SMALL, SMALL),
        BLOCKS,
    ):
        monkeypatch.setattr(operators, "_tiles", lambda *_, tiles=tiles: tiles)
        torch.manual_seed(1)
        results.append(run(kernels, inputs, ragged(64, 50), gradients, dropout=0.3))
    for a, b in zip(*results, strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-5)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(st.data())
def test_any_shape(data):
    length = data.draw(st.integers(1, 70))
    real = data.draw(st.lists(st.integers(1, length), min_size=1, max_size=2))
    heads, head_dim = data.draw(st.integers(1, 2)), data.draw(st.integers(1, 40))
    mask = ragged(length, *real) if data.draw(st.booleans()) else None
    compare(tensors(len(real), heads, length, head_dim), mask)


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
    run(kernels, inputs, mask, gradients, dropout=0.1)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        run(kernels, inputs, mask, gradients, dropout=0.1)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@on_a_gpu
def test_memory_grows_with_the_length_and_not_with_its_square():
    peaks = []
    for length in (2048, 4096):
        inputs = tensors(1, 4, length, 64, torch.bfloat16)
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        output, received = kernels(*inputs, None, scaling=SCALING, dropout=0.1)
        (output.sum() + received.square().sum()).backward()
        peaks.append(torch.cuda.max_memory_allocated() - before)
    assert peaks[1] < 2.2 * peaks[0]
