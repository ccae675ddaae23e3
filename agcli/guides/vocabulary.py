"""Which ids of a tokenizer are special, separate texts, spell a period, or are no content: stop words, punctuation."""

from __future__ import annotations

import unicodedata
from typing import Any

from torch import Tensor

from agcli.errors import UsageError
from agcli.guides.tokens import Vocabulary

_CONTINUATION = "##"
"""In front of WordPiece's pieces inside a word; tokenizers themselves take off the other marks of words' edges."""

_MISSING = {
    "delim_ids": "a separator token ([SEP] or </s>)",
    "period_ids": "a piece that spells a period",
    "embeddings": "input embeddings",
}


def vocabulary_of(tokenizer: Any, embeddings: Tensor | None = None) -> Vocabulary:
    """The ids that guides refer to.

    Stop words are scikit-learn's English ones, in any case; punctuation is what Unicode calls punctuation or symbols.

    Args:
        tokenizer: a Hugging Face tokenizer of any kind: WordPiece, byte-level BPE, SentencePiece.
        embeddings: the encoder's input embeddings, (vocabulary, hidden_size), which are copied: they stay as they are
            before training. Only some guides need them: `"embeddings" in guide.needs_of_vocabulary`.
    """
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    special = set(tokenizer.all_special_ids)
    spelled = {index: text for index, text in _spellings(tokenizer).items() if index not in special}
    separator = tokenizer.sep_token_id
    return Vocabulary(
        special_ids=tuple(sorted(special)),
        delim_ids=() if separator is None else (separator,),
        period_ids=tuple(index for index, text in spelled.items() if text == "."),
        function_ids=tuple(
            index for index, text in spelled.items() if text in ENGLISH_STOP_WORDS or _is_punctuation(text)
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


def _spellings(tokenizer: Any) -> dict[int, str]:
    """Id -> what the piece spells, without marks of words' edges, in lower case; ids in order."""
    pieces = sorted((index, piece) for piece, index in tokenizer.get_vocab().items())
    return {index: _spelling(tokenizer, piece) for index, piece in pieces}


def _spelling(tokenizer: Any, piece: str) -> str:
    text: str = tokenizer.convert_tokens_to_string([piece]).strip()
    return (text.removeprefix(_CONTINUATION) or text).casefold()


def _is_punctuation(text: str) -> bool:
    return bool(text) and all(unicodedata.category(sign)[0] in "PS" for sign in text)
