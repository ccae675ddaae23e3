"""Patterns against loops over the maps: which cells are targets, and the three forms."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from row_cases import PERIOD, SEP, map_batch

from agcli import First, Next
from agcli.attention import reference_attention
from agcli.guides.base import CapturedAttention
from agcli.guides.capture import Capture, Request

PATTERNS = ("next", "prev", "self", "first", "delim", "period")
each_pattern = pytest.mark.parametrize("name", PATTERNS)


def positions(name, ids, row):
    """The targets of a row among the real tokens of one input."""
    match name:
        case "next":
            return [row + 1] if row + 1 < len(ids) else []
        case "prev":
            return [row - 1] if row else []
        case "self":
            return [row]
        case "first":
            return [0]
        case "delim":
            return [place for place, token in enumerate(ids) if token == SEP]
        case "period":
            return [place for place, token in enumerate(ids) if token in (PERIOD, 4)]


def real_parts(batch):
    """Maps (layers, heads, n, n) and ids of the real tokens of each sample."""
    for maps, ids, mask in zip(batch.maps, batch.tokens.input_ids, batch.mask, strict=True):
        yield maps[:, :, mask][..., mask], ids[mask].tolist()


def naive(name, form, batch):
    """One value a sample, cell by cell."""
    values = []
    for maps, ids in real_parts(batch):
        n, terms, released = len(ids), [], 0.0
        for layer in maps:
            cells = []
            for head in layer:
                for row in range(n):
                    targets = positions(name, ids, row)
                    uniform = [(column in targets) / max(len(targets), 1) for column in range(n)]
                    cells += [(head[row, column].item() - (column in targets)) ** 2 for column in range(n)]
                    if not targets:
                        continue
                    if form == "nll":
                        terms.append(-math.log(sum(head[row, column].item() for column in targets)))
                    else:
                        terms.append(sum((head[row, column].item() - uniform[column]) ** 2 for column in range(n)))
            released += sum(cells) / max(len(cells), 1)
        values.append(released if form == "released" else sum(terms) / max(len(terms), 1))
    return torch.tensor(values, dtype=torch.float64)


@each_pattern
@pytest.mark.parametrize("form", ["nll", "squared", "released"])
def test_equals_the_loop(name, form):
    batch = map_batch()
    torch.testing.assert_close(batch.value(name, form), naive(name, form, batch), rtol=0, atol=1e-12)


@given(
    name=st.sampled_from(PATTERNS),
    form=st.sampled_from(["nll", "squared", "released"]),
    ids=st.lists(st.lists(st.integers(1, 5), max_size=7), min_size=1, max_size=3),
    heads=st.integers(1, 3),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=60, deadline=None)
def test_any_input_equals_the_loop(name, form, ids, heads, seed):
    batch = map_batch(layers=1, heads=heads, ids=ids, seed=seed)
    torch.testing.assert_close(batch.value(name, form), naive(name, form, batch), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("name", "offset"), [("next", 1), ("prev", -1), ("self", 0)])
def test_released_is_the_plain_mean_without_padding(name, offset):
    batch = map_batch(ids=[[1, 10, 3, 2], [1, 11, 12, 2]])
    expected = (batch.maps - torch.ones(3 + (offset == 0)).double().diag(offset)).square().mean((2, 3, 4)).sum(1)
    torch.testing.assert_close(batch.value(name, "released"), expected, rtol=0, atol=1e-12)


def test_uniform_attention_scores_what_the_released_code_does():
    """At 512 tokens 0.0019455 for [Next] and 0.0019493 for [First], in each layer; their sum over layers."""
    maps = torch.full((1, 3, 1, 512, 512), 1 / 512, dtype=torch.float64)
    batch = map_batch(ids=[[9] * 512])
    for name, expected in (("next", 0.0019455), ("prev", 0.0019455), ("first", 0.0019493)):
        assert batch.value(name, "released", maps).item() == pytest.approx(3 * expected, abs=2e-7)


def test_samples_without_a_target_are_zero_and_have_no_gradient():
    for form in ("nll", "squared"):
        value, gradient = map_batch(ids=[[1, 10, 2], [1, PERIOD, 2]]).value_and_gradient("period", form)
        assert value[0] == 0.0
        assert not gradient[0].any()
        assert value[1] > 0


def test_perfect_attention_is_the_minimum():
    batch = map_batch(ids=[[1, PERIOD, 10, 4, 2]])
    maps = torch.zeros_like(batch.maps)
    maps[..., [1, 3]] = 0.5
    assert batch.value("period", "nll", maps).item() == 0.0
    assert batch.value("period", "squared", maps).item() == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("form", ["nll", "squared"])
def test_a_mass_that_underflows_is_finite_and_so_is_its_gradient(form):
    """Scores of ±10,000: in float32 the mass of the next token is exactly 0 in most rows."""
    query = (100 * torch.randn((1, 2, 8, 4), generator=torch.Generator().manual_seed(0))).requires_grad_()
    batch, guide = map_batch(ids=[list(range(10, 18))]), Next(form=form)
    targets = {"next": guide.target(batch.tokens)}
    names = ("mass:next", "squared_norm")
    _, captured = reference_attention(
        query, query, query, batch.mask, scaling=1.0, capture=dict.fromkeys(names, "all"), targets=targets
    )
    assert (captured["mass:next"] == 0).any()
    layers = {quantity: {0: tensor} for quantity, tensor in captured.items()}
    attention = CapturedAttention(batch.mask, layers, Capture(tuple(map(Request, names))), targets, batch.tokens)
    value = guide(attention)
    assert value.isfinite().all()
    value.sum().backward()
    assert query.grad.isfinite().all()


def test_rows_that_cannot_reach_their_target_are_left_out_of_nll():
    """A window of two tokens on each side hides the first token from all rows but three."""
    batch = map_batch(layers=1, heads=1, ids=[list(range(10, 18))])
    positions = torch.arange(8)
    maps = ((positions[:, None] - positions).abs() <= 2).double()
    maps = (maps / maps.sum(-1, keepdim=True)).reshape(1, 1, 1, 8, 8)
    assert batch.value("first", "nll", maps).item() == pytest.approx((math.log(3) + math.log(4) + math.log(5)) / 3)


@pytest.mark.parametrize("mass", [1e-35, 1e-20])
def test_a_small_mass_sends_no_more_than_fp16s_loss_scale_can_bear(mass):
    batch = map_batch(layers=1, heads=1, ids=[[9, 9]])
    maps = torch.tensor([[1.0, mass], [1.0, 0.0]]).reshape(1, 1, 1, 2, 2).requires_grad_()
    value = batch.value("next", "nll", maps)
    assert value.item() == pytest.approx(-math.log(max(mass, 1e-30)), rel=1e-6)
    (65536.0 * value).sum().backward()
    assert maps.grad.isfinite().all()
    assert maps.grad.any() == (mass > 1e-30)


def test_nll_moves_heads_that_do_not_attend_yet_and_the_other_forms_hardly():
    """At uniform attention over L tokens the gradients differ by a factor L/2 and, of means over cells, L³/2(L − 1)."""
    length, batch, norms = 128, map_batch(layers=1, heads=1, ids=[[9] * 128]), {}
    for form in ("nll", "squared", "released"):
        scores = torch.zeros((1, 1, 1, length, length), dtype=torch.float64, requires_grad=True)
        [gradient] = torch.autograd.grad(batch.value("next", form, scores.softmax(-1)).sum(), scores)
        norms[form] = gradient.norm().item()
    assert norms["nll"] / norms["squared"] == pytest.approx(length / 2)
    assert norms["nll"] / norms["released"] == pytest.approx(length**3 / 2 / (length - 1))


def test_the_weight_is_not_applied():
    batch = map_batch()
    guide, heavy = First(), First(weight=7.0)
    targets = {"first": guide.target(batch.tokens)}
    captured = {"mass:first": {0: torch.rand((3, 1, 12), generator=torch.Generator().manual_seed(0))}}
    attention = CapturedAttention(batch.mask, captured, Capture((Request("mass:first"),)), targets, batch.tokens)
    assert torch.equal(guide(attention), heavy(attention))
