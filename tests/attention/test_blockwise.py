"""The CPU path against the reference in float64: both outputs, their gradients, dropout, and what it keeps."""

import pytest
import torch
from captures import attention_maps, blockwise, reference
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

from agcli.attention import cpu

SCALING = 0.4
LENGTHS = (23, 9, 1, 0)
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5, torch.bfloat16: 2e-2}
"""Of relative norms."""


def draw(lengths=LENGTHS, heads=3, head_dim=8, dtype=torch.float64, padded=None):
    """Queries, keys and values, and what comes back to output and to received attention."""
    shape = (len(lengths), heads, padded or max(lengths), head_dim)
    generator = torch.Generator().manual_seed(0)
    *qkv, output_grad = (torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for _ in range(4))
    received_grad = torch.randn(shape[:3], generator=generator, dtype=torch.float64)
    return qkv, (output_grad, received_grad.to(torch.promote_types(dtype, torch.float32)))


def ours(lengths=LENGTHS, dropout=0.0, seed=0):
    def attention(*qkv):
        torch.manual_seed(seed)
        return blockwise(*qkv, lengths, scaling=SCALING, dropout=dropout)

    return attention


def truth(lengths=LENGTHS, kept=None, rate=0.0):
    """The reference, padded rows 0; with `kept`, which cells dropout left, attention by plain autograd."""

    def attention(query, key, value):
        real = torch.arange(query.shape[2]) < torch.tensor(lengths)[:, None]
        output, received = reference(query, key, value, real, scaling=SCALING)
        if kept is not None:
            output = (attention_maps(query, key, real, scaling=SCALING) * kept / (1 - rate)) @ value
        return output * real[:, None, :, None], received

    return attention


def run(attention, inputs, upstream, dtype=None):
    """Output, received attention and three gradients; an upstream of None leaves its output out of the loss."""
    leaves = [tensor.detach().to(dtype or tensor.dtype).requires_grad_() for tensor in inputs]
    outputs = attention(*leaves)
    used = {one: grad.to(one.dtype) for one, grad in zip(outputs, upstream, strict=True) if grad is not None}
    torch.autograd.backward(list(used), list(used.values()))
    gradients = (torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves)
    return *(one.detach() for one in outputs), *gradients


def assert_near(found, expected, tolerance):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert (one.double() - other.double()).norm() <= tolerance * other.double().norm()


@pytest.mark.parametrize("cells", [1 << 20, 300, 1])
@pytest.mark.parametrize("through", ["both", "output", "received"])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_outputs_and_gradients_are_those_of_the_reference(monkeypatch, dtype, through, cells):
    monkeypatch.setattr(cpu, "BLOCK_CELLS", cells)
    inputs, (output_grad, received_grad) = draw(dtype=dtype)
    upstream = (output_grad if through != "received" else None, received_grad if through != "output" else None)
    found = run(ours(), inputs, upstream)
    assert [one.dtype for one in found] == [dtype, torch.promote_types(dtype, torch.float32), dtype, dtype, dtype]
    assert_near(found, run(truth(), inputs, upstream, torch.float64), TOLERANCE[dtype])


def test_without_capture_the_output_is_the_same_bit_for_bit():
    inputs, _ = draw()
    output, received = blockwise(*inputs, LENGTHS, scaling=SCALING, capture={})
    assert received is None
    assert torch.equal(output, ours()(*inputs)[0])


