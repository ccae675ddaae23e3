"""Captures of some layers and heads: nothing is computed for the others, and the values are those of capturing all."""

import pytest
import torch
from captures import NOTHING, RECEIVED

from agcli.attention import AttentionMask, Capture, Request, attach
from agcli.attention import dispatch as selection
from agcli.errors import ModelError, UsageError

SECOND = Capture((Request("received", (1,)),))


def test_captures_add_up():
    assert not NOTHING
    assert NOTHING | SECOND == SECOND | NOTHING == SECOND
    assert (SECOND | RECEIVED).of_layer(1) == {"received": "all"}
    assert (SECOND | Capture((Request("received", (0, 1), (2,)),))).of_layer(0) == {"received": (2,)}
    both = Capture((Request("received", (3,), (1,)),)) | Capture((Request("maps", (0, 3), (0, 2)),))
    both |= Capture((Request("maps", (0,), (1,)),))
    assert both.quantities == ("received", "maps")
    of_layers = [{"maps": (0, 1, 2)}, {}, {}, {"received": (1,), "maps": (0, 2)}]
    assert [both.of_layer(layer) for layer in range(4)] == of_layers


def test_an_unknown_quantity_is_refused():
    with pytest.raises(ValueError, match="no quantity 'recieved'; allowed: received, squared_norm"):
        Request("recieved")


@pytest.fixture
def summed(monkeypatch):
    """The layers that captured something in training, by the reference and by the CPU path."""
    captures = []

    def recording(attention):
        def attend(*tensors, capture, **settings):
            captures.extend([capture] if capture and torch.is_grad_enabled() else [])
            return attention(*tensors, capture=capture, **settings)

        return attend

    for name in ("reference_attention", "blockwise_attention"):
        monkeypatch.setattr(selection, name, recording(getattr(selection, name)))
    return captures


def outcome(model, batch, implementation, capture, layers, heads=slice(None)):
    """Logits, received attention of these layers and heads, and the gradients of both."""
    attention = attach(model, implementation)
    model.zero_grad()
    torch.manual_seed(0)
    outputs = model.train()(**batch, **attention.forward_kwargs(capture))
    captured = attention.collect(outputs, batch["attention_mask"].bool(), capture)["received"]
    received = torch.stack([captured[layer][:, heads] for layer in layers], dim=1)
    (outputs.logits.square().sum() + received.square().sum()).backward()
    gradients = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
    return {"logits": outputs.logits, "received": received, **gradients}, set(captured)


NUMBERED = ["bert", "roberta", "electra", "distilbert", "modernbert", "eurobert", "nomic-bert"]
"""Each layer has a module of its own; not all of these modules know their number."""


@pytest.mark.parametrize("implementation", ["auto", "reference"])
@pytest.mark.parametrize("family", [*NUMBERED, "albert"])
def test_a_layer_alone_gives_what_it_gives_among_all(monkeypatch, tiny, batch, summed, family, implementation):
    """ALBERT's layers share one module, so that all of them compute theirs."""
    monkeypatch.setattr(selection, "SHORT", 0)
    model = tiny(family)
    expected, layers = outcome(model, batch, implementation, RECEIVED, [1])
    assert len(summed) == len(layers) == model.config.num_hidden_layers
    summed.clear()
    found, layers = outcome(model, batch, implementation, SECOND, [1])
    assert layers == {1}
    assert len(summed) == (1 if family in NUMBERED else model.config.num_hidden_layers)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


def test_no_layer_computes_column_sums_where_none_is_captured(tiny, batch, summed):
    model = tiny("bert")
    model.train()(**batch, **attach(model).forward_kwargs(NOTHING))
    assert summed == []


def test_layers_of_an_encoder_beside_the_interface(tiny, batch):
    model = tiny("deberta-v2")
    expected, _ = outcome(model.eval(), batch, "auto", RECEIVED, [1])
    found, layers = outcome(model, batch, "auto", SECOND, [1])
    assert layers == {1}
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor)


