"""The reference attention against loops over the equations and against torch's own."""

import math

import pytest
import torch
from captures import reference
from torch.nn.functional import scaled_dot_product_attention

from agcli.attention import received_attention

SCALING = 0.4


@pytest.fixture
def qkv():
    """Queries, keys and values, each (batch 2, heads 2, length 5, head_dim 3), in float64."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn((2, 2, 5, 3), generator=generator, dtype=torch.float64) for _ in range(3)]


@pytest.fixture
def mask():
    return torch.tensor([[True] * 5, [True] * 3 + [False] * 2])


def naive(query, key, value, mask, allowed=lambda i, j: True):
    """Output and received attention, one score at a time (Eq. 8)."""
    output, received = torch.zeros_like(value), torch.zeros(query.shape[:3], dtype=query.dtype)
    for b, h, i in torch.cartesian_prod(*map(torch.arange, query.shape[:3])).tolist():
        keys = [j for j in range(query.shape[2]) if mask[b, j] and allowed(i, j)]
        scores = [math.exp(SCALING * float(query[b, h, i] @ key[b, h, j])) for j in keys]
        for j, score in zip(keys, scores, strict=True):
            output[b, h, i] += score / sum(scores) * value[b, h, j]
            if mask[b, i]:
                received[b, h, j] += score / sum(scores)
    return output, received


def test_equals_the_equation(qkv, mask):
    output, received = reference(*qkv, mask, scaling=SCALING)
    expected_output, expected_received = naive(*qkv, mask)
    torch.testing.assert_close(output, expected_output, rtol=0, atol=1e-12)
    torch.testing.assert_close(received, expected_received, rtol=0, atol=1e-12)


def test_a_window_is_a_band_around_the_diagonal(qkv):
    """All rows still see a key: without padding the band is all that masks."""
    everywhere = torch.ones(2, 5, dtype=torch.bool)
    output, received = reference(*qkv, everywhere, scaling=SCALING, window=2)
    expected_output, expected_received = naive(*qkv, everywhere, allowed=lambda i, j: abs(i - j) < 2)
    torch.testing.assert_close(output, expected_output, rtol=0, atol=1e-12)
    torch.testing.assert_close(received, expected_received, rtol=0, atol=1e-12)
    torch.testing.assert_close(reference(*qkv, None, scaling=SCALING, window=2)[1], received)


def test_a_window_and_padding_hold_together(qkv, mask):
    """Real rows only: the last padded row sees no real key in its band."""
    output, received = reference(*qkv, mask, scaling=SCALING, window=2)
    mask_of_rows = mask[:, None, :, None]
    allowed = mask[:, None, None, :] & (torch.arange(5)[:, None] - torch.arange(5)).abs().lt(2)
    expected = scaled_dot_product_attention(*qkv, attn_mask=allowed, scale=SCALING)
    torch.testing.assert_close((output * mask_of_rows), expected * mask_of_rows, rtol=0, atol=1e-12)
    assert not received[1, :, 3:].any()


def test_the_output_is_that_of_torch(qkv, mask):
    expected = scaled_dot_product_attention(*qkv, attn_mask=mask[:, None, None, :], scale=SCALING)
    output, _ = reference(*qkv, mask, scaling=SCALING)
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-12)


def test_padded_keys_receive_exactly_nothing(qkv, mask):
    _, received = reference(*qkv, mask, scaling=SCALING)
    assert not received[1, :, 3:].any()


def test_only_real_rows_vote(qkv, mask):
    """Rows of a map sum to 1, so what all tokens receive together is their number."""
    _, received = reference(*qkv, mask, scaling=SCALING)
    torch.testing.assert_close(received.sum(-1), torch.tensor([[5.0, 5.0], [3.0, 3.0]], dtype=torch.float64))


def test_no_mask_is_a_mask_of_real_tokens(qkv):
    everywhere = torch.ones(2, 5, dtype=torch.bool)
    for absent, present in zip(
        reference(*qkv, None, scaling=SCALING),
        reference(*qkv, everywhere, scaling=SCALING),
        strict=True,
    ):
        torch.testing.assert_close(absent, present, rtol=0, atol=1e-12)


def test_a_sample_without_tokens_is_finite(qkv, mask):
    mask[1] = False
    output, received = reference(*qkv, mask, scaling=SCALING)
    assert output.isfinite().all()
    assert not received[1].any()


def test_gradients_through_both_outputs(qkv, mask):
    inputs = [tensor.requires_grad_() for tensor in qkv]
    assert torch.autograd.gradcheck(lambda q, k, v: reference(q, k, v, mask, scaling=SCALING), inputs)


def test_gradients_through_a_window(qkv, mask):
    inputs = [tensor.requires_grad_() for tensor in qkv]
    assert torch.autograd.gradcheck(lambda q, k, v: reference(q, k, v, mask, scaling=SCALING, window=3), inputs)


def test_capture_none_returns_the_same_output_and_nothing_else(qkv, mask):
    output, received = reference(*qkv, mask, scaling=SCALING, capture={})
    assert received is None
    assert torch.equal(output, reference(*qkv, mask, scaling=SCALING)[0])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_receives_in_float32(qkv, mask, dtype):
    half = [tensor.to(dtype) for tensor in qkv]
    output, received = reference(*half, mask, scaling=SCALING)
    assert (output.dtype, received.dtype) == (dtype, torch.float32)
    torch.testing.assert_close(received.sum(-1), torch.tensor([[5.0, 5.0], [3.0, 3.0]]))


def test_received_attention_of_full_maps(mask):
    maps = torch.rand((2, 2, 5, 5), dtype=torch.float64)
    expected = torch.stack([maps[0].sum(-2), maps[1, :, :3].sum(-2)])
    torch.testing.assert_close(received_attention(maps, mask), expected)
    torch.testing.assert_close(received_attention(maps, None), maps.sum(-2))