def test_what_stands_in_padded_places_changes_nothing():
    """Whatever padded queries, keys, values and upstream gradients hold: nothing leaves them, nothing reaches them."""
    inputs, upstream = draw(padded=30)
    clean = run(ours(), inputs, upstream)
    padding = torch.arange(30) >= torch.tensor(LENGTHS)[:, None]
    for tensor in (*inputs, *upstream):
        tensor.transpose(1, 2)[padding] *= 1e3
    for found, expected in zip(run(ours(), inputs, upstream), clean, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
        assert not found.transpose(1, 2)[padding].any()


@pytest.mark.parametrize("sample", [0, 1, 2])
def test_padding_and_other_samples_change_nothing(sample):
    inputs, upstream = draw(padded=30)
    length = LENGTHS[sample]
    alone = [[tensor[sample : sample + 1, :, :length] for tensor in tensors] for tensors in (inputs, upstream)]
    for found, expected in zip(run(ours(), inputs, upstream), run(ours((length,)), *alone), strict=True):
        torch.testing.assert_close(found[sample, :, :length], expected[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("lengths", [(1, 1), (1, 7, 1)])
def test_a_lone_token_attends_to_itself(lengths):
    inputs, upstream = draw(lengths)
    output, received, *gradients = (one[0, :, 0] for one in run(ours(lengths), inputs, upstream))
    assert torch.equal(output, inputs[2][0, :, 0])
    assert torch.equal(received, torch.ones_like(received))
    assert not gradients[0].any()
    assert not gradients[1].any()
    assert torch.equal(gradients[2], upstream[0][0, :, 0])


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("lengths", [(0, 0), (0, 5, 0), (5, 0)])
def test_a_sample_without_tokens_gives_and_takes_zeros(lengths, dropout):
    inputs, upstream = draw(lengths, padded=6)
    for tensor in run(ours(lengths, dropout), inputs, upstream):
        assert tensor.isfinite().all()
        assert not tensor[[length == 0 for length in lengths]].any()


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("cells", [1, 60, 300, 2000])
def test_many_blocks_are_as_one(monkeypatch, cells, dropout):
    """One sample, two heads of three, or some rows at once; and no block is larger than asked, but for two rows."""
    inputs, upstream = draw()
    whole = run(ours(dropout=dropout), inputs, upstream)
    sizes, make = [], cpu._maps
    monkeypatch.setattr(cpu, "_maps", lambda *args: [maps := make(*args), sizes.append(maps.numel())][0])
    monkeypatch.setattr(cpu, "BLOCK_CELLS", cells)
    assert_near(run(ours(dropout=dropout), inputs, upstream), whole, 1e-12)
    assert max(sizes) <= max(cells, 2 * max(LENGTHS))


def test_many_blocks_add_up_in_float32_under_bfloat16(monkeypatch):
    """512 parts of one row each: a sum in bfloat16 stands still once it is 256 times its next term."""
    monkeypatch.setattr(cpu, "BLOCK_CELLS", 1024)
    inputs, (output_grad, received_grad) = draw((512,), heads=2, dtype=torch.bfloat16)
    upstream = (output_grad.abs(), received_grad.abs())
    inputs[0] = inputs[0].abs()
    found = run(ours((512,)), inputs, upstream)
    assert_near(found, run(truth((512,)), inputs, upstream, torch.float64), 1e-2)


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_gradients_are_those_of_finite_differences(dropout):
    inputs, _ = draw((3, 2, 0), heads=2, head_dim=2)
    assert torch.autograd.gradcheck(ours((3, 2, 0), dropout), [tensor.requires_grad_() for tensor in inputs])


def test_a_second_derivative_is_refused():
    query, key, value = (tensor.requires_grad_() for tensor in draw()[0])
    (gradient,) = torch.autograd.grad(ours()(query, key, value)[0].square().sum(), query, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_views_as_hugging_face_hands_them_are_as_good(dtype):
    """Heads behind tokens, queries, keys and values in one tensor (ModernBERT), upstream gradients expanded."""
    inputs, (output_grad, received_grad) = draw(dtype=dtype)
    packed = torch.stack([tensor.transpose(1, 2) for tensor in inputs], dim=2)
    views = [tensor.transpose(1, 2) for tensor in packed.unbind(2)]
    upstream = (output_grad[:1, :, :1].expand_as(output_grad), received_grad[..., :1].expand_as(received_grad))
    before = packed.clone()
    for found, expected in zip(run(ours(), views, upstream), run(ours(), inputs, upstream), strict=True):
        assert torch.equal(found, expected)
    assert torch.equal(packed, before)
    assert ours()(*views)[0].transpose(1, 2).is_contiguous()  # merging the heads copies nothing


@pytest.mark.parametrize("cells", [1 << 20, 300])
@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_gradients_under_dropout_are_those_of_the_very_mask(monkeypatch, rate, cells):
    """With the identity as values the output is the dropped map, which shows what is kept."""
    monkeypatch.setattr(cpu, "BLOCK_CELLS", cells)
    inputs, upstream = draw()
    identity = torch.eye(max(LENGTHS), dtype=torch.float64).expand(len(LENGTHS), 3, -1, -1)
    kept = ours(dropout=rate)(*inputs[:2], identity)[0] != 0
    assert 0 < kept[0].sum() < kept[0].numel()
    assert_near(run(ours(dropout=rate), inputs, upstream), run(truth(LENGTHS, kept, rate), inputs, upstream), 1e-10)


def test_received_attention_is_that_without_dropout():
    inputs, upstream = draw()
    assert torch.equal(ours(dropout=0.5)(*inputs)[1], ours()(*inputs)[1])
    through_received = (None, upstream[1])
    dropped, clean = run(ours(dropout=0.5), inputs, through_received), run(ours(), inputs, through_received)
    assert all(torch.equal(one, other) for one, other in zip(dropped[1:], clean[1:], strict=True))


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointed_layers_drop_the_same_cells(reentrant):
    """Two layers, so that the second draws its seed after the first, in the forward and when it is made again."""
    inputs, upstream = draw()

    def layers(query, key, value):
        output, received = blockwise(query, key, value, LENGTHS, scaling=SCALING, dropout=0.3)
        output, again = blockwise(output, key, output, LENGTHS, scaling=SCALING, dropout=0.3)
        return output, received + again

    torch.manual_seed(0)
    plain = run(layers, inputs, upstream)
    torch.manual_seed(0)
    again = run(lambda *qkv: checkpoint(layers, *qkv, use_reentrant=reentrant), inputs, upstream)
    assert all(torch.equal(one, other) for one, other in zip(plain, again, strict=True))


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_no_map_is_kept_for_the_backward_pass(dropout):
    length = 64
    inputs = [tensor.requires_grad_() for tensor in draw((length,), heads=2, head_dim=4)[0]]
    kept = {}
    for name, attention in (("ours", ours((length,), dropout)), ("reference", truth((length,)))):
        kept[name] = []
        with saved_tensors_hooks(lambda tensor, kept=kept[name]: kept.append(tensor.numel()) or tensor, lambda _: _):
            output, _ = attention(*inputs)
        if name == "ours":
            assert not any(isinstance(held, torch.Tensor) for held in vars(output.grad_fn).values())
    assert max(kept["ours"]) == inputs[0].numel() < length**2 <= max(kept["reference"])


def test_a_faint_guide_is_not_lost_in_bfloat16():
    """The guide's gradient is 1/1000 of the task's at the maps, half a unit in the last place of bfloat16 and less.

    In exact arithmetic it adds the same to the gradients whatever the task sends, so its part shows in the mean over
    tasks. Added to the maps' gradient in bfloat16, it would come out at half its size.
    """
    tasks, lengths = 192, (32,) * 192
    generator = torch.Generator().manual_seed(0)
    shape = (2, 32, 16)
    qkv = [torch.randn(shape, generator=generator).bfloat16().expand(tasks, *shape) for _ in range(3)]
    task = torch.randn((tasks, *shape), generator=generator).bfloat16()
    at_maps = (task @ qkv[2].mT).float().square().mean().sqrt()
    guide = (torch.randn(shape[:2], generator=generator) * at_maps / 1000).expand(tasks, 2, 32)
    guided, unguided = run(ours(lengths), qkv, (task, guide)), run(ours(lengths), qkv, (task, None))
    alone = run(truth(lengths[:1]), [tensor[:1] for tensor in qkv], (None, guide[:1]), torch.float64)
    for part in (2, 3):
        added, expected = (guided[part].double() - unguided[part].double()).mean(0), alone[part][0]
        assert torch.cosine_similarity(added.flatten(), expected.flatten(), dim=0) > 0.95
        assert added.norm() / expected.norm() == pytest.approx(1, abs=0.1)


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 4), st.integers(1, 20), st.integers(1, 9), st.sampled_from([0.0, 0.25]))
def test_any_shape(data, heads, padded, head_dim, rate):
    lengths = tuple(data.draw(st.lists(st.integers(0, padded), min_size=1, max_size=4), "lengths"))
    cells = data.draw(st.sampled_from([1, 50, 500, 1 << 20]), "cells")
    inputs, upstream = draw(lengths, heads, head_dim, padded=padded)
    identity = torch.eye(padded, dtype=torch.float64).expand(len(lengths), heads, -1, -1)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(cpu, "BLOCK_CELLS", cells)
        kept = ours(lengths, rate)(*inputs[:2], identity)[0] != 0
        found = run(ours(lengths, rate), inputs, upstream)
    expected = run(truth(lengths, kept, rate), inputs, upstream)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)
