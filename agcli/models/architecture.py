"""From a folder's config.json to a transformers configuration, also where `model_type` is missing.

transformers 5 does not infer it. For folders from before 2020 it is inferred here from class names, names of the
weights, keys of the config, the kind of vocabulary, and the zoo.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Collection
from typing import Any

from transformers import CONFIG_MAPPING, MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING, PretrainedConfig

from agcli.errors import ModelError
from agcli.models.model_files import Source
from agcli.models.zoo import ZOO, ModelEntry

_CLASS_NAMES = {
    "XLMRoberta": "xlm-roberta",
    "DistilBert": "distilbert",
    "ModernBert": "modernbert",
    "Roberta": "roberta",
    "Albert": "albert",
    "Electra": "electra",
    "Bert": "bert",
}
_CLASS_NAME = re.compile(rf"({'|'.join(_CLASS_NAMES)})(For[A-Z]\w*|Model)")
_PREFIXES = {
    "bert.": {"bert"},
    "roberta.": {"roberta", "xlm-roberta"},
    "albert.": {"albert"},
    "electra.": {"electra"},
    "distilbert.": {"distilbert"},
    "model.layers.": {"modernbert"},
    "encoder.albert_layer_groups.": {"albert"},
    "transformer.layer.": {"distilbert"},
    "embeddings_project.": {"electra"},
    "encoder.layer.": {"bert", "roberta", "xlm-roberta", "electra"},
    "pooler.": {"bert", "roberta", "xlm-roberta", "albert"},
}
_CONFIG_KEYS: tuple[tuple[set[str], set[str]], ...] = (
    ({"num_hidden_groups"}, {"albert"}),
    ({"inner_group_num"}, {"albert"}),
    ({"n_layers", "dim"}, {"distilbert"}),
    ({"global_attn_every_n_layers"}, {"modernbert"}),
    ({"embedding_size"}, {"electra"}),
    (set(), {"bert", "roberta", "xlm-roberta"}),
)
"""The first of these whose keys a config has decides."""
_VOCABULARIES = {
    "vocab.txt": {"bert", "electra", "distilbert"},
    "vocab.json": {"roberta"},
    "sentencepiece.bpe.model": {"xlm-roberta"},
    "spiece.model": {"albert"},
}
_ROBERTA_LIKE = ("roberta", "xlm-roberta", "camembert", "xlm-roberta-xl", "roberta-prelayernorm", "xmod")
_NOT_THE_ENCODER = (
    "output_attentions",
    "output_hidden_states",
    "return_dict",
    "problem_type",
    "num_labels",
    "_num_labels",
    "id2label",
    "label2id",
    "torch_dtype",
    "dtype",
    "attn_implementation",
    "_attn_implementation",
    "auto_map",
)
"""Settings of whoever saved the model that would change how it runs; none describes the encoder."""


def read_config(source: Source) -> dict[str, Any]:
    """The folder's config as written; `bert_config.json` is what Google's own releases are called.

    Raises:
        ModelError: no config, or one that is not a JSON object.
    """
    path, google = source.folder / "config.json", source.folder / "bert_config.json"
    if google.is_file() and not path.is_file():
        path = google
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise source.error(f"{source.folder}: no config.json in this folder, so no model.") from None
    except ValueError as error:
        raise source.error(f"{path} is not valid JSON ({error}).") from None
    if not isinstance(raw, dict):
        raise source.error(f"{path} holds no JSON object.")
    return {"model_type": "bert"} | raw if path == google else raw


def build_config(source: Source, raw: dict[str, Any], keys: Callable[[], Collection[str]]) -> PretrainedConfig:
    """The transformers configuration of an encoder that can classify, without what its last user set.

    Args:
        raw: the config as written.
        keys: gives the names in the weights; called only where the config names no architecture.

    Raises:
        ModelError: an architecture that is unknown, ambiguous or needs code from the repository.
    """
    model_type = raw.get("model_type") or _infer_model_type(source, raw, keys())
    if model_type not in CONFIG_MAPPING:
        own_code = " It runs code of its own repository, which ag never does." if "auto_map" in raw else ""
        raise ModelError(f"{source.origin}: transformers has no architecture {model_type!r}.{own_code}")
    kept = {key: value for key, value in raw.items() if key not in _NOT_THE_ENCODER} | {"model_type": model_type}
    try:
        config: PretrainedConfig = CONFIG_MAPPING[model_type].from_dict(kept)
    except Exception as error:  # the field checks of transformers raise several kinds
        raise ModelError(f"{source.origin}: config.json does not describe a {model_type} model ({error}).") from None
    if type(config) not in MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING:
        raise ModelError(f"{source.origin}: transformers has no sequence classifier for {model_type}.")
    return config


def _infer_model_type(source: Source, raw: dict[str, Any], keys: Collection[str]) -> str:
    """The architecture of a config without `model_type`.

    Class names, weight names and config keys must agree; the kind of vocabulary and the zoo only break ties.

    Raises:
        ModelError: contradictory or insufficient evidence; says which line to add.
    """
    matches = [_CLASS_NAME.fullmatch(str(name)) for name in raw.get("architectures") or ()]
    candidates = {_CLASS_NAMES[match[1]] for match in matches if match} or set(_CLASS_NAMES.values())
    candidates &= next(types for words, types in _CONFIG_KEYS if words <= raw.keys())
    for prefix, types in _PREFIXES.items():
        if any(key.startswith(prefix) for key in keys):
            candidates &= types
    ties = [types for name, types in _VOCABULARIES.items() if (source.folder / name).is_file()]
    ties += [_by_dimensions(raw), {source.entry.model_type} if source.entry else set()]
    for types in ties:
        candidates = candidates & types or candidates
    if len(candidates) == 1:
        return candidates.pop()
    reading = f"could be {' or '.join(sorted(candidates))}" if candidates else "its parts contradict each other"
    raise ModelError(
        f"{source.folder / 'config.json'} names no model_type, and the architecture is unclear: {reading}.",
        hint='add the line "model_type": "bert" (or what it is) to that config.json',
    )


def _by_dimensions(raw: dict[str, Any]) -> set[str]:
    """The architectures of zoo entries with the same dimensions and vocabulary."""
    wanted = [raw.get(key) for key in ("num_hidden_layers", "num_attention_heads", "hidden_size", "vocab_size")]
    return {
        entry.model_type
        for entry in ZOO.values()
        if wanted == [entry.num_layers, entry.num_heads, entry.hidden_size, entry.vocab_size]
        and ("embedding_size" in raw) == (entry.embedding_size is not None)
    }


def position_limit(config: PretrainedConfig) -> int | None:
    """The longest input in tokens; RoBERTa's position table starts at `pad_token_id + 1`."""
    rows = getattr(config, "max_position_embeddings", None)
    if rows is None:
        return None
    return int(rows) - (config.pad_token_id + 1) if config.model_type in _ROBERTA_LIKE else int(rows)


