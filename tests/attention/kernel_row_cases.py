"""Numbers of the map's rows by the Triton kernels: mass on targets, squared norm and entropy, against whole maps."""

from __future__ import annotations

import pytest
import torch
from captures import attention_maps
from kernel_runs import (
    BLOCKS,
    CAPTURES,
    DEVICE,
    SCALING,
    SMALL,
    TOLERANCE,
    doubled,
    dropped_map,
    normal,
    on_a_gpu,
    ragged,
    targets_of,
    tensors,
)

from agcli.attention import guided_attention
from agcli.attention.reference import reference_attention
from agcli.attention.triton import operators
from agcli.attention.triton.attention import triton_attention
from agcli.attention.triton.tiles import Tile, Tiles
from agcli.guides.targets import Cells, Columns, Diagonal, dense


def by_maps(query, key, value, mask, *, scaling, capture, targets, kept=1.0):
    """Output and captured quantities by their definitions, in float64."""
    real = mask[:, None, :, None].double()
    maps = attention_maps(query, key, mask, scaling=scaling) * real
    everywhere = {
        "received": maps.sum(-2),
        "squared_norm": maps.square().sum(-1),
        "entropy": -(maps * maps.clamp(min=1e-300).log()).sum(-1),
        **{f"mass:{name}": (maps * dense(t, mask)[:, None].double()).sum(-1) for name, t in targets.items()},
    }
    captured = {name: everywhere[name][:, slice(None) if h == "all" else list(h)] for name, h in capture.items()}
    return (maps * kept) @ value, captured


def run(attention, inputs, mask, capture, sends=None, **options):
    """Output and quantities by name, and the three gradients; `sends` are what is sent a gradient, else all."""
    targets = targets_of(mask, inputs[0].shape[2])
    output, captured = attention(*inputs, mask, scaling=SCALING, capture=capture, targets=targets, **options)
    real = mask[:, None, :, None]
    found = {"output": output * real, **captured}
    loss = sum(
        (found[name] * normal(*found[name].shape, seed=number)).sum()
        for number, name in enumerate(["output", *capture])
        if sends is None or name in sends
    )
    grads = torch.autograd.grad(loss, inputs, allow_unused=True)
    grads = {name: torch.zeros_like(x) if g is None else g for name, x, g in zip("qkv", inputs, grads, strict=True)}
    return {name: tensor.detach() for name, tensor in {**found, **grads}.items()}


def assert_near(found, expected, tolerance):
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].shape == tensor.shape, name
        assert found[name].isfinite().all(), name
        size = max(tensor.norm().item(), 0.5)
        assert (found[name].double() - tensor).norm().item() <= tolerance * size, name


def compare(inputs, mask, capture, sends=None):
    found = run(triton_attention, inputs, mask, capture, sends)
    assert all(found[name].dtype == torch.float32 for name in capture)
    assert_near(found, run(by_maps, doubled(inputs), mask, capture, sends), TOLERANCE[inputs[0].dtype])


SHAPES = {"one token": (1, 1), "a whole map": (20, 20, 11, 0), "many blocks": (70, 70, 0)}
"""Length, and real tokens of each sample: the last two have one that is padding throughout."""


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("capture", CAPTURES)
def test_equals_the_definitions(capture, shape):
    length, *real = SHAPES[shape]
    compare(tensors(len(real), 5, length, 16), ragged(length, *real), CAPTURES[capture])


@pytest.mark.parametrize("length", [33, 70])
def test_without_a_mask_too_and_as_the_reference(length):
    inputs, capture = tensors(2, 5, length, 24), CAPTURES["all"]
    targets = targets_of(ragged(length, length, length), length)
    settings = {"scaling": SCALING, "capture": capture, "targets": targets}
    output, captured = triton_attention(*inputs, None, **settings)
    expected, references = reference_attention(*doubled(inputs), None, **settings)
    assert_near({"output": output, **captured}, {"output": expected, **references}, 1e-5)


@pytest.mark.parametrize(("length", "dtype"), [(20, torch.float16), (20, torch.bfloat16), (70, torch.bfloat16)])
def test_equals_the_definitions_in_16_bits(length, dtype):
    compare(tensors(2, 5, length, 16, dtype), ragged(length, length, 9), CAPTURES["all"])


def test_padding_may_lie_anywhere():
    mask = normal(2, 70) > 0.3
    mask[0, :35] = False
    mask[:, 36] = True
    compare(tensors(2, 5, 70, 16), mask, CAPTURES["all"], {"entropy", "mass:next", "mass:near"})


@pytest.mark.parametrize(
    ("length", "name"),
    [*((20, name) for name in ("entropy", "squared_norm", "mass:next", "mass:word")), (70, "mass:near")],
)
def test_each_quantity_may_get_a_gradient_alone(length, name):
    """What is captured and not guided, such as a monitor, sends nothing; nor has a head that is not guided any."""
    inputs, mask, capture = tensors(2, 5, length, 16), ragged(length, length, 13), CAPTURES["all"]
    found = run(triton_attention, inputs, mask, capture, {name})
    assert_near(found, run(by_maps, doubled(inputs), mask, capture, {name}), 1e-5)
    others = [head for head in range(5) if head not in capture[name]]
    assert all((found[x][:, others] == 0).all() for x in "qkv")
    assert found["q"][:, list(capture[name])].abs().sum() > 0


