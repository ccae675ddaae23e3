"""Which implementation runs: the rule of `auto`, what is refused and why, and the paths against each other."""

import os

import pytest
import torch
from captures import NOTHING, RECEIVED, reference, stacked
from torch.autograd.graph import saved_tensors_hooks

from agcli.attention import IMPLEMENTATIONS, attach, guided_attention, reference_attention
from agcli.attention import dispatch as selection
from agcli.errors import ModelError, UsageError
from agcli.models import ZOO, random_model

SHORT = selection.SHORT
LAST = torch.arange(SHORT) < torch.tensor([SHORT, 9])[:, None]
"""Padding behind the second sample's tokens; in `FIRST` before them."""
FIRST = LAST.flip(-1)

INTERFACE = ["bert", "roberta", "xlm-roberta", "camembert", "albert", "electra", "distilbert", "modernbert"]
INTERFACE += ["eurobert", "nomic-bert"]
ZOO_MODELS = {f"{name} of the zoo": name for name in ZOO}
FEW = {"vocab_size": 60, "hidden_size": 48, "intermediate_size": 40, "initializer_range": 0.2}
"""Beside its heads and all else an entry of the zoo says."""


@pytest.fixture
def chosen(monkeypatch):
    """What ran, one name a layer."""
    names, rule = [], selection.choose

    def choose(*args, **settings):
        names.append(rule(*args, **settings))
        return names[-1]

    monkeypatch.setattr(selection, "choose", choose)
    return names


@pytest.fixture
def kernel(monkeypatch):
    """A stand-in for the Triton kernel which can do everything; holds the settings of its calls."""
    calls = []

    def triton_attention(*tensors, **settings):
        calls.append(settings)
        return reference_attention(*tensors, **settings)

    monkeypatch.setattr(selection, "why_not_triton", lambda query: None)
    monkeypatch.setattr(selection, "triton_attention", triton_attention)
    return calls


def choose(length=SHORT, mask=None, grad=True, device="cpu", **settings):
    query = torch.empty((2, 1, length, 4), device=device, requires_grad=grad)
    defaults = {"dropout": 0.0, "window": None, "capture": ("received",), "implementation": "auto"}
    return selection.choose(query, mask, **(defaults | settings))


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("dropout", [0.0, 0.1])
@pytest.mark.parametrize("mask", [None, LAST, LAST.long()])
def test_auto_takes_the_cpu_path_from_a_length_on(grad, dropout, mask):
    assert choose(SHORT, mask, grad, dropout=dropout) == "cpu"
    assert choose(SHORT - 1, None if mask is None else mask[:, 1:], grad, dropout=dropout) == "reference"


@pytest.mark.parametrize("length", [SHORT - 1, SHORT])
def test_auto_takes_torchs_own_attention_where_nothing_is_captured_or_learnt(length):
    assert choose(length, grad=False, capture=()) == "sdpa"
    for training in ({"grad": True}, {"grad": False, "dropout": 0.1}):
        assert choose(length, capture=(), **training) == choose(length, **training)


@pytest.mark.parametrize("length", [SHORT - 1, SHORT])
@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("settings", [{"window": 3}, {"window": 3, "capture": ()}, {"capture": ("released",)}])
def test_auto_takes_the_reference_for_windows_and_the_released_arithmetic(kernel, settings, device, length):
    assert choose(length, device=device, grad=False, **settings) == "reference"


def test_auto_takes_the_reference_where_padding_comes_first():
    assert choose(mask=FIRST) == "reference"
    assert choose(mask=LAST & torch.arange(SHORT).ne(3)) == "reference"
    assert choose(mask=torch.zeros_like(LAST)) == "cpu"


@pytest.mark.parametrize("length", [1, SHORT])
def test_auto_elsewhere_takes_the_kernel_where_it_can(kernel, monkeypatch, length):
    """The meta device stands for any that is not the CPU."""
    assert choose(length, device="meta") == "triton"
    assert choose(length, device="meta", capture=(), dropout=0.1) == "sdpa"
    monkeypatch.setattr(selection, "why_not_triton", lambda query: "it is too old")
    assert choose(length, device="meta") == "reference"


@pytest.mark.parametrize("settings", [{}, {"window": 3}, {"capture": ("released",)}, {"capture": (), "grad": False}])
def test_the_reference_can_be_forced_for_everything(settings):
    assert choose(mask=FIRST, implementation="reference", **settings) == "reference"


@pytest.mark.parametrize("settings", [{}, {"length": 1}, {"mask": LAST}, {"capture": (), "grad": False}])
def test_what_can_run_can_be_forced(kernel, settings):
    assert choose(implementation="cpu", **settings) == "cpu"
    assert choose(implementation="triton", device="meta", **(settings | {"mask": None})) == "triton"


