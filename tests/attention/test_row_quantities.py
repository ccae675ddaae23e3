"""Masses, squared norms and entropies of rows by the reference and the CPU path, against whole maps in float64."""

from types import MappingProxyType

import pytest
import torch
from captures import attention_maps
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.checkpoint import checkpoint

from agcli.attention import Capture, Cells, Columns, Diagonal, Request, attach, guided_attention
from agcli.attention import cpu as blockwise
from agcli.attention import dispatch as selection
from agcli.attention.captured import head_runs
from agcli.errors import UsageError
from agcli.guides.capture import of_heads
from agcli.guides.quantities import quantity_of_maps

SCALING, HEADS = 0.7, 5
LENGTHS = (9, 5, 1, 0)
PATHS = ["reference", "cpu"]
CAPTURE = {
    "received": (1, 3),
    "mass:next": (0,),
    "mass:prev": (1, 2),
    "mass:self": "all",
    "mass:columns": (0, 3, 4),
    "mass:cells": (2, 4),
    "squared_norm": (0, 4),
    "entropy": (4, 1, 2),  # in this order
}
"""Head 0 is in four masses and norms; no quantity but `mass:self` is of all heads."""


def real_tokens(lengths, padded=None):
    return torch.arange(padded or max(lengths)) < torch.tensor(lengths)[:, None]


def make_targets(real):
    generator = torch.Generator().manual_seed(2)
    batch, length = real.shape
    cells = real[:, :, None] & real[:, None, :]
    return {
        "next": Diagonal(1),
        "prev": Diagonal(-1),
        "self": Diagonal(0),
        "columns": Columns((torch.rand(batch, length, generator=generator) < 0.4) * real.double()),
        "cells": Cells(torch.rand((batch, length, length), generator=generator, dtype=torch.float64) * cells),
    }


def draw(lengths=LENGTHS, padded=None, heads=HEADS, head_dim=4, dtype=torch.float64):
    """Queries, keys, values; what comes back to the output, 0 at padded rows, and to each quantity."""
    generator = torch.Generator().manual_seed(0)
    real = real_tokens(lengths, padded)
    shape = (len(lengths), heads, real.shape[1], head_dim)
    *qkv, output = (torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for _ in range(4))
    counts = {name: heads if chosen == "all" else len(chosen) for name, chosen in CAPTURE.items()}
    upstream = {
        name: torch.randn((len(lengths), count, real.shape[1]), generator=generator, dtype=torch.float64)
        for name, count in counts.items()
    }
    return qkv, {"output": (output * real[:, None, :, None]).to(dtype), **upstream}


def path(implementation, lengths=LENGTHS, padded=None, capture=CAPTURE, dropout=0.0, targets=None):
    """Attention as a function of queries, keys and values that returns a dictionary."""
    real = real_tokens(lengths, padded)
    settings = {"scaling": SCALING, "dropout": dropout, "implementation": implementation, "capture": capture}
    targets = make_targets(real) if targets is None else targets

    def attention(query, key, value):
        torch.manual_seed(0)
        output, captured = guided_attention(query, key, value, real, targets=targets, **settings)
        return {"output": output * real[:, None, :, None], **captured}

    return attention


def truth(lengths=LENGTHS, padded=None, kept=1.0):
    """The definitions on whole maps by plain autograd; `kept` is a factor on the maps of the task's path."""
    real = real_tokens(lengths, padded)
    targets = make_targets(real)

    def attention(query, key, value):
        scores = (query @ key.mT * SCALING).masked_fill(~real[:, None, None, :], torch.finfo(query.dtype).min)
        maps = scores.softmax(-1)
        captured = {
            name: quantity_of_maps(name, of_heads(maps, heads), real, targets) for name, heads in CAPTURE.items()
        }
        return {"output": (maps * kept) @ value * real[:, None, :, None], **captured}

    return attention