def tells_segments_apart(config: PretrainedConfig) -> bool:
    """Whether the encoder takes `token_type_ids` and has a second segment; RoBERTa has one, DistilBERT none."""
    segments = getattr(config, "type_vocab_size", None)
    if segments is None:
        model = MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING[type(config)]
        return "token_type_ids" in inspect.signature(model.forward).parameters
    return int(segments) > 1


def entry_config(entry: ModelEntry, **overrides: Any) -> PretrainedConfig:
    """The configuration of a zoo entry, from its dimensions alone; `overrides` are fields by transformers' names."""
    dimensions: dict[str, Any] = {
        "num_hidden_layers": entry.num_layers,
        "num_attention_heads": entry.num_heads,
        "hidden_size": entry.hidden_size,
        "intermediate_size": entry.intermediate_size,
        "vocab_size": entry.vocab_size,
        "max_position_embeddings": entry.max_length + entry.position_offset,
        "pad_token_id": entry.pad_token_id,
        "type_vocab_size": entry.type_vocab_size or None,
        "embedding_size": entry.embedding_size,
        "local_attention": entry.local_attention,
        "global_attn_every_n_layers": entry.global_every,
    }
    fields = {key: value for key, value in dimensions.items() if value is not None} | overrides
    if entry.model_type == "distilbert":  # its own name, which transformers does not alias
        fields["hidden_dim"] = fields.pop("intermediate_size")
    if entry.model_type == "modernbert":  # ids that a smaller vocabulary does not have, and that no layer uses
        fields |= dict.fromkeys(("bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"))
    if fields["pad_token_id"] >= fields["vocab_size"]:
        fields["pad_token_id"] = 0
    return CONFIG_MAPPING[entry.model_type](**fields)
