"""Finding a model: folders, the bundle, the hub's cache; no network where none is allowed."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import pytest
from safetensors.torch import save_file
from tiny_folders import CASED, LABELS, encoder_state, old_folder, same_encoder, tiny

from agcli.errors import ModelError, install_command
from agcli.models import ZOO, find_entry, load_model, load_tokenizer, locate
from agcli.models import model_files as sources

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Blocks every connection and name look-up, and records who tried."""
    tried: list[str] = []

    def blocked(what: str) -> Callable[..., NoReturn]:
        def refuse(*_: object, **__: object) -> NoReturn:
            tried.append(what)
            raise OSError("network blocked by the test")

        return refuse

    monkeypatch.setattr(socket.socket, "connect", blocked("connect"))
    monkeypatch.setattr(socket, "create_connection", blocked("create_connection"))
    monkeypatch.setattr(socket, "getaddrinfo", blocked("getaddrinfo"))
    return tried


def cached(hub: Path, hub_id: str) -> Path:
    """A snapshot in the hub's cache, laid out as huggingface_hub does."""
    storage = hub / f"models--{hub_id.replace('/', '--')}"
    (storage / "refs").mkdir(parents=True)
    (storage / "refs" / "main").write_text(COMMIT)
    return storage / "snapshots" / COMMIT


@pytest.mark.parametrize("by", ["option", "variable"])
def test_offline_without_a_copy_names_the_command_and_opens_no_connection(
    by: str, connections: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if by == "variable":
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match="network is off") as caught:
        load_model("biobert", labels=LABELS, offline=by == "option")
    assert caught.value.hint == "hf download dmis-lab/biobert-v1.1"
    assert caught.value.exit_code == 2
    assert connections == []


def test_without_network_the_same_clear_error(connections: list[str]) -> None:
    with pytest.raises(ModelError, match="not on this machine") as caught:
        load_model("some-owner/some-model", labels=LABELS)
    assert caught.value.hint == "hf download some-owner/some-model"
    assert connections  # it did ask, so the blocked socket above is a real test


def test_a_hub_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setattr(sources, "_PATIENCE_SECONDS", 0.2)
        began = time.monotonic()
        with pytest.raises(ModelError, match=r"hub cannot be reached \(ReadTimeout"):
            load_model("owner/name", labels=LABELS)
        assert time.monotonic() - began < 10


@pytest.mark.parametrize("offline", [True, False])
def test_a_cached_copy_serves_without_network(offline: bool, connections: list[str], tmp_path: Path) -> None:
    model = tiny()
    folder = old_folder(cached(tmp_path / "hub", ZOO["bluebert"].hub_id), model)
    loaded = load_model("bluebert", labels=LABELS, offline=offline)
    assert same_encoder(loaded.model, model)
    assert (loaded.source, loaded.revision) == ("ttumyche/bluebert", COMMIT)
    assert load_tokenizer("ttumyche/bluebert", offline=offline).tokenize("Aspirin") == ["as", "##pirin"]
    assert not connections
    assert locate("bluebert") == sources.Source(
        "bluebert", folder, "ttumyche/bluebert", "cached", COMMIT, ZOO["bluebert"]
    )


def test_a_zoo_entry_overrules_a_wrong_tokenizer_config(tmp_path: Path) -> None:
    folder = old_folder(cached(tmp_path / "hub", ZOO["clinicalbert"].hub_id), tiny(), CASED)
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": true}')
    loaded = load_model("clinicalbert", labels=LABELS, offline=True)
    assert loaded.tokenizer.tokenize("Aspirin") == ["As", "##pirin"]
    assert loaded.cased is True


def test_a_cached_folder_without_weights_is_not_here(tmp_path: Path) -> None:
    folder = old_folder(cached(tmp_path / "hub", ZOO["bert"].hub_id), tiny())
    (folder / "pytorch_model.bin").unlink()
    assert locate("bert") is None