def run(attention, qkv, upstream):
    """All outputs, and the gradients of queries, keys and values."""
    leaves = [tensor.detach().clone().requires_grad_() for tensor in qkv]
    outputs = attention(*leaves)
    used = {name: outputs[name] for name in upstream if name in outputs}
    torch.autograd.backward(list(used.values()), [upstream[name].to(one.dtype) for name, one in used.items()])
    gradients = zip(("query", "key", "value"), leaves, strict=True)
    found = {name: tensor.detach() for name, tensor in outputs.items()}
    return found | {name: torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for name, leaf in gradients}


def assert_same(found, expected, tolerance=1e-12):
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=tolerance, msg=lambda text, n=name: f"{n}: {text}")


@pytest.mark.parametrize("cells", [1 << 20, 200, 30, 1])
@pytest.mark.parametrize("padded", [None, 12])
@pytest.mark.parametrize("implementation", PATHS)
def test_values_and_gradients_are_those_of_whole_maps(monkeypatch, implementation, padded, cells):
    """Also in blocks of some heads and of some rows, of which `mass:columns` takes heads on both sides of a border."""
    monkeypatch.setattr(blockwise, "BLOCK_CELLS", cells)
    qkv, upstream = draw(padded=padded)
    assert_same(run(path(implementation, padded=padded), qkv, upstream), run(truth(padded=padded), qkv, upstream))


@pytest.mark.parametrize("quantity", CAPTURE)
@pytest.mark.parametrize("with_task", [True, False])
@pytest.mark.parametrize("implementation", PATHS)
def test_each_gradient_alone_is_that_of_whole_maps(implementation, with_task, quantity):
    """All are captured; the loss is of one of them, with and without the task's."""
    qkv, upstream = draw()
    used = {name: upstream[name] for name in (quantity, *(["output"] if with_task else []))}
    assert_same(run(path(implementation), qkv, used), run(truth(), qkv, used))


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("implementation", PATHS)
def test_gradients_are_those_of_finite_differences(implementation, dropout):
    capture = {name: heads if heads == "all" else (0, 1)[: len(heads)] for name, heads in CAPTURE.items()}
    qkv, _ = draw((3, 2, 0), heads=2, head_dim=2)
    attention = path(implementation, (3, 2, 0), capture=capture, dropout=dropout)
    inputs = [tensor.requires_grad_() for tensor in qkv]
    assert torch.autograd.gradcheck(lambda *qkv: tuple(attention(*qkv).values()), inputs)


@pytest.mark.parametrize("implementation", PATHS)
def test_dropout_acts_on_the_tasks_path_only(implementation):
    """With the identity as values the output is the dropped map, which shows what is kept."""
    qkv, upstream = draw(head_dim=max(LENGTHS))
    identity = torch.eye(max(LENGTHS), dtype=torch.float64).expand(len(LENGTHS), HEADS, -1, -1)
    attention = path(implementation, dropout=0.3)
    kept = (attention(*qkv[:2], identity)["output"] != 0).double() / 0.7
    assert 0 < kept[0].count_nonzero() < kept[0].numel()
    found, expected = run(attention, qkv, upstream), run(truth(kept=kept), qkv, upstream)
    assert_same(found, expected)
    clean = path(implementation)(*qkv)
    assert all(torch.equal(found[name], clean[name]) for name in CAPTURE)


@pytest.mark.parametrize("sample", [0, 1, 2])
@pytest.mark.parametrize("implementation", PATHS)
def test_padding_and_other_samples_change_nothing(implementation, sample):
    qkv, upstream = draw(padded=12)
    together, length = run(path(implementation, padded=12), qkv, upstream), LENGTHS[sample]
    targets = make_targets(real_tokens(LENGTHS, 12))
    for name, kind in (("columns", Columns), ("cells", Cells)):
        weights = targets[name].weights[sample : sample + 1]
        targets[name] = kind(weights[:, :length] if kind is Columns else weights[:, :length, :length])
    qkv, upstream = (
        [tensor[sample : sample + 1, :, :length] for tensor in qkv],
        {name: tensor[sample : sample + 1, :, :length] for name, tensor in upstream.items()},
    )
    alone = run(path(implementation, (length,), targets=targets), qkv, upstream)
    assert_same({name: tensor[sample : sample + 1, :, :length] for name, tensor in together.items()}, alone)
    for name in (*CAPTURE, *(("query", "key", "value") if implementation == "cpu" else ())):
        assert not together[name][sample, :, length:].any(), name