@pytest.mark.parametrize("implementation", ["cpu", "triton"])
@pytest.mark.parametrize(
    ("settings", "cause"), [({"window": 3}, "a sliding window .*ModernBERT"), ({"capture": ("released",)}, "released")]
)
def test_what_only_the_reference_can_is_refused(kernel, implementation, settings, cause):
    with pytest.raises(UsageError, match=f"^--attention {implementation}: .*{cause}.*[^.][.]$") as error:
        choose(implementation=implementation, **settings)
    assert "--attention auto" in error.value.hint


@pytest.mark.parametrize(
    ("settings", "cause"), [({"mask": FIRST}, "real tokens first"), ({"device": "meta"}, "cannot run on meta")]
)
def test_the_cpu_path_is_refused(settings, cause):
    with pytest.raises(UsageError, match=f"^--attention cpu: .*{cause}"):
        choose(implementation="cpu", **settings)


def test_the_kernel_is_refused_for_the_reason_it_gives(monkeypatch):
    monkeypatch.setattr(selection, "why_not_triton", lambda query: "it is too old")
    with pytest.raises(UsageError, match=r"^--attention triton: it is too old\.$"):
        choose(implementation="triton")


@pytest.mark.skipif(bool(os.environ.get("TRITON_INTERPRET")), reason="Triton's interpreter runs on the CPU")
def test_triton_is_refused_on_the_cpu(tiny):
    query = torch.zeros(1, 1, 8, 4)
    with pytest.raises(UsageError, match=r"^--attention triton: "):
        guided_attention(query, query, query, None, scaling=1.0, implementation="triton")
    with pytest.raises(UsageError, match=r"^--attention triton: "):
        attach(tiny("bert"), "triton")


@pytest.mark.parametrize("mask", [None, LAST, LAST.long()])
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_every_implementation_gives_the_same(kernel, chosen, implementation, mask):
    """Output of real rows, received attention, and that the settings arrive."""
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn((2, 2, SHORT, 4), generator=generator, dtype=torch.float64) for _ in range(3))
    output, received = guided_attention(query, key, value, mask, scaling=0.7, implementation=implementation)
    expected, expected_received = reference(query, key, value, mask, scaling=0.7)
    rows = torch.ones(2, 1, SHORT, 1) if mask is None else mask[:, None, :, None]
    torch.testing.assert_close(output * rows, expected * rows, rtol=0, atol=1e-12)
    torch.testing.assert_close(received, expected_received, rtol=0, atol=1e-12)
    assert chosen == [implementation.replace("auto", "cpu")]
    settings = {"capture": {"received": "all"}, "targets": {}, "scaling": 0.7, "dropout": 0.0}
    assert kernel == [settings] * (implementation == "triton")


@pytest.mark.parametrize("implementation", ["auto", "reference", "cpu"])
def test_dropout_arrives(implementation):
    torch.manual_seed(0)
    query, key = torch.zeros(2, 1, 1, SHORT, SHORT)
    identity = torch.eye(SHORT)[None, None]
    output, received = guided_attention(
        query, key, identity, None, scaling=1.0, dropout=0.5, implementation=implementation
    )
    assert output.unique().tolist() == [0, 2 / SHORT]
    torch.testing.assert_close(received, torch.ones(1, 1, SHORT))


@pytest.mark.parametrize("changed", ["key", "value", "mask"])
@pytest.mark.parametrize("implementation", ["auto", "reference", "cpu"])
def test_shapes_that_do_not_belong_together_are_refused(implementation, changed):
    tensors = dict(zip(("query", "key", "value"), torch.zeros(3, 2, 4, 6, 8), strict=True)) | {"mask": torch.ones(2, 6)}
    tensors[changed] = tensors[changed][:1]
    with pytest.raises(ValueError, match="must share one shape"):
        guided_attention(**tensors, scaling=1.0, implementation=implementation)


@pytest.mark.parametrize("mask", [None, LAST, LAST.long(), FIRST, torch.zeros_like(LAST)])
def test_torchs_own_attention_is_the_same(chosen, mask):
    """What nothing but evaluation sees; a sample without tokens is finite there too."""
    query, key, value = torch.randn(3, 2, 2, SHORT, 4)
    output, captured = selection.attend(query, key, value, mask, scaling=0.7, capture={})
    assert chosen == ["sdpa"]
    assert captured == {}
    torch.testing.assert_close(output, reference(query, key, value, mask, scaling=0.7)[0])


@pytest.mark.parametrize("implementation", ["auto", "reference", "cpu"])
def test_attach_switches_the_model(tiny, batch, chosen, implementation):
    model = tiny("bert")
    attention = attach(model, implementation)
    chosen.clear()
    model(**batch, **attention.forward_kwargs(RECEIVED))
    assert model.config._attn_implementation == f"ag_{implementation}"
    assert chosen == [implementation.replace("auto", "reference")] * 2


def test_a_device_that_cannot_run_it_is_refused_before_anything_is_switched(tiny, kernel, monkeypatch):
    monkeypatch.setattr(selection, "why_not_triton", lambda query: f"no kernel for {query.device.type}")
    for implementation, cause in (("cpu", "cannot run on meta"), ("triton", "no kernel for meta")):
        model = tiny("bert")
        with pytest.raises(UsageError, match=f"^--attention {implementation}: .*{cause}"):
            attach(model, implementation, device=torch.device("meta"))
        assert model.config._attn_implementation == "eager"


