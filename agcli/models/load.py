"""Load an encoder with a classifier on top, in float32, or make one with random weights.

The weights are read here, so that transformers uses no network, runs no code of a repository and fills no gaps.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from transformers import (
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
    AutoModelForSequenceClassification,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from agcli.errors import ModelError, did_you_mean
from agcli.models.architecture import build_config, entry_config, read_config
from agcli.models.model_files import Source, resolve
from agcli.models.tokenizer import tokenizer_of
from agcli.models.weights import WeightFiles, find_weights, read_state_dict
from agcli.models.zoo import ZOO, find_entry

_OUTPUT_LAYER = ("classifier.weight", "classifier.bias", "classifier.out_proj.weight", "classifier.out_proj.bias")
"""Names over all families of the last layer, whose rows are the labels."""
_DROPOUTS = (
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "classifier_dropout",
    "classifier_dropout_prob",
    "dropout",
    "attention_dropout",
    "seq_classif_dropout",
    "embedding_dropout",
    "mlp_dropout",
)


@dataclass(frozen=True)
class LoadedModel:
    """An encoder ready for fine-tuning, and where it came from.

    Attributes:
        tokenizer: limited to the model's positions.
        source: hub id, or the folder as given.
        revision: commit on the hub, where known.
        weights_sha256: of the weight file, before any conversion.
        cased: whether capitals are kept; None where that is unknown.
        notes: conversions, newly initialised layers, corrected casing.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    name: str
    source: str
    revision: str | None
    weights_sha256: str
    cased: bool | None
    notes: tuple[str, ...]


def load_model(
    name: str,
    *,
    labels: Sequence[str],
    offline: bool = False,
    attention: str = "eager",
    dropout: float | None = None,
) -> LoadedModel:
    """Load an encoder with a classifier for `labels`.

    A stored classifier is kept where it was trained for the same labels (reordered if need be); otherwise its output
    layer is drawn anew from torch's global generator, which the caller seeds.

    Args:
        name: zoo name, hub id (`owner/name`) or folder.
        labels: label names in the order of the outputs.
        offline: use no network; `HF_HUB_OFFLINE` does the same.
        attention: name of a registered attention implementation.
        dropout: sets every dropout rate of encoder and classifier; None leaves the model's own.

    Raises:
        ModelError: unknown or absent model, damaged or unsafe files, or an encoder with missing weights.
    """
    names = list(labels)
    source = resolve(name, offline=offline)
    raw = read_config(source)
    weights = _checked_weights(source)
    state, notes = read_state_dict(weights)
    config = build_config(source, raw, lambda: state)
    tokenizer, cased, casing_notes = tokenizer_of(source, config)
    head_note = _fit_classifier(state, _stored_labels(raw), names)
    _set_labels(config, names)
    _set_dropout(config, dropout)
    model, fresh = _assemble(source, config, state, attention)
    notes = (*notes, *casing_notes, *head_note, *fresh)
    return LoadedModel(model, tokenizer, name, source.origin, source.revision, weights.sha256, cased, notes)


def load_config(name: str, *, offline: bool = False) -> PretrainedConfig:
    """Load only the configuration of a model, with the same checks as `load_model`.

    Raises:
        ModelError: as for `load_model`.
    """
    source = resolve(name, offline=offline)
    return build_config(source, read_config(source), lambda: read_state_dict(_checked_weights(source))[0])


def load_tokenizer(name: str, *, offline: bool = False) -> PreTrainedTokenizerBase:
    """Load only the tokenizer of a model, with the same checks as `load_model`.

    Raises:
        ModelError: as for `load_model`.
    """
    return tokenizer_of(resolve(name, offline=offline), load_config(name, offline=offline))[0]


def random_model(
    name: str, *, labels: Sequence[str], attention: str = "eager", dropout: float | None = None, **overrides: Any
) -> PreTrainedModel:
    """A model of a zoo entry's dimensions with random weights, for tests and timing; uses no file and no network.

    Args:
        attention: name of a registered attention implementation.
        overrides: configuration fields by transformers' names (`hidden_size=32`) that replace the entry's.

    Raises:
        ModelError: an unknown name.
    """
    entry = find_entry(name)
    if entry is None:
        raise ModelError(f"Unknown model {name!r}.{did_you_mean(name, ZOO)} Allowed: {', '.join(ZOO)}.")
    config = entry_config(entry, **overrides)
    _set_labels(config, labels)
    _set_dropout(config, dropout)
    model: PreTrainedModel = AutoModelForSequenceClassification.from_config(
        config, attn_implementation=attention, dtype=torch.float32
    )
    return model.eval()


