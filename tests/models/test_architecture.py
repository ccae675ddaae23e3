"""Old folders load as the architecture they are; unclear ones say which line to add."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tiny_folders import LABELS, UNCASED, encoder_state, old_folder, same_encoder, tiny, write_config
from tokenizers import Tokenizer, models, normalizers

from agcli.errors import ModelError
from agcli.models import ZOO, load_model, random_model
from agcli.models.architecture import entry_config, position_limit


def roberta_vocabulary(folder: Path) -> None:
    letters = sorted({*"Aspirin the patient Ġ"} - {" "})
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *letters, "As"]
    (folder / "vocab.json").write_text(json.dumps({piece: index for index, piece in enumerate(pieces)}))
    (folder / "merges.txt").write_text("#version: 0.2\nA s\n")


def albert_vocabulary(folder: Path) -> None:
    letters = sorted({*"aspirin the patient"} - {" "})
    pieces = [(piece, -1.0) for piece in ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]", "▁", *letters)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=1))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.save(str(folder / "tokenizer.json"))


@pytest.mark.parametrize("family", ["bert", "electra", "distilbert"])
def test_an_old_wordpiece_folder_loads_as_what_it_is(family: str, tmp_path: Path) -> None:
    model = tiny(family)
    loaded = load_model(str(old_folder(tmp_path / "m", model)), labels=LABELS)
    assert loaded.model.config.model_type == family
    assert same_encoder(loaded.model, model)
    assert loaded.tokenizer("the patient")["input_ids"] == [2, 7, 8, 3]


def test_an_old_roberta_folder_loads(tmp_path: Path) -> None:
    model = tiny("roberta")
    folder = old_folder(tmp_path / "m", model)
    (folder / "vocab.txt").unlink()
    roberta_vocabulary(folder)
    loaded = load_model(str(folder), labels=LABELS)
    assert loaded.model.config.model_type == "roberta"
    assert same_encoder(loaded.model, model)
    assert loaded.cased is True
    assert loaded.tokenizer.model_max_length == 38  # 40 rows, the first two unused


def test_an_old_albert_folder_loads(tmp_path: Path) -> None:
    model = tiny("albert", embedding_size=16)
    folder = old_folder(tmp_path / "m", model)
    (folder / "vocab.txt").unlink()
    albert_vocabulary(folder)
    loaded = load_model(str(folder), labels=LABELS)
    assert loaded.model.config.model_type == "albert"
    assert same_encoder(loaded.model, model)
    assert loaded.cased is False


def test_a_bare_encoder_without_prefix_is_inferred_from_its_pooler_and_vocabulary(tmp_path: Path) -> None:
    model = tiny("bert")
    folder = old_folder(tmp_path / "m", model)
    with torch.no_grad():
        pooler = {"pooler.dense.weight": torch.zeros(32, 32), "pooler.dense.bias": torch.zeros(32)}
    torch.save(encoder_state(model, prefix=False) | pooler, folder / "pytorch_model.bin")
    loaded = load_model(str(folder), labels=LABELS)
    assert loaded.model.config.model_type == "bert"
    words = "bert.embeddings.word_embeddings.weight"
    assert torch.equal(loaded.model.state_dict()[words], model.state_dict()[words])


def test_an_unclear_architecture_says_which_line_to_add(tmp_path: Path) -> None:
    model = tiny("bert")
    folder = old_folder(tmp_path / "m", model)
    (folder / "vocab.txt").unlink()
    state = {key: value for key, value in encoder_state(model, prefix=False).items() if not key.startswith("pooler")}
    torch.save(state, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="could be bert or roberta or xlm-roberta") as caught:
        load_model(str(folder), labels=LABELS)
    assert '"model_type"' in str(caught.value.hint)


def test_contradictory_evidence_is_no_guess(tmp_path: Path) -> None:
    folder = old_folder(tmp_path / "m", tiny("bert"), architectures=["AlbertForMaskedLM"])
    with pytest.raises(ModelError, match="contradict"):
        load_model(str(folder), labels=LABELS)


def test_the_zoo_breaks_a_tie_by_the_name_of_the_folder(tmp_path: Path) -> None:
    model = tiny("bert")
    folder = old_folder(tmp_path / "Bio_ClinicalBERT", model, pieces=[*UNCASED, "As"])
    state = {key: value for key, value in encoder_state(model, prefix=False).items() if not key.startswith("pooler")}
    torch.save(state, folder / "pytorch_model.bin")
    assert load_model(str(folder), labels=LABELS).model.config.model_type == "bert"


def test_google_s_own_config_name_is_read(tmp_path: Path) -> None:
    model = tiny("bert")
    folder = old_folder(tmp_path / "m", model)
    (folder / "config.json").rename(folder / "bert_config.json")
    assert same_encoder(load_model(str(folder), labels=LABELS).model, model)


def test_code_of_a_repository_is_never_run(tmp_path: Path) -> None:
    folder = old_folder(tmp_path / "m", tiny("bert"), model_type="own", auto_map={"AutoConfig": "evil.Evil"})
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(ModelError, match="never does"):
        load_model(str(folder), labels=LABELS)
    assert not (tmp_path / "ran").exists()


def test_a_known_architecture_with_auto_map_uses_the_library_s_own_code(tmp_path: Path) -> None:
    model = tiny("bert")
    mapped = {"AutoModelForSequenceClassification": "evil.Evil", "AutoConfig": "evil.Evil"}
    folder = old_folder(tmp_path / "m", model, model_type="bert", auto_map=mapped)
    (folder / "evil.py").write_text("raise SystemExit('ran')\n")
    assert same_encoder(load_model(str(folder), labels=LABELS).model, model)


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "not valid JSON"), ("[1]", "no JSON object"), ('{"model_type": "nonsense"}', "no architecture")],
)
def test_a_bad_config_is_one_clear_error(content: str, message: str, tmp_path: Path) -> None:
    folder = old_folder(tmp_path / "m", tiny())
    (folder / "config.json").write_text(content)
    with pytest.raises(ModelError, match=message) as caught:
        load_model(str(folder), labels=LABELS)
    assert caught.value.exit_code == 2


def test_a_config_that_contradicts_itself_is_a_clear_error(tmp_path: Path) -> None:
    folder = old_folder(tmp_path / "m", tiny(), model_type="bert", num_attention_heads=5)
    with pytest.raises(ModelError):
        load_model(str(folder), labels=LABELS)


def test_a_model_without_classifier_in_transformers_is_refused(tmp_path: Path) -> None:
    folder = old_folder(tmp_path / "m", tiny())
    write_config(folder, tiny(), model_type="clip_text_model")
    with pytest.raises(ModelError, match="sequence classifier"):
        load_model(str(folder), labels=LABELS)


@pytest.mark.parametrize("name", ZOO)
def test_every_entry_makes_a_working_random_model(name: str) -> None:
    small = {"hidden_size": 24, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 60}
    model = random_model(name, labels=LABELS, num_hidden_layers=2, max_position_embeddings=20, **small)
    out = model(input_ids=torch.tensor([[3, 4, 5]]), output_attentions=True)
    assert out.logits.shape == (1, 3)
    assert len(out.attentions) == 2
    assert model.config.id2label == dict(enumerate(LABELS))
    assert model.dtype == torch.float32


@pytest.mark.parametrize("name", ZOO)
def test_an_entry_s_config_has_its_dimensions(name: str) -> None:
    entry, config = ZOO[name], entry_config(ZOO[name])
    got = (config.num_hidden_layers, config.num_attention_heads, config.hidden_size, config.vocab_size)
    assert got == (entry.num_layers, entry.num_heads, entry.hidden_size, entry.vocab_size)
    assert getattr(config, "hidden_dim", None) or config.intermediate_size == entry.intermediate_size
    assert position_limit(config) == entry.max_length


def test_random_model_of_an_unknown_name_suggests_one() -> None:
    with pytest.raises(ModelError, match="Did you mean 'biobert'"):
        random_model("bibert", labels=LABELS)
