"""Which ids of a tokenizer are special, separate texts, spell a period, or are no content: stop words, punctuation."""

from __future__ import annotations

import unicodedata
from typing import Any

from torch import Tensor

from agcli.errors import UsageError
from agcli.guides.tokens import Vocabulary

_INSIDE = "##"
"""In front of WordPiece's pieces inside a word; tokenizers themselves take off the other marks of words' edges."""

_MISSING = {
    "delim_ids": "a separator token ([SEP] or </s>)",
    "period_ids": "a piece that spells a period",
    "embeddings": "input embeddings",
}


def vocabulary_of(tokenizer: Any, embeddings: Tensor | None = None) -> Vocabulary:
    """The ids that guides refer to.

    Stop words are scikit-learn's English ones, in any case; punctuation is what BERT splits off: Unicode's, and ASCII's
    symbols. WordPiece's pieces inside a word are punctuation, but no stop word, whatever they spell; other tokenizers'
    go by what they spell.

    Args:
        tokenizer: a Hugging Face tokenizer of any kind: WordPiece, byte-level BPE, SentencePiece.
        embeddings: the encoder's input embeddings, (vocabulary, hidden_size), which are copied: they stay as they are
            before training. Only some guides need them: `"embeddings" in guide.needs_of_vocabulary`.
    """
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    special = set(tokenizer.all_special_ids)
    pieces = sorted((index, piece) for piece, index in tokenizer.get_vocab().items() if index not in special)
    texts = {index: tokenizer.convert_tokens_to_string([piece]).strip().casefold() for index, piece in pieces}
    signs = {index: text.removeprefix(_INSIDE) or text for index, text in texts.items()}
    return Vocabulary(
        special_ids=tuple(sorted(special)),
        delim_ids=_separators(tokenizer),
        period_ids=tuple(index for index, sign in signs.items() if sign == "."),
        function_ids=tuple(
            index for index, text in texts.items() if text in ENGLISH_STOP_WORDS or _is_punctuation(signs[index])
        ),
        embeddings=None if embeddings is None else embeddings.detach().clone(),
    )


def check_vocabulary(guide: object, vocabulary: Vocabulary, encoder_name: str) -> None:
    """Whether the encoder has the signs that a guide's targets are.

    Raises:
        UsageError: it has not; names guide, encoder and sign.
    """
    for field in getattr(guide, "needs_of_vocabulary", ()):
        ids = getattr(vocabulary, field)
        if ids is None or not len(ids):
            name = getattr(guide, "name", type(guide).__name__)
            raise UsageError(
                f"The guide {name} needs {_MISSING[field]}, which {encoder_name} does not have.",
                hint=f"leave out the guide {name}, or choose another encoder",
            )


def _separators(tokenizer: Any) -> tuple[int, ...]:
    """The separator, or, without one, the end of a text where the tokenizer puts it behind each."""
    if tokenizer.sep_token_id is not None:
        return (tokenizer.sep_token_id,)
    end = tokenizer.eos_token_id
    return (end,) if end is not None and tokenizer("")["input_ids"][-1:] == [end] else ()


def _is_punctuation(sign: str) -> bool:
    return bool(sign) and all(
        unicodedata.category(character)[0] == "P" or (character.isascii() and not character.isalnum())
        for character in sign
    )