def test_a_model_that_moves_later_is_tried_here_and_switched_for_there(tiny, kernel):
    model = tiny("bert")
    assert attach(model, "triton", device=torch.device("meta")) == attach(tiny("bert"))
    assert model.config._attn_implementation == "ag_triton"
    assert not kernel


@pytest.mark.parametrize("implementation", ["reference", "cpu"])
def test_an_encoder_beside_the_interface_runs_on_maps_or_not_at_all(tiny, implementation):
    with pytest.raises(ModelError, match="gives no attention back") as error:
        attach(tiny("deberta-v2"), implementation)
    assert "--attention auto" in error.value.hint
    assert attach(tiny("deberta-v2"), implementation, required=False).kind == "none"


def make(tiny, name):
    """A model in float64 with sharp maps."""
    if name not in ZOO_MODELS:
        return tiny(name).double()
    torch.manual_seed(0)
    return random_model(ZOO_MODELS[name], labels=["yes", "no"], num_hidden_layers=2, **FEW).double()


def outcome(model, batch, implementation):
    """Hidden states of real tokens, logits, received attention, and the gradients of task and guide together."""
    attention = attach(model, implementation)
    mask = batch["attention_mask"].bool()
    model.zero_grad()
    outputs = model(**batch, output_hidden_states=True, **attention.forward_kwargs(RECEIVED))
    received = stacked(attention, outputs, mask)
    (outputs.logits.square().sum() + received.square().sum()).backward()
    found = {"hidden": outputs.hidden_states[-1][mask], "logits": outputs.logits, "received": received}
    found |= {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    return {name: tensor.detach().clone() for name, tensor in found.items()}


@pytest.mark.parametrize("name", [*INTERFACE, *ZOO_MODELS])
def test_the_paths_agree_on_every_encoder(monkeypatch, tiny, batch, chosen, name):
    """ModernBERT's windowed layers, every second one here, run on the reference: `auto` knows, `cpu` is refused."""
    monkeypatch.setattr(selection, "SHORT", 0)
    model = make(tiny, name)
    expected = outcome(model, batch, "reference")
    assert set(chosen) == {"reference"}
    for implementation in ("auto", "cpu"):
        chosen.clear()
        if "modernbert" in name and implementation == "cpu":
            with pytest.raises(UsageError, match=r"^--attention cpu: a sliding window"):
                attach(model, "cpu")
            continue
        found = outcome(model, batch, implementation)
        assert set(chosen[::2]) == {"cpu"}
        assert set(chosen[1::2]) == {"reference" if "modernbert" in name else "cpu"}
        assert found.keys() == expected.keys()
        for part, tensor in expected.items():
            # A key's bias has no gradient but rounding errors: it shifts a row's scores by one number.
            torch.testing.assert_close(found[part], tensor, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("short", [0, 64])
def test_a_monitored_training_forward_is_the_unmonitored_one_bit_for_bit(monkeypatch, tiny, batch, chosen, short):
    monkeypatch.setattr(selection, "SHORT", short)
    model = tiny("bert").train()
    attention = attach(model)
    logits = []
    for capture in (NOTHING, RECEIVED):
        chosen.clear()
        torch.manual_seed(0)
        logits.append(model(**batch, **attention.forward_kwargs(capture)).logits)
        assert set(chosen) == {"reference" if short else "cpu"}
    assert torch.equal(*logits)


def test_autocast_leaves_received_attention_in_float32(monkeypatch, tiny, batch):
    """The encoder multiplies in bfloat16, so queries come in bfloat16, and what they receive adds up in float32."""
    monkeypatch.setattr(selection, "SHORT", 0)
    model, values = tiny("bert"), []
    attention = attach(model)
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            outputs = model(**batch, **attention.forward_kwargs(RECEIVED))
            values.append(stacked(attention, outputs, batch["attention_mask"]))
    assert values[1].dtype == torch.float32
    torch.testing.assert_close(values[1].sum(-1), values[0].sum(-1))
    torch.testing.assert_close(values[1], values[0], rtol=0, atol=0.1)


@pytest.mark.parametrize("implementation", ["auto", "cpu", "reference"])
def test_a_guided_model_in_training_keeps_no_map(monkeypatch, tiny, implementation):
    """At 64 tokens a map outgrows everything else in this model; the reference keeps them, which shows the measure."""
    monkeypatch.setattr(selection, "SHORT", 64)
    model = tiny("bert", max_position_embeddings=64).train()
    attention, ids, kept = attach(model, implementation), torch.full((1, 64), 7), []
    with saved_tensors_hooks(lambda tensor: kept.append(tensor.numel()) or tensor, lambda tensor: tensor):
        outputs = model(input_ids=ids, attention_mask=ids > 0, **attention.forward_kwargs(RECEIVED))
        stacked(attention, outputs, ids > 0).square().sum()
    assert (max(kept) >= 64**2) == (implementation == "reference")
