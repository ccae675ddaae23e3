"""`attach` on every family: the same logits as eager attention, and received attention = column sums of its maps."""

from types import SimpleNamespace

import pytest
import torch
from captures import NOTHING, RECEIVED, RELEASED, stacked
from transformers import FNetConfig, FNetForSequenceClassification, PreTrainedModel

from agcli.attention import attach
from agcli.errors import ModelError

INTERFACE = ["bert", "roberta", "xlm-roberta", "camembert", "albert", "electra", "distilbert", "modernbert"]
MAPS = ["deberta-v2", "mpnet"]


def column_sums(maps, mask):
    return torch.stack([torch.einsum("bhij,bi->bhj", layer, mask.to(layer.dtype)) for layer in maps], dim=1)


@pytest.mark.parametrize("family", INTERFACE + MAPS)
def test_logits_and_received_attention_equal_eager(tiny, batch, family):
    model, mask = tiny(family), batch["attention_mask"]
    eager = model(**batch, output_attentions=True)
    attention = attach(model)
    outputs = model(**batch, **attention.forward_kwargs(RECEIVED))
    received = stacked(attention, outputs, mask)
    assert attention.kind == ("maps" if family in MAPS else "interface")
    assert received.shape == (3, attention.num_layers, attention.num_heads, 12)
    torch.testing.assert_close(outputs.logits, eager.logits, rtol=0, atol=1e-5)
    torch.testing.assert_close(received, column_sums(eager.attentions, mask), rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", INTERFACE + MAPS)
def test_capture_none_returns_no_attention_and_the_same_logits(tiny, batch, family):
    model = tiny(family)
    attention = attach(model)
    silent = model(**batch, **attention.forward_kwargs(NOTHING))
    assert silent.attentions is None
    captured = model(**batch, **attention.forward_kwargs(RECEIVED)).logits
    torch.testing.assert_close(silent.logits, captured, rtol=0, atol=1e-6)


@pytest.mark.parametrize("family", ["bert", "modernbert"])
def test_padding_changes_no_received_attention(tiny, batch, family):
    """The second sample has 7 real tokens of 12."""
    model = tiny(family)
    attention = attach(model)
    short = {name: tensor[1:2, :7] for name, tensor in batch.items()}
    values = []
    for inputs in (batch, short):
        outputs = model(**inputs, **attention.forward_kwargs(RECEIVED))
        values.append(stacked(attention, outputs, inputs["attention_mask"]))
    torch.testing.assert_close(values[0][1, ..., :7], values[1][0], rtol=0, atol=1e-5)
    assert not values[0][1, ..., 7:].any()


@pytest.mark.parametrize("family", ["bert", "deberta-v2"])
def test_released_gives_a_constant_without_dropout(tiny, batch, family):
    model = tiny(family)
    attention = attach(model)
    outputs = model(**batch, **attention.forward_kwargs(RELEASED))
    released = stacked(attention, outputs, batch["attention_mask"], RELEASED)
    real = batch["attention_mask"].bool()[:, None, None].expand_as(released)
    torch.testing.assert_close(released[real], torch.full_like(released[real], 1 / 12))


@pytest.mark.parametrize("family", ["bert", "modernbert", "mpnet"])
@pytest.mark.parametrize("training", [True, False])
def test_attach_leaves_mode_and_random_state_as_they_were(tiny, family, training):
    model = tiny(family).train(training)
    before = torch.get_rng_state()
    attach(model)
    assert torch.equal(torch.get_rng_state(), before)
    assert model.training is training


def test_attach_may_be_repeated(tiny):
    model = tiny("bert")
    assert attach(model) == attach(model)


def test_our_attention_is_not_saved_with_the_model(tiny, tmp_path):
    model = tiny("bert")
    attach(model)
    model.save_pretrained(tmp_path)
    assert "ag_" not in (tmp_path / "config.json").read_text()


def test_an_encoder_without_attention_is_an_error_with_its_name():
    config = FNetConfig(vocab_size=30, hidden_size=16, num_hidden_layers=1, intermediate_size=24)
    with pytest.raises(ModelError, match="FNetForSequenceClassification gives no attention back"):
        attach(FNetForSequenceClassification(config))


def test_an_encoder_that_swallows_its_attentions_is_an_error_with_its_name(tiny):
    class Silent(PreTrainedModel):
        def __init__(self, inner):
            super().__init__(inner.config)
            self.inner = inner

        def forward(self, input_ids=None, attention_mask=None, **_):
            return self.inner(input_ids=input_ids, attention_mask=attention_mask)

    with pytest.raises(ModelError, match="Silent gives no attention back"):
        attach(Silent(tiny("bert")))


def test_a_layer_that_gives_nothing_back_is_an_error(tiny, batch):
    attention = attach(tiny("bert"))
    layer = {"received": torch.zeros(3, 4, 12)}
    for attentions in (None, (), (layer,), (layer, None)):
        outputs = SimpleNamespace(attentions=attentions)
        with pytest.raises(ModelError, match="attention layers gave attention back"):
            stacked(attention, outputs, batch["attention_mask"])


def test_maps_can_be_ruled_out(tiny):
    with pytest.raises(ModelError, match=r"MPNet.* gives no attention back through transformers' attention interface,"):
        attach(tiny("mpnet"), "reference")
    assert attach(tiny("bert"), "reference") == attach(tiny("bert"), "auto")


def test_an_encoder_without_attention_can_still_be_trained_unguided():
    config = FNetConfig(vocab_size=30, hidden_size=16, num_hidden_layers=1, intermediate_size=24)
    attention = attach(FNetForSequenceClassification(config), required=False)
    assert attention.kind == "none"
    assert attention.forward_kwargs(NOTHING) == {}