@pytest.mark.parametrize("family", ["bert", "albert", "deberta-v2"])
def test_heads_alone_give_what_they_give_among_all(tiny, batch, family):
    model = tiny(family, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    expected, _ = outcome(model, batch, "auto", RECEIVED, [0, 1], [1, 3])
    found, _ = outcome(model, batch, "auto", Capture((Request("received", "all", (1, 3)),)), [0, 1])
    assert found["received"].shape == (3, 2, 2, 12)
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=1e-6)


def test_layers_are_recomputed_alike_under_activation_checkpointing(tiny, batch):
    plain, _ = outcome(tiny("bert"), batch, "auto", SECOND, [1])
    checkpointed = tiny("bert")
    checkpointed.gradient_checkpointing_enable({"use_reentrant": False})
    recomputed, _ = outcome(checkpointed, batch, "auto", SECOND, [1])
    assert all(torch.equal(recomputed[name], tensor) for name, tensor in plain.items())


def test_a_compiled_encoder_captures_its_layer(tiny, batch):
    model = tiny("bert", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0).train()
    attention = attach(model, "reference")
    mask = AttentionMask(gate=torch.rand(1, 4, 12, 12))
    layers = []
    for compiled in (False, True):
        call = torch.compile(model, fullgraph=True, backend="aot_eager") if compiled else model
        outputs = call(**batch, **attention.forward_kwargs(SECOND, mask))
        layers.append(attention.collect(outputs, batch["attention_mask"].bool(), SECOND)["received"])
    assert set(layers[1]) == {1}
    torch.testing.assert_close(layers[1][1], layers[0][1])


@pytest.mark.parametrize("training", [True, False])
def test_maps_are_eagers_and_clean(tiny, batch, training):
    """In training eager attention returns them after dropout; these are not."""
    model = tiny("bert", attention_probs_dropout_prob=0.5 * training, hidden_dropout_prob=0.0)
    with torch.no_grad():
        eager = model(**batch, output_attentions=True).attentions
    attention, capture = attach(model), Capture((Request("maps", (0, 1), (0, 2)), Request("scores", (1,), (0, 2))))
    outputs = model.train(training)(**batch, **attention.forward_kwargs(capture))
    captured = attention.collect(outputs, batch["attention_mask"].bool(), capture)
    assert {name: set(layers) for name, layers in captured.items()} == {"maps": {0, 1}, "scores": {1}}
    torch.testing.assert_close(captured["maps"][0], eager[0][:, [0, 2]])  # the second layer's input has seen dropout
    padding = torch.where(batch["attention_mask"].bool(), 0.0, -torch.inf)[:, None, None, :]
    torch.testing.assert_close((captured["scores"][1] + padding).softmax(-1), captured["maps"][1])


@pytest.mark.parametrize("implementation", ["cpu", "triton"])
@pytest.mark.parametrize("quantity", ["maps", "scores"])
def test_maps_and_scores_come_from_the_reference_only(monkeypatch, implementation, quantity):
    query = torch.randn(2, 2, 100, 4)
    monkeypatch.setattr(selection, "why_not_triton", lambda query: None)
    with pytest.raises(UsageError, match=f"^--attention {implementation}: attention maps and scores .*reference only"):
        selection.attend(
            query, query, query, None, scaling=1.0, capture={quantity: "all"}, implementation=implementation
        )
    _, captured = selection.attend(query, query, query, None, scaling=1.0, capture={quantity: "all"})
    assert captured[quantity].shape == (2, 2, 100, 100)


def test_an_encoder_beside_the_interface_gives_maps_but_no_scores(tiny, batch):
    model = tiny("mpnet")
    attention, capture = attach(model), Capture((Request("maps", (1,), (3,)),))
    outputs = model(**batch, **attention.forward_kwargs(capture))
    maps = attention.collect(outputs, batch["attention_mask"].bool(), capture)["maps"]
    assert torch.equal(maps[1], outputs.attentions[1][:, 3:])
    with pytest.raises(ModelError, match=r"MPNet.* gives no attention scores back"):
        attention.forward_kwargs(Capture((Request("scores"),)))
