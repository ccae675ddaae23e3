"""Tiny model folders as they come: old and new, whole and broken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from agcli.models import random_model

LABELS = ["entailment", "neutral", "contradiction"]
SMALL: dict[str, Any] = {
    "num_hidden_layers": 2,
    "hidden_size": 32,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "vocab_size": 64,
    "max_position_embeddings": 40,
}
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
UNCASED = [*SPECIALS, "as", "##pirin", "the", "patient", "takes", "daily", ".", "a", "##s", "##p"]
CASED = [*SPECIALS, "As", "##pirin", "The", "patient", "takes", "daily", ".", "as", "a", "##s", "##p"]


def tiny(family: str = "bert", **fields: Any) -> PreTrainedModel:
    """A tiny model with random, non-trivial weights (LayerNorms differ from their start)."""
    torch.manual_seed(7)
    model = random_model(family, labels=LABELS, **(SMALL | fields))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def write_vocabulary(folder: Path, pieces: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")


def write_config(folder: Path, model: PreTrainedModel, *without: str, **fields: Any) -> None:
    """The model's config.json as a pre-2020 release wrote it: no names of architecture or labels."""
    folder.mkdir(parents=True, exist_ok=True)
    raw = model.config.to_dict() | fields
    dropped = {"architectures", "id2label", "label2id", "transformers_version", "dtype", *without} - set(fields)
    (folder / "config.json").write_text(json.dumps({key: raw[key] for key in raw if key not in dropped}))


def encoder_state(model: PreTrainedModel, *, prefix: bool = True) -> dict[str, torch.Tensor]:
    """The weights without the classifier, as a pre-training checkpoint has them."""
    base = f"{model.base_model_prefix}."
    state = {key: value.clone() for key, value in model.state_dict().items() if key.startswith(base)}
    return state if prefix else {key.removeprefix(base): value for key, value in state.items()}


def old_folder(folder: Path, model: PreTrainedModel, pieces: list[str] = UNCASED, **fields: Any) -> Path:
    """`vocab.txt`, `config.json` without `model_type`, `pytorch_model.bin`: what transformers 5 cannot load."""
    write_vocabulary(folder, pieces)
    write_config(folder, model, "model_type", **fields)
    torch.save(encoder_state(model), folder / "pytorch_model.bin")
    return folder


def same_encoder(loaded: PreTrainedModel, expected: PreTrainedModel) -> bool:
    """Whether every encoder weight is bit for bit the expected one."""
    got, want = encoder_state(loaded), encoder_state(expected)
    return got.keys() == want.keys() and all(torch.equal(got[key], want[key]) for key in want)