@pytest.mark.parametrize("implementation", PATHS)
def test_an_uncaptured_head_gets_no_gradient_at_all(implementation):
    qkv, upstream = draw()
    found = run(path(implementation), qkv, {"mass:prev": upstream["mass:prev"]})
    for name in ("query", "key"):
        assert not found[name][:, [0, 3, 4]].any()
        assert found[name][:2, [1, 2]].any(-1).any(-1).all()
    assert not found["value"].any()


@pytest.mark.parametrize("implementation", PATHS)
def test_a_capture_of_some_heads_gives_what_one_of_all_gives(implementation):
    qkv, _ = draw()
    whole = path(implementation, capture=dict.fromkeys(CAPTURE, "all"))(*qkv)
    for name, tensor in path(implementation)(*qkv).items():
        expected = whole[name] if name == "output" else of_heads(whole[name], CAPTURE[name])
        torch.testing.assert_close(tensor, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("implementation", PATHS)
def test_one_token_and_none(implementation):
    """A lone token attends to itself: mass 1 on itself, norm 1, entropy 0, and no score has a gradient."""
    lengths = (1, 0)
    qkv, upstream = draw(lengths, padded=3)
    found = run(path(implementation, lengths, 3), qkv, upstream)
    assert found["mass:self"][0, :, 0].tolist() == [1.0] * HEADS
    assert found["squared_norm"][0, :, 0].tolist() == [1.0, 1.0]
    for name in CAPTURE:
        assert not found[name][1].any()
    for name in ("mass:next", "mass:prev", "entropy"):
        assert not found[name].any()
    for name in ("query", "key"):
        torch.testing.assert_close(found[name], torch.zeros_like(found[name]), rtol=0, atol=1e-14)


@pytest.mark.parametrize("implementation", PATHS)
@pytest.mark.parametrize("scale", [30.0, 1e4])
def test_rows_near_one_hot_have_finite_values_and_gradients(implementation, scale):
    """Scores so far apart that most cells of a map in float32 are exactly 0."""
    (query, key, value), upstream = draw(dtype=torch.float32)
    found = run(path(implementation), (query * scale, key, value), upstream)
    maps = attention_maps(query * scale, key, real_tokens(LENGTHS), scaling=SCALING)
    assert (maps[0] == 0).any()
    assert all(tensor.isfinite().all() for tensor in found.values())
    exact = run(truth(), [tensor.double() for tensor in (query * scale, key, value)], upstream)
    for name in ("squared_norm", "entropy"):
        torch.testing.assert_close(found[name].double(), exact[name], rtol=0, atol=2e-2)


@pytest.mark.parametrize("implementation", PATHS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_lower_precision_is_close(implementation, dtype, tolerance):
    qkv, upstream = draw(dtype=dtype)
    found = run(path(implementation), qkv, upstream)
    expected = run(truth(), [tensor.double() for tensor in qkv], upstream)
    for name, tensor in expected.items():
        assert found[name].dtype == (torch.float32 if name in CAPTURE else dtype)
        assert (found[name].double() - tensor).norm() <= tolerance * tensor.norm(), name


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("implementation", PATHS)
def test_checkpointed_layers_give_the_same(implementation, reentrant):
    qkv, upstream = draw()
    attention = path(implementation, dropout=0.3)

    def checkpointed(*qkv):
        names = list(attention(*(tensor.detach() for tensor in qkv)))
        values = checkpoint(lambda *qkv: tuple(attention(*qkv).values()), *qkv, use_reentrant=reentrant)
        return dict(zip(names, values, strict=True))

    assert_same(run(checkpointed, qkv, upstream), run(attention, qkv, upstream), 0)


def test_the_cpu_path_keeps_no_map_and_no_copy_of_a_target():
    lengths = (64,)
    targets = make_targets(real_tokens(lengths))
    qkv, _ = draw(lengths, heads=HEADS)
    kept = {}
    for implementation in PATHS:
        kept[implementation] = []
        with saved_tensors_hooks(
            lambda tensor, sizes=kept[implementation]: sizes.append(tensor.numel()) or tensor, lambda tensor: tensor
        ):
            output, _ = guided_attention(
                *(tensor.requires_grad_() for tensor in qkv), real_tokens(lengths),
                scaling=SCALING, capture=CAPTURE, targets=targets, implementation=implementation,
            )  # fmt: skip
        if implementation == "cpu":
            assert output.grad_fn.captured.targets is targets
            assert not any(isinstance(held, torch.Tensor) for held in vars(output.grad_fn).values())
    assert max(kept["cpu"]) == qkv[0].numel() < 64**2 * HEADS == max(kept["reference"])


@pytest.mark.parametrize("implementation", PATHS)
def test_gradients_handed_in_are_left_as_they_were(implementation):
    """Without dropout and with the maps themselves captured, whose gradient is the caller's own tensor."""
    qkv, upstream = draw()
    before = {name: tensor.clone() for name, tensor in upstream.items()}
    run(path(implementation), qkv, upstream)
    if implementation == "reference":
        maps = torch.randn((len(LENGTHS), HEADS, max(LENGTHS), max(LENGTHS)), dtype=torch.float64)
        for name in ("maps", "dropped_maps"):
            used = {name: maps.clone(), "entropy": upstream["entropy"]}
            run(path(implementation, capture={"entropy": (4, 1, 2), name: "all"}), qkv, used)
            assert torch.equal(used[name], maps)
    assert all(torch.equal(upstream[name], tensor) for name, tensor in before.items())


@pytest.mark.parametrize(
    ("heads", "block", "runs"),
    [
        ("all", (4, 8), [((0, 4), (4, 8))]),
        ((0, 1, 2), (0, 12), [((0, 3), (0, 3))]),
        ((3, 4, 9), (4, 8), [((0, 1), (1, 2))]),
        ((5, 4, 7, 8), (4, 12), [((1, 2), (0, 1)), ((0, 1), (1, 2)), ((3, 5), (2, 4))]),
        ((0, 1), (4, 8), []),
    ],
)
def test_heads_in_a_block_come_in_runs(heads, block, runs):
    assert list(head_runs(heads, slice(*block))) == [(slice(*here), slice(*there)) for here, there in runs]


@pytest.mark.parametrize("length", [selection.SHORT - 1, selection.SHORT])
def test_auto_takes_the_cpu_path_for_them_too(length):
    query = torch.zeros(1, HEADS, length, 4)
    settings = {"dropout": 0.0, "window": None, "capture": CAPTURE, "implementation": "auto"}
    assert selection.choose(query, None, **settings) == ("reference" if length < selection.SHORT else "cpu")
    kept = selection.why_maps_are_kept("auto", query, CAPTURE)
    assert (kept is None) == (length >= selection.SHORT)
    assert selection.choose(query, None, **(settings | {"implementation": "cpu"})) == "cpu"


@pytest.mark.parametrize("implementation", PATHS)
def test_a_target_that_wants_a_gradient_is_refused(implementation):
    qkv, _ = draw(padded=12)
    target = Columns(torch.zeros(4, 12, requires_grad=True))
    with pytest.raises(ValueError, match="target 'learned': no gradient is computed of a target; detach its weights"):
        path(implementation, padded=12, capture={"mass:learned": "all"}, targets={"learned": target})(*qkv)
    with pytest.raises(ValueError, match="target 'bare' must be a Diagonal, Columns or Cells, got Tensor"):
        path(implementation, padded=12, capture={"mass:bare": "all"}, targets={"bare": torch.zeros(4, 12)})(*qkv)


@pytest.mark.parametrize("implementation", PATHS)
@pytest.mark.parametrize(
    ("capture", "message"),
    [
        ({"mass:following": "all"}, "mass:following needs a target named 'following'; there are: next, prev, self"),
        ({"mass:next": (0, 5)}, r"mass:next: heads \(0, 5\) are not allowed; allowed: 0 to 4"),
        ({"entropy": (-1,)}, r"entropy: heads \(-1,\) are not allowed"),
        ({"entropy": (1, 1)}, r"entropy: heads \(1, 1\) are not allowed; .* each once"),
        ({"entropy": "al"}, "entropy: heads 'al' are not allowed; .* in a tuple, each once, or \"all\""),
        ({"entropi": "all"}, "there is no quantity 'entropi'; allowed: received, squared_norm, entropy"),
        ({"mass:cells": "all"}, r"target 'cells' must have weights \(4, 12, 12\), got \(4, 9, 9\)"),
        ({"mass:columns": "all"}, r"target 'columns' must have weights \(4, 12\), got \(4, 9\)"),
    ],
)
def test_what_does_not_belong_together_is_refused(implementation, capture, message):
    qkv, _ = draw(padded=12)
    with pytest.raises(ValueError, match=message):
        path(implementation, padded=12, capture=capture, targets=make_targets(real_tokens(LENGTHS)))(*qkv)


TARGETS_OF_ENCODERS = MappingProxyType({"next": Diagonal(1), "first": Columns(torch.eye(12)[:1].expand(3, 12))})
REQUESTS = (
    Request("mass:next", (1,), (0,)),
    Request("mass:first", (1,), (0, 3)),
    Request("squared_norm", (1,), (2,)),
    Request("entropy", (1,), (3,)),
    Request("received", (1,), (1, 2)),
)
SECOND = Capture(REQUESTS)


def outcome(model, batch, implementation, compiled=None):
    """Logits, the quantities of layer 1, and the gradients of a loss of both."""
    attention = attach(model, implementation)
    mask = batch["attention_mask"].bool()
    model.zero_grad()
    torch.manual_seed(0)
    call = model if compiled is None else compiled
    outputs = call(**batch, **attention.forward_kwargs(SECOND, targets=TARGETS_OF_ENCODERS))
    captured = attention.collect(outputs, mask, SECOND, TARGETS_OF_ENCODERS)
    assert {name: set(layers) for name, layers in captured.items()} == {name: {1} for name in SECOND.quantities}
    found = {name: layers[1] for name, layers in captured.items()}
    (outputs.logits.square().sum() + sum(tensor.square().sum() for tensor in found.values())).backward()
    found |= {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    return {name: tensor.detach().clone() for name, tensor in ({"logits": outputs.logits} | found).items()}


def eager(model, batch):
    """The same from transformers' own maps."""
    model.zero_grad()
    model.set_attn_implementation("eager")
    outputs = model(**batch, output_attentions=True)
    mask = batch["attention_mask"].bool()
    found = {
        request.quantity: quantity_of_maps(
            request.quantity, of_heads(outputs.attentions[1], request.heads), mask, TARGETS_OF_ENCODERS
        )
        for request in REQUESTS
    }
    (outputs.logits.square().sum() + sum(tensor.square().sum() for tensor in found.values())).backward()
    found |= {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    return {name: tensor.detach().clone() for name, tensor in ({"logits": outputs.logits} | found).items()}


@pytest.mark.parametrize("implementation", ["auto", *PATHS])
@pytest.mark.parametrize("family", ["bert", "albert", "distilbert", "deberta-v2", "mpnet"])
def test_encoders_give_those_of_a_layer_and_its_heads(monkeypatch, tiny, batch, family, implementation):
    """ALBERT's layers share one module; DeBERTa and MPNet bypass the interface."""
    monkeypatch.setattr(selection, "SHORT", 0)
    if family in ("deberta-v2", "mpnet") and implementation != "auto":
        pytest.skip("there is no attention of ours to force")
    model = tiny(family).double()
    expected = eager(model, batch)
    found = outcome(model, batch, implementation)
    assert found["mass:first"].shape == (3, 2, 12)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-9, atol=1e-9, msg=lambda text, n=name: f"{n}: {text}")


@pytest.mark.parametrize("implementation", PATHS)
def test_a_layer_is_recomputed_alike_under_activation_checkpointing(tiny, batch, implementation):
    plain = outcome(tiny("bert").train(), batch, implementation)
    checkpointed = tiny("bert").train()
    checkpointed.gradient_checkpointing_enable({"use_reentrant": False})
    assert_same(outcome(checkpointed, batch, implementation), plain, 0)


@pytest.mark.slow
@pytest.mark.parametrize("implementation", PATHS)
def test_a_compiled_encoder_gives_the_same(tiny, batch, implementation):
    """The reference compiles without a break; the CPU path leaves the graph, since it reads the padding."""
    model = tiny("bert").double()
    plain = outcome(model, batch, implementation)
    whole = implementation == "reference"
    compiled = torch.compile(model, fullgraph=whole, backend="aot_eager")
    assert_same(outcome(model, batch, implementation, compiled), plain, 1e-10)


@pytest.mark.parametrize("implementation", PATHS)
def test_autocast_leaves_them_in_float32(tiny, batch, implementation):
    model = tiny("bert")
    plain = outcome(model, batch, implementation)
    with torch.autocast("cpu", torch.bfloat16):
        lowered = outcome(model, batch, implementation)
    for name in SECOND.quantities:
        assert lowered[name].dtype == torch.float32
        torch.testing.assert_close(lowered[name], plain[name], rtol=0, atol=0.1)


def test_the_public_function_keeps_them_in_float32_under_autocast():
    """Called with float32 by the user: numbers of rows come of the very maps, and no product lowers them."""
    qkv, _ = draw(dtype=torch.float32)
    real = real_tokens(LENGTHS)
    with torch.autocast("cpu", torch.bfloat16):
        _, captured = guided_attention(
            *qkv, real, scaling=SCALING, capture={"maps": "all", **CAPTURE}, targets=make_targets(real)
        )
    for name, heads in CAPTURE.items():
        maps = of_heads(captured["maps"], heads).double()
        expected = quantity_of_maps(name, maps, real, make_targets(real))
        torch.testing.assert_close(captured[name].double(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("one", "other", "which"),
    [((0, 2), (2, 1), "head 2"), ("all", (1,), "head 1"), ((3,), "all", "head 3"), ("all", "all", "each head")],
)
def test_a_head_with_two_targets_is_the_references(monkeypatch, one, other, which):
    """The kernels refuse it; `auto` does not take them for it. The meta device stands for a GPU."""
    monkeypatch.setattr(selection, "why_not_triton", lambda query: None)
    query, targets = torch.zeros(1, 4, 8, 16, device="meta"), {"next": Diagonal(1), "back": Diagonal(-1)}
    capture = {"entropy": "all", "mass:next": one, "mass:back": other}
    cause = f"^--attention triton: the kernels take one target a head, and {which} has two: mass:next and mass:back[.]$"
    with pytest.raises(UsageError, match=cause):
        guided_attention(
            query, query, query, None, scaling=1.0, capture=capture, targets=targets, implementation="triton"
        )
    settings = {"dropout": 0.0, "window": None, "implementation": "auto"}
    assert selection.choose(query, None, capture=capture, **settings) == "reference"
    assert selection.choose(query, None, capture={"mass:next": (0,), "mass:back": (1, 3)}, **settings) == "triton"
