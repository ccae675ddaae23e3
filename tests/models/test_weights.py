"""Weights: safetensors as they are, pickles safely and once, nothing silently random."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tiny_folders import LABELS, encoder_state, old_folder, same_encoder, tiny

from agcli.errors import ModelError
from agcli.models import load_model
from agcli.models.weights import conversion_cache, find_weights


class Evil:
    """Runs a command when unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.trace),)


def conversions() -> list[Path]:
    return sorted(conversion_cache().rglob("*"))


def test_a_pickle_that_holds_code_is_refused_and_not_run(tmp_path: Path) -> None:
    folder = old_folder(tmp_path / "m", tiny())
    trace = tmp_path / "ran"
    torch.save(encoder_state(tiny()) | {"bert.evil": Evil(trace)}, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="weights_only"):
        load_model(str(folder), labels=LABELS)
    assert not trace.exists()
    assert conversions() == []
    pickle.loads(pickle.dumps(Evil(trace)))  # the trap itself works
    assert trace.exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_is_converted_once_and_the_folder_left_alone(zipped: bool, tmp_path: Path) -> None:
    model = tiny()
    folder = old_folder(tmp_path / "m", model)
    torch.save(encoder_state(model), folder / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    before = sorted(folder.iterdir())
    first = load_model(str(folder), labels=LABELS)
    converted = [path for path in conversions() if path.is_file()]
    assert [path.name for path in converted] == ["model.safetensors"]
    assert converted[0].parent.name == first.weights_sha256
    stamp = converted[0].stat().st_mtime_ns
    second = load_model(str(folder), labels=LABELS)
    assert converted[0].stat().st_mtime_ns == stamp
    assert same_encoder(first.model, model)
    assert same_encoder(second.model, model)
    assert any(note.startswith("converted pytorch_model.bin once") for note in first.notes)
    assert any("from its conversion" in note for note in second.notes)
    assert sorted(folder.iterdir()) == before


def test_the_second_load_reads_no_pickle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = old_folder(tmp_path / "m", tiny())
    load_model(str(folder), labels=LABELS)
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("read the pickle again"))
    load_model(str(folder), labels=LABELS)


def test_a_damaged_conversion_is_made_anew(tmp_path: Path) -> None:
    model = tiny()
    folder = old_folder(tmp_path / "m", model)
    load_model(str(folder), labels=LABELS)
    converted = next(conversion_cache().rglob("*.safetensors"))
    converted.write_bytes(converted.read_bytes()[:200])
    assert same_encoder(load_model(str(folder), labels=LABELS).model, model)


def test_a_cache_that_cannot_be_written_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("AGCLI_CACHE", str(tmp_path / "file"))
    model = tiny()
    loaded = load_model(str(old_folder(tmp_path / "m", model)), labels=LABELS)
    assert same_encoder(loaded.model, model)
    assert any("could not be converted" in note for note in loaded.notes)


def test_tied_tensors_convert(tmp_path: Path) -> None:
    model = tiny()
    folder = old_folder(tmp_path / "m", model)
    state = encoder_state(model)
    state["cls.predictions.decoder.weight"] = state["bert.embeddings.word_embeddings.weight"]
    torch.save(state, folder / "pytorch_model.bin")
    assert same_encoder(load_model(str(folder), labels=LABELS).model, model)


def test_gamma_and_beta_are_the_layer_norm_s_weight_and_bias(tmp_path: Path) -> None:
    model = tiny()
    folder = old_folder(tmp_path / "m", model)
    renamed = {
        key.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
        for key, value in encoder_state(model).items()
    }
    assert sum("gamma" in key for key in renamed) == 5
    torch.save(renamed, folder / "pytorch_model.bin")
    loaded = load_model(str(folder), labels=LABELS).model
    assert same_encoder(loaded, model)
    ids = torch.tensor([[2, 7, 8, 3]])
    with torch.no_grad():
        assert torch.equal(loaded.bert(ids).last_hidden_state, model.bert(ids).last_hidden_state)


def test_pretraining_heads_are_ignored(tmp_path: Path) -> None:
    model = tiny()
    folder = old_folder(tmp_path / "m", model)
    heads = {"cls.predictions.bias": torch.zeros(64), "cls.seq_relationship.weight": torch.zeros(2, 32)}
    torch.save(encoder_state(model) | heads, folder / "pytorch_model.bin")
    loaded = load_model(str(folder), labels=LABELS)
    assert same_encoder(loaded.model, model)
    assert "newly initialised: classifier.bias, classifier.weight" in loaded.notes


@pytest.mark.parametrize(
    "lost", ["bert.encoder.layer.1.attention.self.query.weight", "bert.embeddings.word_embeddings.weight"]
)
def test_a_missing_encoder_weight_is_an_error(lost: str, tmp_path: Path) -> None:
    model = tiny()
    folder = old_folder(tmp_path / "m", model)
    torch.save({k: v for k, v in encoder_state(model).items() if k != lost}, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="1 weights of the encoder are missing") as caught:
        load_model(str(folder), labels=LABELS)
    assert lost in str(caught.value)


