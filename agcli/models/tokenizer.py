"""Tokenizers, and the check that a cased model keeps its capitals.

transformers 5 lower-cases any WordPiece vocabulary whose `tokenizer_config.json` does not forbid it, without a warning.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PretrainedConfig, PreTrainedTokenizerBase

from agcli.errors import ModelError
from agcli.models.architecture import position_limit, tells_segments_apart
from agcli.models.model_files import TOKENIZER_FILES, Source

_PROBE = "Aspirin"
_SPECIAL = re.compile(r"\[.*\]|<.*>")


def tokenizer_of(
    source: Source, config: PretrainedConfig
) -> tuple[PreTrainedTokenizerBase, bool | None, tuple[str, ...]]:
    """The tokenizer of a source, whether it keeps capitals (None: unknown), and notes.

    Raises:
        ModelError: no vocabulary, one that is larger than the embedding, or a casing that cannot be set right.
    """
    if not any((source.folder / name).is_file() for name in TOKENIZER_FILES):
        raise ModelError(f"{source.folder}: no vocabulary in this folder.", hint=f"one of {', '.join(TOKENIZER_FILES)}")
    wanted = stated_casing(source)
    tokenizer, notes = _load(source, config), []
    cased = keeps_capitals(tokenizer)
    if None not in (wanted, cased) and cased is not wanted:
        tokenizer = _load(source, config, do_lower_case=not wanted)
        notes.append(f"tokenizer set to {'keep capitals' if wanted else 'lower-case'}, as the model was trained")
        cased = keeps_capitals(tokenizer)
        if cased is not wanted:
            casing = "cased" if wanted else "uncased"
            raise ModelError(f"{source.origin} is {casing}, but its tokenizer turns {_PROBE!r} otherwise.")
    _check_vocabulary(source, tokenizer, config, cased)
    notes += _without_segments(tokenizer, config)
    limit = position_limit(config)
    if limit is not None:  # old folders state no limit, and longer input would run off the position table
        tokenizer.model_max_length = min(tokenizer.model_max_length, limit)
    return tokenizer, cased, tuple(notes)


def _without_segments(tokenizer: PreTrainedTokenizerBase, config: PretrainedConfig) -> list[str]:
    """Leave out `token_type_ids` for an encoder with one segment, also where the tokenizer is saved with the model."""
    if "token_type_ids" not in tokenizer.model_input_names or tells_segments_apart(config):
        return []
    names = [name for name in tokenizer.model_input_names if name != "token_type_ids"]
    tokenizer.model_input_names = names
    tokenizer.init_kwargs["model_input_names"] = names
    return ["the encoder has one segment: the tokenizer's token_type_ids are left out"]


def stated_casing(source: Source) -> bool | None:
    """Whether the model is cased, by the first that says so: the zoo entry by its name, `tokenizer_config.json`, the
    normalizer in `tokenizer.json`, the zoo entry of a local folder's name, the vocabulary itself.
    """
    if source.entry is not None and source.kind != "folder":
        return source.entry.cased
    stated = _read_json(source.folder / "tokenizer_config.json").get("do_lower_case")
    if isinstance(stated, bool):
        return not stated
    normalizer = _read_json(source.folder / "tokenizer.json").get("normalizer")
    if isinstance(normalizer, dict) and normalizer.get("type") == "BertNormalizer":
        return not normalizer.get("lowercase")
    if source.entry is not None:
        return source.entry.cased
    vocabulary = source.folder / "vocab.txt"
    return _has_capitals(vocabulary.read_text(encoding="utf-8").splitlines()) if vocabulary.is_file() else None


def keeps_capitals(tokenizer: PreTrainedTokenizerBase) -> bool | None:
    """Whether the pieces of "Aspirin" keep its capital; by the normalizer where the vocabulary cannot spell it."""
    text = tokenizer.convert_tokens_to_string(tokenizer.tokenize(_PROBE)).strip()
    if text.lower() != _PROBE.lower():
        normalizer = tokenizer.backend_tokenizer.normalizer
        text = normalizer.normalize_str(_PROBE) if normalizer is not None else ""
    return {_PROBE: True, _PROBE.lower(): False}.get(text)


def _load(source: Source, config: PretrainedConfig, **settings: Any) -> PreTrainedTokenizerBase:
    try:
        return AutoTokenizer.from_pretrained(
            source.folder, config=config, local_files_only=True, trust_remote_code=False, **settings
        )
    except Exception as error:  # a broken tokenizer.json raises whatever its reader raises
        reason = f"{type(error).__name__}: {error}"
        raise source.error(f"{source.folder}: the tokenizer cannot be loaded ({reason}).") from None


def _check_vocabulary(
    source: Source, tokenizer: PreTrainedTokenizerBase, config: PretrainedConfig, cased: bool | None
) -> None:
    vocabulary = tokenizer.get_vocab()
    highest = max(vocabulary.values(), default=-1)
    if highest >= config.vocab_size:
        raise ModelError(
            f"{source.origin}: the vocabulary has ids up to {highest}, the embedding only {config.vocab_size} rows.",
            hint="vocabulary and weights must come from the same model",
        )
    if cased and (source.folder / "vocab.txt").is_file() and not _has_capitals(vocabulary):
        raise ModelError(
            f"{source.origin} is cased, but no piece of its vocabulary has a capital letter.",
            hint='for an uncased model, put {"do_lower_case": true} into tokenizer_config.json',
        )


def _has_capitals(pieces: Any) -> bool:
    return any(piece != piece.lower() for piece in pieces if not _SPECIAL.fullmatch(piece))


def _read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty where there is none (the loader reports broken files)."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
