"""What holds of every registered guide: padding, other samples and other heads change nothing; gradients are exact."""

from dataclasses import replace

import pytest
import torch
from row_cases import FORMS, TARGET_FORMS, map_batch

from agcli.attention import reference_attention
from agcli.guides.base import CapturedAttention, TargetGuide
from agcli.guides.capture import MAP_QUANTITIES, MASS, Capture, Request
from agcli.guides.registry import GUIDES
from agcli.guides.value import capture_of_maps

ROW_FORMS = [(name, form) for name, form in FORMS if name not in ("mdg", "pdg")]
"""Of a sample without tokens MDG and PDG have the value of equal maps; the others 0."""

each_form = pytest.mark.parametrize(("name", "form"), FORMS)
each_target_form = pytest.mark.parametrize(("name", "form"), TARGET_FORMS)


@each_form
@pytest.mark.parametrize(("before", "after"), [(0, 3), (4, 0), (2, 1)])
def test_padding_on_either_side_changes_nothing(name, form, before, after):
    batch = map_batch()
    value, gradient = batch.value_and_gradient(name, form)
    padded, gradient_padded = batch.padded(before, after).value_and_gradient(name, form)
    torch.testing.assert_close(padded, value, rtol=0, atol=1e-12)
    real = slice(before, before + batch.maps.shape[-1])
    torch.testing.assert_close(gradient_padded[..., real, real], gradient, rtol=0, atol=1e-12)
    assert gradient_padded.count_nonzero() == gradient_padded[..., real, real].count_nonzero()


@each_form
def test_what_stands_in_padding_changes_nothing(name, form):
    batch = map_batch()
    value, gradient = batch.value_and_gradient(name, form)
    cells = (batch.mask[:, :, None] & batch.mask[:, None, :])[:, None, None]
    for rubbish in (7.0, torch.nan):
        dirty, gradient_dirty = replace(batch, maps=batch.maps.masked_fill(~cells, rubbish)).value_and_gradient(
            name, form
        )
        torch.testing.assert_close(dirty, value, rtol=0, atol=1e-12)
        torch.testing.assert_close(gradient_dirty, gradient, rtol=0, atol=1e-12)


@each_form
def test_other_samples_change_nothing(name, form):
    batch = map_batch()
    value, gradient = batch.value_and_gradient(name, form)
    for index in range(3):
        alone, gradient_alone = batch.sample(index).value_and_gradient(name, form)
        torch.testing.assert_close(alone[0], value[index], rtol=0, atol=1e-12)
        torch.testing.assert_close(gradient_alone[0], gradient[index], rtol=0, atol=1e-12)


@each_form
def test_only_guided_heads_count(name, form):
    batch = map_batch()
    value, gradient = batch.value_and_gradient(name, form, heads=(0, 2))
    others_swapped = batch.maps[:, :, [0, 3, 2, 1]]
    assert torch.equal(batch.value(name, form, others_swapped, heads=(0, 2)), value)
    assert not gradient[:, :, [1, 3]].any()
    assert gradient[:, :, [0, 2]].any()
    torch.testing.assert_close(batch.value(name, form, batch.maps[:, :, [0, 2]]), value, rtol=0, atol=1e-12)


@each_form
def test_only_guided_layers_count(name, form):
    batch, kind = map_batch(layers=3), GUIDES[name].load()
    options = {"form": form} if (name, form) in TARGET_FORMS else {}
    guide = kind(layers=(2, 0), **options)
    found = guide(capture_of_maps(guide, batch.maps, batch.tokens))
    torch.testing.assert_close(found, batch.value(name, form, batch.maps[:, [0, 2]]), rtol=0, atol=1e-12)


@each_form
def test_gradients(name, form):
    """Over scores, as a guide is only differentiated at maps whose rows are positive."""
    batch = map_batch(layers=1, heads=2, ids=[[1, 10, 3, 2, 10, 2], [1, 10, 3]])
    scores = batch.maps.clamp_min(1e-300).log().clamp_min(-5).requires_grad_()

    def value(scores):
        maps = scores.masked_fill(~batch.mask[:, None, None, None, :], -1e9).softmax(-1)
        return batch.value(name, form, maps)

    assert torch.autograd.gradcheck(value, scores)


@each_form
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_raised_to_float32(name, form, dtype):
    batch = map_batch()
    half = batch.maps.to(dtype)
    found = batch.value(name, form, half)
    assert found.dtype == torch.float32
    assert torch.equal(found, batch.value(name, form, half.float()))


@each_form
def test_autocast_changes_nothing(name, form):
    batch = map_batch()
    maps = batch.maps.float()
    expected = batch.value(name, form, maps)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = batch.value(name, form, maps)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("name", "form"), ROW_FORMS)
def test_samples_without_tokens_are_zero(name, form):
    value, gradient = map_batch(ids=[[], [1, 10, 3, 2, 10, 2], []]).value_and_gradient(name, form)
    assert value[1] != 0
    assert not value[[0, 2]].any()
    assert not gradient[[0, 2]].any()
    assert gradient.isfinite().all()


@each_form
def test_a_sample_of_one_token_is_finite(name, form):
    value, gradient = map_batch(ids=[[1]]).value_and_gradient(name, form)
    assert value.isfinite().all()
    assert gradient.isfinite().all()


def through_attention(name, form, query, batch, heads=None, dropout=0.0):
    """A guide's value on what attention captures for it."""
    kind = GUIDES[name].load()
    guide = kind(heads=heads, form=form) if (name, form) in TARGET_FORMS else kind(heads=heads)
    targets = {name: guide.target(batch.tokens)} if isinstance(guide, TargetGuide) else {}
    quantities = [f"{MASS}{name}" if need == "mass" else need for need in guide.needs]
    capture = dict.fromkeys(quantities, heads or "all")
    _, captured = reference_attention(
        query, query.flip(-1), query, batch.mask, scaling=0.5, dropout=dropout, capture=capture, targets=targets
    )
    requests = tuple(Request(quantity, "all", heads or "all") for quantity in quantities)
    layers = {quantity: {0: tensor} for quantity, tensor in captured.items()}
    return guide(CapturedAttention(batch.mask, layers, Capture(requests), targets, batch.tokens))


def queries(dtype=torch.float64):
    return torch.randn((3, 4, 12, 8), generator=torch.Generator().manual_seed(1), dtype=dtype, requires_grad=True)


@each_form
@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_a_head_that_is_not_guided_gets_no_gradient(name, form, dropout):
    query, batch = queries(), map_batch()
    through_attention(name, form, query, batch, heads=(1, 2), dropout=dropout).sum().backward()
    assert not query.grad[:, [0, 3]].any()
    assert query.grad[:, 1].any()
    assert query.grad[:, 2].any()
    assert not query.grad[1, :, 7:].any(), "padded tokens"


@each_form
def test_what_attention_captures_gives_the_value_of_its_maps(name, form):
    query, batch = queries(), map_batch()
    _, captured = reference_attention(query, query.flip(-1), query, batch.mask, scaling=0.5, capture={"maps": "all"})
    expected = batch.value(name, form, captured["maps"][:, None])
    torch.testing.assert_close(through_attention(name, form, query, batch), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("name", "form"), [case for case in FORMS if set(GUIDES[case[0]].load()().needs) != {"maps"}])
def test_no_guide_but_those_on_maps_needs_maps(name, form):
    kind = GUIDES[name].load()
    guide = kind(form=form) if (name, form) in TARGET_FORMS else kind()
    assert bool(set(guide.needs) & set(MAP_QUANTITIES)) == (form == "released")
