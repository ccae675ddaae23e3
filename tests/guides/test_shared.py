"""The object that all guides of one forward share, and the step from values to a loss."""

import pytest
import torch

from agcli import MDG, PDG
from agcli.guides.base import CapturedAttention, term_values
from agcli.guides.variants import weights_text


def test_both_call_forms_agree(received, mask):
    attention = CapturedAttention.of_received(received, mask)
    assert torch.equal(MDG()(attention), MDG()(received, mask))
    assert torch.equal(PDG()(attention), PDG()(received, mask))


def test_mdg_and_pdg_cost_one_gram_matrix(received, mask, monkeypatch):
    products = []
    matmul = torch.Tensor.__matmul__
    monkeypatch.setattr(torch.Tensor, "__matmul__", lambda a, b: products.append(1) or matmul(a, b))
    term_values([MDG(), PDG()], CapturedAttention.of_received(received, mask))
    assert len(products) == 1


def test_the_loss_is_the_weighted_sum_of_the_batch_means(received, mask):
    values = term_values([MDG(weight=0.3), PDG(weight=5.0)], CapturedAttention.of_received(received, mask))
    mdg, pdg = MDG()(received, mask).mean(), PDG()(received, mask).mean()
    assert torch.equal(values.raw["mdg"], mdg)
    assert torch.equal(values.raw["pdg"], pdg)
    torch.testing.assert_close(values.loss, 0.3 * mdg + 5.0 * pdg)


def test_micro_batches_average_to_the_whole_batch(received, mask):
    both, guides = CapturedAttention.of_received(received[:2], mask[:2]), [MDG(), PDG()]
    parts = [
        term_values(guides, CapturedAttention.of_received(received[i : i + 1], mask[i : i + 1])).loss for i in range(2)
    ]
    torch.testing.assert_close(torch.stack(parts).mean(), term_values(guides, both).loss)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_raised_to_float32(received, mask, dtype):
    half = received.to(dtype)
    assert MDG()(half, mask).dtype == torch.float32
    assert torch.equal(PDG()(half, mask), PDG()(half.float(), mask))


def test_autocast_does_not_reach_the_guides(received, mask):
    expected = MDG()(received.float(), mask).mean() + PDG()(received.float(), mask).mean()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        values = term_values([MDG(), PDG()], CapturedAttention.of_received(received.float(), mask))
    torch.testing.assert_close(values.loss, expected, rtol=1e-6, atol=0)


def test_a_mask_may_hold_integers(received, mask):
    assert torch.equal(MDG()(received, mask.long()), MDG()(received, mask))


def test_two_guides_of_one_name_are_refused(received, mask):
    """Their values are told apart by name only."""
    with pytest.raises(ValueError, match="each guide may occur once"):
        term_values([MDG(layers=(0,)), MDG(layers=(1,))], CapturedAttention.of_received(received, mask))


def test_a_tensor_without_mask_is_refused(received):
    with pytest.raises(ValueError, match="needs the mask"):
        MDG()(received)


@pytest.mark.parametrize("shape", [(3, 6, 5), (3, 2, 3, 4)])
def test_wrong_shapes_are_refused(mask, shape):
    with pytest.raises(ValueError, match="received must be"):
        MDG()(torch.ones(shape), mask)


def test_text_forms():
    assert weights_text({"mdg": 0.01, "pdg": 1e-4, "entropy": 0.0}) == ("mdg=0.01", "pdg=0.0001")


def test_autocast_does_not_lower_the_guides() -> None:
    torch.manual_seed(0)
    received, mask = torch.rand(2, 3, 4, 9), torch.ones(2, 9, dtype=torch.bool)
    for guide in (MDG(), PDG(), PDG(columns=None, layers=(0,), heads=(0, 1))):
        outside = guide(received, mask)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(guide(received, mask), outside)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: MDG(reduction="avg"), "reduction"),
        (lambda: PDG(reduction="Mean"), "reduction"),
        (lambda: MDG(temperature=0.0), "temperature"),
        (lambda: PDG(columns=0), "columns"),
        (lambda: MDG(layers=(-1,)), "layers"),
        (lambda: PDG(heads=[0]), "heads"),
    ],
)
def test_a_guide_that_would_compute_something_else_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()