def test_a_broken_cached_copy_says_how_to_fetch_it_again(tmp_path: Path) -> None:
    folder = old_folder(cached(tmp_path / "hub", ZOO["bert"].hub_id), tiny())
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelError) as caught:
        load_model("bert", labels=LABELS, offline=True)
    assert caught.value.hint == "fetch it again: hf download google-bert/bert-base-uncased --force-download"


def test_minilm_without_its_package_falls_back_to_the_cache(
    connections: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "BUNDLE", "no_such_package_of_weights")
    with pytest.raises(ModelError) as caught:
        load_model("minilm", labels=LABELS, offline=True)
    assert install_command("minilm") in str(caught.value.hint)
    model = tiny()
    folder = old_folder(cached(tmp_path / "hub", ZOO["minilm"].hub_id), model)
    save_file(encoder_state(model), folder / "model.safetensors")
    assert same_encoder(load_model("minilm", labels=LABELS, offline=True).model, model)
    assert connections == []


def test_fetching_prefers_safetensors_and_takes_pickles_only_where_there_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def download(hub_id: str, *, allow_patterns: list[str], local_files_only: bool = False) -> str:
        if local_files_only:
            raise OSError("nothing cached")
        asked.append(allow_patterns)
        return str(old_folder(tmp_path / COMMIT, tiny()))

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", lambda *_, **__: None)
    loaded = load_model("owner/name", labels=LABELS)
    assert (loaded.source, loaded.revision) == ("owner/name", COMMIT)
    assert "model.safetensors" in asked[0]
    assert "pytorch_model.bin" not in asked[0]
    assert "pytorch_model.bin" in asked[1]


def test_a_model_the_hub_does_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub.errors import RepositoryNotFoundError

    def no_such_model(*_: object, **__: object) -> NoReturn:
        raise RepositoryNotFoundError("404", response=SimpleNamespace(headers={}, request=None, status_code=404))

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", no_such_model)
    with pytest.raises(ModelError, match=r"no model 'dmis-lab/biobert-v1\.2'.*Did you mean 'dmis-lab/biobert-v1\.1'"):
        load_model("dmis-lab/biobert-v1.2", labels=LABELS)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("bioert", "Unknown model 'bioert'. Did you mean 'biobert'\\?"),
        ("zzz", "Allowed: bert, roberta, albert, biobert"),
        ("./nowhere", "No such model folder: ./nowhere"),
        ("/no/such/folder", "No such model folder: /no/such/folder"),
    ],
)
def test_unknown_names(name: str, message: str, connections: list[str]) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        load_model(name, labels=LABELS)
    assert caught.value.exit_code == 2
    assert connections == []


def test_a_folder_s_own_path_wins_where_it_is_written_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old_folder(tmp_path / "bert", tiny())
    monkeypatch.chdir(tmp_path)
    assert locate("bert") is None
    found = locate("./bert")
    assert found is not None
    assert (found.kind, found.entry) == ("folder", ZOO["bert"])


@pytest.mark.parametrize(
    "name", ["clinicalbert", "ClinicalBERT", "emilyalsentzer/Bio_ClinicalBERT", "Bio_ClinicalBERT"]
)
def test_an_entry_goes_by_several_names(name: str) -> None:
    assert find_entry(name) is ZOO["clinicalbert"]


def test_the_paper_s_seven_have_its_own_ids() -> None:
    seven = ("bert", "roberta", "albert", "biobert", "clinicalbert", "bluebert", "scibert")
    assert [ZOO[name].hub_id for name in seven] == [
        "google-bert/bert-base-uncased",
        "FacebookAI/roberta-base",
        "albert/albert-base-v2",
        "dmis-lab/biobert-v1.1",
        "emilyalsentzer/Bio_ClinicalBERT",
        "ttumyche/bluebert",
        "nfliu/scibert_basevocab_uncased",
    ]
    assert [name for name in seven if ZOO[name].cased] == ["roberta", "biobert", "clinicalbert"]
