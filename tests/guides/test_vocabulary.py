"""Ids of signs and words, of tokenizers of the three kinds, and the error where an encoder lacks a sign."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import BertTokenizerFast, PreTrainedTokenizerFast

from agcli import Delim, Match, Next, Period
from agcli.errors import UsageError
from agcli.guides.tokens import Vocabulary
from agcli.guides.vocabulary import check_vocabulary, vocabulary_of
from agcli.models import load_tokenizer


def pieces(tokenizer, ids):
    return set(tokenizer.convert_ids_to_tokens(list(ids)))


@pytest.fixture
def wordpiece(tmp_path):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "##.", "The", "the", "##the", "of", "heart", "##s"]
    words += [",", "##,", "...", "$", "’", "→", "3", "##"]
    file = tmp_path / "vocab.txt"
    file.write_text("\n".join(words) + "\n", encoding="utf-8")
    return BertTokenizerFast(vocab=str(file), do_lower_case=False)


@pytest.fixture
def byte_level():
    """Of RoBERTa's kind; the curved apostrophe is three bytes, one of which is a piece too."""
    words = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", ".", "Ġ.", "the", "Ġthe", "ĠThe", "heart", "Ġheart", "Ġ"]
    words += ["âĢĻ", "ĠâĢĻ", "âĢ", ",", "Ġ,", "Ã©"]
    backend = Tokenizer(models.BPE({word: place for place, word in enumerate(words)}, [], unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    special = {f"{name}_token": f"<{name}>" for name in ("pad", "unk", "mask")}
    ends = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, **special, **ends)


def sentencepiece(**special):
    """A Unigram model, as of XLM-R and T5."""
    words = ["<pad>", "</s>", "<unk>", ".", "▁.", "the", "▁the", "▁The", "▁heart", "▁", "▁,", ",", "▁(", "é"]
    backend = Tokenizer(models.Unigram([(word, -1.0) for word in words], unk_id=2))
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    backend.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", unk_token="<unk>", **special)


def test_wordpiece(wordpiece):
    found = vocabulary_of(wordpiece)
    assert pieces(wordpiece, found.special_ids) == {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
    assert pieces(wordpiece, found.delim_ids) == {"[SEP]"}
    assert pieces(wordpiece, found.period_ids) == {".", "##."}
    assert pieces(wordpiece, found.function_ids) == {
        *(".", "##.", ",", "##,", "...", "$", "’", "##"),
        *("The", "the", "of"),
    }
    assert found.embeddings is None


def test_byte_level_bpe(byte_level):
    found = vocabulary_of(byte_level)
    assert pieces(byte_level, found.special_ids) == {"<s>", "</s>", "<pad>", "<unk>", "<mask>"}
    assert pieces(byte_level, found.delim_ids) == {"</s>"}
    assert pieces(byte_level, found.period_ids) == {".", "Ġ."}
    assert pieces(byte_level, found.function_ids) == {
        *(".", "Ġ.", ",", "Ġ,", "âĢĻ", "ĠâĢĻ"),
        *("the", "Ġthe", "ĠThe"),
    }


def test_sentencepiece():
    tokenizer = sentencepiece(eos_token="</s>", sep_token="</s>")
    found = vocabulary_of(tokenizer)
    assert pieces(tokenizer, found.special_ids) == {"<pad>", "</s>", "<unk>"}
    assert pieces(tokenizer, found.delim_ids) == {"</s>"}
    assert pieces(tokenizer, found.period_ids) == {".", "▁."}
    assert pieces(tokenizer, found.function_ids) == {".", "▁.", ",", "▁,", "▁(", "the", "▁the", "▁The"}


def test_an_end_of_text_separates_where_the_tokenizer_writes_it():
    assert vocabulary_of(sentencepiece(eos_token="</s>")).delim_ids == (1,)
    assert vocabulary_of(sentencepiece(eos_token="the")).delim_ids == ()
    assert vocabulary_of(sentencepiece()).delim_ids == ()


def test_a_real_vocabulary():
    tokenizer = load_tokenizer("minilm", offline=True)
    found = vocabulary_of(tokenizer)
    assert pieces(tokenizer, found.period_ids) == {".", "##."}
    assert pieces(tokenizer, found.delim_ids) == {"[SEP]"}
    ids = tokenizer("The patient, however, denies chest pain.")["input_ids"]
    kept = [index for index in ids if index not in {*found.special_ids, *found.function_ids}]
    assert tokenizer.convert_ids_to_tokens(kept) == ["patient", "denies", "chest", "pain"]


def test_embeddings_are_those_before_training(wordpiece):
    table = torch.nn.Parameter(torch.rand(21, 4))
    found = vocabulary_of(wordpiece, table).embeddings
    before = table.detach().clone()
    with torch.no_grad():
        table.zero_()
    assert torch.equal(found, before)
    assert not found.requires_grad


COMPLETE = Vocabulary((1, 2), (2,), (3,), (), torch.eye(4))


@pytest.mark.parametrize(
    ("guide", "lacking", "sign"),
    [
        (Delim(), {"delim_ids": ()}, r"a separator token \(\[SEP\] or </s>\)"),
        (Period(), {"period_ids": ()}, "a piece that spells a period"),
        (Match(), {"delim_ids": ()}, "a separator token"),
        (Match(match="similar"), {"embeddings": None}, "input embeddings"),
    ],
)
def test_an_encoder_without_the_sign_is_an_error(guide, lacking, sign):
    fields = {name: getattr(COMPLETE, name) for name in ("special_ids", "delim_ids", "period_ids", "embeddings")}
    check_vocabulary(guide, COMPLETE, "TinyModel")
    with pytest.raises(
        UsageError, match=f"The guide {guide.name} needs {sign}.*which TinyModel does not have"
    ) as caught:
        check_vocabulary(guide, Vocabulary(**{**fields, **lacking}), "TinyModel")
    assert "choose another encoder" in caught.value.hint


def test_guides_without_signs_need_no_vocabulary():
    check_vocabulary(Next(), Vocabulary(), "TinyModel")
    check_vocabulary(SimpleNamespace(name="own"), Vocabulary(), "TinyModel")
    check_vocabulary(Match(), Vocabulary(delim_ids=(2,)), "TinyModel")
