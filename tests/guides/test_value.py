"""The value of a guide on whole maps: it is that of the guide's class, and wrong input is refused."""

import pytest
import torch
from row_cases import map_batch

import agcli.guides
from agcli import MDG, PDG
from agcli.attention import received_attention
from agcli.guides import guide_value


@pytest.fixture
def inputs():
    batch = map_batch()
    return [batch.maps, batch.tokens.input_ids, batch.tokens.token_type_ids, batch.mask]


@pytest.mark.parametrize("guide", [MDG(), PDG()])
def test_guides_of_received_attention_have_the_reduction_of_their_class(guide):
    batch = map_batch()
    received = torch.stack([received_attention(layer, batch.mask) for layer in batch.maps.unbind(1)], dim=1)
    torch.testing.assert_close(batch.value(guide.name), guide(received, batch.mask), rtol=0, atol=1e-12)
    some = batch.value(guide.name, heads=[3, 1])
    torch.testing.assert_close(some, guide(received[:, :, [3, 1]], batch.mask), rtol=0, atol=1e-12)


def test_token_types_are_optional_and_the_mask_may_hold_integers(inputs):
    maps, ids, _, mask = inputs
    found = guide_value("next", maps, ids, None, mask.long(), heads=range(2))
    assert torch.equal(found, map_batch().value("next", heads=(0, 1)))


def test_a_guide_without_its_signs_is_zero(inputs):
    assert not guide_value("delim", *inputs).any()


def test_an_unknown_guide_is_refused(inputs):
    with pytest.raises(ValueError, match=r"no guide 'nxt'; allowed: mdg, .*Did you mean 'next'\?"):
        guide_value("nxt", *inputs)


@pytest.mark.parametrize("heads", [(4,), (0, -1), (0, 9)])
def test_heads_that_are_not_there_are_refused(inputs, heads):
    with pytest.raises(ValueError, match=r"heads \(.*\) are not allowed; allowed: 0 to 3"):
        guide_value("next", *inputs, heads=heads)


def test_forms_that_are_not_there_are_refused(inputs):
    with pytest.raises(ValueError, match="match: form must be one of nll, squared, got 'released'"):
        guide_value("match", *inputs, form="released")
    with pytest.raises(ValueError, match="the guide entropy has no forms, got form='squared'"):
        guide_value("entropy", *inputs, form="squared")


@pytest.mark.parametrize(
    "maps", [torch.rand(3, 4, 12, 12), torch.rand(3, 2, 4, 12, 11), torch.ones(3, 2, 4, 12, 12).int()]
)
def test_maps_of_another_shape_are_refused(inputs, maps):
    with pytest.raises(ValueError, match="maps must be floating-point and"):
        guide_value("next", maps, *inputs[1:])


@pytest.mark.parametrize(("place", "name"), [(1, "input_ids"), (2, "token_type_ids"), (3, "mask")])
def test_tokens_of_another_shape_are_refused(inputs, place, name):
    inputs[place] = inputs[place][:, :-1]
    with pytest.raises(ValueError, match=rf"{name} must be .* here \(3, 12\), got \(3, 11\)"):
        guide_value("next", *inputs)


def test_the_maps_are_left_as_they_are():
    batch = map_batch()
    before = batch.maps.clone()
    batch.value("next", "squared")
    assert torch.equal(batch.maps, before)


def test_the_package_exports_nothing_else():
    with pytest.raises(AttributeError, match="no attribute 'guide_values'"):
        _ = agcli.guides.guide_values