def test_nothing_comes_back_where_no_quantity_gets_a_gradient():
    inputs, mask = tensors(2, 5, 20, 16), ragged(20, 20, 13)
    found = run(triton_attention, inputs, mask, CAPTURES["all"], {"output"})
    expected = run(triton_attention, inputs, mask, {}, {"output"})
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("length", [40, 70])
def test_numbers_are_of_the_clean_map_under_dropout(length):
    inputs, mask, capture = tensors(1, 5, length, 40), ragged(length, length - 3), CAPTURES["all"]
    kept = (dropped_map(inputs, mask, 5, 0.25) != 0) / 0.75
    torch.manual_seed(5)
    found = run(triton_attention, inputs, mask, capture, dropout=0.25)
    assert_near(found, run(by_maps, doubled(inputs), mask, capture, kept=kept.double()), 1e-5)


def test_a_cut_into_blocks_changes_nothing(monkeypatch):
    inputs, mask, results = tensors(1, 5, 64, 16), ragged(64, 50), []
    for tiles in (Tiles(Tile(64, 64, 4, 1), Tile(64, 32, 4, 1), SMALL, SMALL, SMALL), BLOCKS):
        monkeypatch.setattr(operators, "_tiles", lambda *_, tiles=tiles: tiles)
        torch.manual_seed(1)
        results.append(run(triton_attention, inputs, mask, CAPTURES["all"], dropout=0.3))
    for name, tensor in results[0].items():
        torch.testing.assert_close(results[1][name], tensor, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("length", [20, 70])
def test_uniform_and_one_hot_rows(length):
    """Where attention is uniform the entropy is ln n; on one key it is 0, and no gradient is lost to ln 0."""
    query = torch.zeros(1, 1, length, 16, device=DEVICE, requires_grad=True)
    key, capture = normal(1, 1, length, 16), {"entropy": "all", "squared_norm": "all", "received": "all"}
    _, captured = triton_attention(query, key, key, ragged(length, 11), scaling=1.0, capture=capture)
    assert torch.allclose(captured["entropy"][..., :11], torch.full((), 11.0, device=DEVICE).log())
    assert torch.allclose(captured["squared_norm"][..., :11], torch.full((), 1 / 11, device=DEVICE))
    assert (captured["entropy"][..., 11:] == 0).all()
    query = (normal(1, 1, length, 16) * 1e4).requires_grad_()
    _, captured = triton_attention(query, query, query, ragged(length, 11), scaling=1.0, capture=capture)
    [grad] = torch.autograd.grad(captured["entropy"].sum(), query)
    assert (captured["entropy"] == 0).all()
    assert (captured["squared_norm"][..., :11] == 1).all()
    assert (grad == 0).all()


def test_padding_changes_nothing():
    inputs, capture = tensors(1, 2, 30, 16), {"mass:next": (1,), "entropy": "all", "mass:near": (0,)}
    near = normal(1, 30, 30).abs()
    wide, cells = [torch.full((1, 2, 90, 16), 50.0, device=DEVICE) for _ in range(3)], torch.zeros(1, 90, 90)
    for plain, padded in zip(inputs, wide, strict=True):
        padded[:, :, :30] = plain.detach()
    cells[:, :30, :30] = near
    results = []
    for x, mask, weights in ((inputs, None, near), (wide, ragged(90, 30), cells.to(DEVICE))):
        targets = {"next": Diagonal(1), "near": Cells(weights)}
        results.append(triton_attention(*x, mask, scaling=SCALING, capture=capture, targets=targets)[1])
    for name, tensor in results[0].items():
        assert torch.allclose(results[1][name][..., :30], tensor, atol=1e-6), name
        assert (results[1][name][..., 30:] == 0).all(), name


def test_guided_attention_runs_the_kernels():
    inputs, mask = tensors(2, 5, 20, 16), ragged(20, 20, 13)
    forced = run(guided_attention, inputs, mask, CAPTURES["all"], implementation="triton")
    assert_near(forced, run(by_maps, doubled(inputs), mask, CAPTURES["all"]), 1e-5)


@pytest.mark.parametrize(
    ("target", "cause"),
    [
        (Columns(torch.zeros(2, 7)), r"^target 'next' must have weights \(2, 8\), got \(2, 7\)$"),
        (Cells(torch.zeros(2, 8)), r"^target 'next' must have weights \(2, 8, 8\), got \(2, 8\)$"),
        (Columns(torch.zeros(2, 8, requires_grad=True)), "^target 'next': no gradient is computed of a target"),
    ],
)
def test_weights_the_kernels_would_misread_are_refused(target, cause):
    query, settings = torch.zeros(2, 1, 8, 16, device=DEVICE), {"scaling": 1.0, "implementation": "triton"}
    with pytest.raises(ValueError, match=cause):
        guided_attention(query, query, query, None, capture={"mass:next": "all"}, targets={"next": target}, **settings)


@pytest.mark.parametrize("offset", [8, -8, 10**12])
def test_a_diagonal_outside_the_map_has_no_mass(offset):
    query, targets = normal(2, 1, 8, 16).requires_grad_(), {"next": Diagonal(offset)}
    _, captured = triton_attention(
        query, query, query, None, scaling=1.0, capture={"mass:next": "all"}, targets=targets
    )
    assert (captured["mass:next"] == 0).all()
    assert (torch.autograd.grad(captured["mass:next"].sum(), query)[0] == 0).all()


@on_a_gpu
@pytest.mark.parametrize("head_dim", [32, 64, 128])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_equals_the_definitions_at_every_length_class(dtype, head_dim):
    for length in (17, 50, 100, 200, 300, 1030):
        mask = ragged(length, length, length // 2)
        for capture in CAPTURES.values():
            compare(tensors(2, 5, length, head_dim, dtype), mask, capture)
