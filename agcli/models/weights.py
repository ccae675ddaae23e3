"""Weight files: safetensors as they are, pickles only through torch's safe reader and converted once."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from agcli.errors import ModelError, RunError, UsageError
from agcli.runs.atomic import sha256, write_folder
from agcli.runs.paths import expanded

_LFS_POINTER = b"version https://git-lfs"
_FOREIGN = ("tf_model.h5", "flax_model.msgpack", "bert_model.ckpt.index")


@dataclass(frozen=True)
class WeightFiles:
    """The weight files of a model: shards in order of name.

    Attributes:
        safetensors: whether they are safetensors (else pickles).
        sha256: of the file, or of the shards' hashes where there are several.
    """

    files: tuple[Path, ...]
    safetensors: bool
    sha256: str


def find_weights(folder: Path, *, hint: str | None = None) -> WeightFiles:
    """The weight files of a folder; safetensors win over pickles.

    Raises:
        ModelError: none, a shard that is missing, or a Git LFS pointer in place of a file.
    """
    for name in ("model.safetensors", "pytorch_model.bin"):
        single, index = folder / name, folder / f"{name}.index.json"
        if single.is_file():
            files: tuple[Path, ...] = (single,)
        elif index.is_file():
            files = _shards(index)
        else:
            continue
        digests = [_checked_digest(file) for file in files]
        digest = digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()
        return WeightFiles(files, single.suffix == ".safetensors", digest)
    if (folder / "model" / "config.json").is_file():  # a run folder keeps its model one level down
        hint = f"did you mean {folder / 'model'}?"
    foreign = [name for name in _FOREIGN if (folder / name).exists()]
    present = f"only {', '.join(foreign)} (TensorFlow or Flax)" if foreign else "no weights"
    raise ModelError(f"{folder}: {present} in this folder; needed: model.safetensors or pytorch_model.bin.", hint=hint)


def read_state_dict(weights: WeightFiles) -> tuple[dict[str, torch.Tensor], tuple[str, ...]]:
    """Every tensor of the weight files, and notes on conversions.

    Pickles are read with `weights_only` and kept as safetensors under `conversion_cache()`, keyed by their hash, so
    that the next load reads no pickle; the user's folder is not written to.

    Raises:
        ModelError: a damaged file, or a pickle that holds more than tensors.
    """
    if weights.safetensors:
        return _read_safetensors(weights.files), ()
    names = ", ".join(file.name for file in weights.files)
    cache = conversion_cache()
    if cache is None:
        note = f"{names} is not kept as safetensors: there is no home folder; AGCLI_CACHE may name another"
        return _read_pickles(weights.files), (note,)
    converted = cache / weights.sha256 / "model.safetensors"
    if converted.is_file():
        try:
            return _read_safetensors((converted,)), (f"read {names} from its conversion at {converted}",)
        except ModelError:  # a damaged conversion is made anew
            converted.unlink(missing_ok=True)
    state = _read_pickles(weights.files)
    # Clones, as safetensors refuses tensors that share memory (tied embeddings).
    tensors = {name: tensor.clone().contiguous() for name, tensor in state.items()}
    try:
        write_folder(converted.parent, lambda aside: save_file(tensors, aside / converted.name, {"format": "pt"}))
    except RunError as error:  # a full or read-only disk must not keep a good model from loading
        return state, (f"{names} could not be converted to safetensors: {error}",)
    return state, (f"converted {names} once to safetensors at {converted}",)


def conversion_cache() -> Path | None:
    """Where converted pickles are kept: `$AGCLI_CACHE/converted`, else `~/.cache/agcli/converted`.

    None where there is no home folder: a shared one, such as /tmp, could hold somebody else's weights.
    """
    try:
        return expanded(os.environ.get("AGCLI_CACHE") or "~/.cache/agcli") / "converted"
    except UsageError:
        return None


def _shards(index: Path) -> tuple[Path, ...]:
    """The shards an index lists; they must lie beside it."""
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ModelError(f"{index}: not a readable index of weight shards.") from None
    for name in names:
        if Path(name).name != name or not (index.parent / name).is_file():
            raise ModelError(f"{index} lists the shard {name!r}, which does not lie beside it.")
    return tuple(index.parent / name for name in names)


def _checked_digest(file: Path) -> str:
    with file.open("rb") as stream:
        if stream.read(len(_LFS_POINTER)) == _LFS_POINTER:
            raise ModelError(f"{file} is a Git LFS pointer, not the weights.", hint="in that folder: git lfs pull")
    return sha256(file)


def _read_safetensors(files: tuple[Path, ...]) -> dict[str, torch.Tensor]:
    """Copies, not views of the mapped file: those start at odd addresses, where matrix kernels take other paths and
    the last bit of a logit differs from that of the model that was saved.
    """
    state = {}
    for file in files:
        try:
            with safe_open(file, framework="pt") as tensors:
                state.update({name: tensors.get_tensor(name).clone() for name in tensors.keys()})  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise ModelError(
                f"{file} is damaged or not safetensors ({error}).", hint="fetch or copy it again"
            ) from None
    return state


def _read_pickles(files: tuple[Path, ...]) -> dict[str, torch.Tensor]:
    state = {}
    for file in files:
        try:
            part = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged pickle can raise nearly anything
            raise ModelError(
                f"{file}: refused, torch's safe reader (weights_only) found damage or more than tensors "
                f"({type(error).__name__}). Reading it otherwise could run code hidden in it.",
                hint="use a safetensors copy of this model, or fetch the file again",
            ) from None
        if not isinstance(part, dict) or not all(isinstance(value, torch.Tensor) for value in part.values()):
            raise ModelError(f"{file}: not a table of tensors by name, as a saved state_dict is.")
        state.update(part)
    return state