def _checked_weights(source: Source) -> WeightFiles:
    weights = find_weights(source.folder, hint=source.hint)
    if source.sha256 is not None and weights.sha256 != source.sha256:
        raise source.error(
            f"{weights.files[0]} is not the official file: SHA-256 {weights.sha256}, expected {source.sha256}."
        )
    return weights


def _set_labels(config: PretrainedConfig, labels: Sequence[str]) -> None:
    if not labels or len(set(labels)) != len(labels):
        raise ModelError(f"A classifier needs labels, each named once; got {list(labels)}.")
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: index for index, label in enumerate(labels)}


def _set_dropout(config: PretrainedConfig, dropout: float | None) -> None:
    for field in _DROPOUTS if dropout is not None else ():
        if hasattr(config, field):
            setattr(config, field, dropout)


def _stored_labels(raw: dict[str, Any]) -> list[str]:
    """The labels a stored sequence classifier was trained for; none for any other kind of model."""
    if not any(str(name).endswith("ForSequenceClassification") for name in raw.get("architectures") or ()):
        return []
    names = raw.get("id2label") or {index: f"LABEL_{index}" for index in range(raw.get("num_labels") or 2)}
    return [str(names[key]) for key in sorted(names, key=int)]


def _fit_classifier(state: dict[str, torch.Tensor], stored: list[str], wanted: list[str]) -> tuple[str, ...]:
    """Keep, reorder or drop the stored output layer in place, by the labels of its rows."""
    rows = {label.lower(): index for index, label in enumerate(stored)}
    order = [rows.get(label.lower()) for label in wanted]
    present = [key for key in _OUTPUT_LAYER if key in state]
    if not present or order == list(range(len(stored))):
        return ()
    if len(order) == len(stored) and None not in order:
        for key in present:
            state[key] = state[key][order]
        return (f"stored classifier reordered from {stored} to {wanted}",)
    for key in present:
        del state[key]
    return (f"stored classifier replaced: it was trained for {stored or 'another task'}",)


def _assemble(
    source: Source, config: PretrainedConfig, state: dict[str, torch.Tensor], attention: str
) -> tuple[PreTrainedModel, tuple[str, ...]]:
    """Build the model around the weights; only what lies outside the encoder, or its pooler, may be missing."""
    architecture = MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[type(config)]
    try:
        with quiet_transformers():
            model, report = architecture.from_pretrained(
                None,
                config=config,
                state_dict=state,
                dtype=torch.float32,
                attn_implementation=attention,
                output_loading_info=True,
            )
    except (ValueError, RuntimeError, KeyError) as error:
        raise source.error(f"{source.origin}: config and weights do not fit ({error}).") from None
    encoder = f"{model.base_model_prefix}."
    missing = sorted(report["missing_keys"])
    lost = [key for key in missing if key.startswith(encoder) and not key.startswith(f"{encoder}pooler.")]
    if lost:
        raise source.error(
            f"{source.origin}: {len(lost)} weights of the encoder are missing, such as {lost[0]}; the file has names "
            f"such as {next(iter(sorted(state)), 'none')}. A partly random encoder is not loaded.",
            hint="check that config.json (model_type, num_hidden_layers) fits the weights",
        )
    _check_finite(source, model)
    model.config.name_or_path = source.origin
    notes = (f"newly initialised: {', '.join(missing)}",) if missing else ()
    return model, notes + _left_out(model, report["unexpected_keys"])


def _check_finite(source: Source, model: PreTrainedModel) -> None:
    broken = [name for name, weight in model.named_parameters() if not torch.isfinite(weight).all()]
    if broken:
        raise source.error(
            f"{source.origin}: {len(broken)} stored weight{'s hold' if len(broken) > 1 else ' holds'} NaN or infinite "
            f"values: {', '.join(broken[:5])}{' and more' if len(broken) > 5 else ''}.",
            hint="fetch or copy the model again, or save it anew: no training mends such weights",
        )


def _left_out(model: PreTrainedModel, unused: Collection[str]) -> tuple[str, ...]:
    """A note on stored encoder weights that the model does not have; poolers and other tasks' heads are expected."""
    parts = {name for name, _ in model.base_model.named_children()}
    prefix = f"{model.base_model_prefix}."
    names = sorted(name for name in unused if name.startswith(prefix) or name.split(".")[0] in parts)
    names = [name for name in names if not name.removeprefix(prefix).startswith("pooler.")]
    if not names:
        return ()
    return (
        f"{len(names)} stored weights of the encoder are not used, such as {names[0]}: config.json describes another "
        f"encoder, of {model.config.num_hidden_layers} layers",
    )


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence the loading report and bar, whose facts are in `LoadedModel.notes`."""
    level, bar = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bar:
            transformers_logging.enable_progress_bar()