def test_more_layers_in_the_config_than_in_the_file_is_an_error(tmp_path: Path) -> None:
    folder = old_folder(tmp_path / "m", tiny(), num_hidden_layers=3)
    with pytest.raises(ModelError, match="weights of the encoder are missing"):
        load_model(str(folder), labels=LABELS)


def test_a_missing_pooler_is_only_a_note(tmp_path: Path) -> None:
    model = tiny()
    folder = old_folder(tmp_path / "m", model)
    torch.save({k: v for k, v in encoder_state(model).items() if "pooler" not in k}, folder / "pytorch_model.bin")
    notes = load_model(str(folder), labels=LABELS).notes
    assert any("newly initialised" in note and "bert.pooler.dense.weight" in note for note in notes)


def test_other_sizes_in_the_file_than_in_the_config_is_an_error(tmp_path: Path) -> None:
    folder = old_folder(tmp_path / "m", tiny(), intermediate_size=40)
    with pytest.raises(ModelError, match="do not fit"):
        load_model(str(folder), labels=LABELS)


def test_weights_stored_in_bfloat16_load_as_float32(tmp_path: Path) -> None:
    model = tiny()
    folder = old_folder(tmp_path / "m", model, dtype="bfloat16", torch_dtype="bfloat16")
    (folder / "pytorch_model.bin").unlink()
    stored = {key: value.bfloat16() for key, value in encoder_state(model).items()}
    save_file(stored, folder / "model.safetensors")
    loaded = load_model(str(folder), labels=LABELS).model
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    key = "bert.encoder.layer.0.output.dense.weight"
    assert torch.equal(loaded.state_dict()[key], stored[key].float())


def test_safetensors_win_over_a_pickle(tmp_path: Path) -> None:
    model = tiny()
    folder = old_folder(tmp_path / "m", model)
    (folder / "pytorch_model.bin").write_bytes(b"never read")
    save_file(encoder_state(model), folder / "model.safetensors")
    loaded = load_model(str(folder), labels=LABELS)
    assert same_encoder(loaded.model, model)
    assert conversions() == []


@pytest.mark.parametrize("pickled", [False, True])
def test_shards_are_joined(pickled: bool, tmp_path: Path) -> None:
    model = tiny()
    folder = old_folder(tmp_path / "m", model)
    (folder / "pytorch_model.bin").unlink()
    state = encoder_state(model)
    stem, suffix = ("pytorch_model", ".bin") if pickled else ("model", ".safetensors")
    names = {key: f"{stem}-0000{1 + index % 2}-of-00002{suffix}" for index, key in enumerate(state)}
    for name in set(names.values()):
        shard = {key: state[key] for key in state if names[key] == name}
        if pickled:
            torch.save(shard, folder / name)
        else:
            save_file(shard, folder / name)
    index = folder / f"{stem}{suffix}.index.json"
    index.write_text(json.dumps({"weight_map": names}))
    assert same_encoder(load_model(str(folder), labels=LABELS).model, model)
    (folder / f"{stem}-00002-of-00002{suffix}").unlink()
    with pytest.raises(ModelError, match="00002-of-00002"):
        load_model(str(folder), labels=LABELS)


@pytest.mark.parametrize("name", ["../outside.safetensors", "/etc/passwd"])
def test_an_index_cannot_point_outside_its_folder(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    (tmp_path / "outside.safetensors").write_bytes(b"x")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(ModelError, match="does not lie beside it"):
        find_weights(folder)


def test_a_truncated_safetensors_file_is_a_clear_error(tmp_path: Path) -> None:
    folder = old_folder(tmp_path / "m", tiny())
    save_file(encoder_state(tiny()), folder / "model.safetensors")
    whole = (folder / "model.safetensors").read_bytes()
    for size in (0, 4, len(whole) // 2, len(whole) - 1):
        (folder / "model.safetensors").write_bytes(whole[:size])
        with pytest.raises(ModelError, match="damaged") as caught:
            load_model(str(folder), labels=LABELS)
        assert caught.value.exit_code == 2


@pytest.mark.parametrize("content", [b"", b"garbage", pickle.dumps([1, 2], protocol=2)])
def test_a_broken_pickle_is_a_clear_error(content: bytes, tmp_path: Path) -> None:
    folder = old_folder(tmp_path / "m", tiny())
    (folder / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(ModelError, match=r"pytorch_model\.bin"):
        load_model(str(folder), labels=LABELS)


def test_a_git_lfs_pointer_is_named_as_such(tmp_path: Path) -> None:
    folder = old_folder(tmp_path / "m", tiny())
    (folder / "pytorch_model.bin").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(ModelError, match="Git LFS pointer"):
        load_model(str(folder), labels=LABELS)


def test_weights_of_another_framework_are_named(tmp_path: Path) -> None:
    folder = old_folder(tmp_path / "m", tiny())
    (folder / "pytorch_model.bin").rename(folder / "tf_model.h5")
    with pytest.raises(ModelError, match=r"only tf_model\.h5"):
        load_model(str(folder), labels=LABELS)
