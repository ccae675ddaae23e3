"""Pairs put together from texts tokenised once are what the tokenizer makes of the pair itself."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertTokenizerFast, PreTrainedTokenizerFast

from agcli.data.batching import collate, tokenise
from agcli.data.text_pairs import TextPairs, pair_template, text_tokens, with_room
from agcli.errors import DataError, ModelError
from agcli.models import load_tokenizer

CLAIMS = ["Aspirin helps.", "Doctors urge hospitals to reconsider fluids [SEP] for children with sepsis"]
DOCUMENTS = [
    "An abstract of many words. " * 9,
    "Short.",
    "",
    "Ünïcode, ｆｕｌｌ width and 1,000 numbers \u2028 beside.",
]


def byte_level() -> PreTrainedTokenizerFast:
    """A tokenizer of RoBERTa's kind: bytes, no space before a text, `<s> a </s></s> b </s>`, no segments."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {word: place for place, word in enumerate(["<s>", "<pad>", "</s>", "<unk>", *letters])}
    backend = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    names = ["input_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_input_names=names, **special)


@pytest.fixture(params=["minilm", "byte level"])
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return load_tokenizer("minilm", offline=True) if request.param == "minilm" else byte_level()


@pytest.mark.parametrize("max_length", [120, 300, 60])
def test_a_pair_is_the_tokenizers_own(tokenizer: Any, max_length: int) -> None:
    max_length += 40 if "token_type_ids" not in tokenizer.model_input_names else 0  # bytes are many
    pairs = np.array(list(itertools.product(range(len(CLAIMS)), range(len(DOCUMENTS)))))
    template = pair_template(tokenizer)
    first, second = (dict(enumerate(text_tokens(tokenizer, texts, max_length))) for texts in (CLAIMS, DOCUMENTS))
    found = TextPairs(template, first, second, pairs, max_length)
    claims, documents = ([texts[i] for i in column] for texts, column in zip((CLAIMS, DOCUMENTS), pairs.T, strict=True))
    names = [str(number) for number in range(len(pairs))]
    expected = tokenise(
        tokenizer, names, claims, documents, [0] * len(pairs), max_length=max_length, truncation="only_second"
    )
    assert [{name: ids.tolist() for name, ids in each.items()} for each in found] == list(expected.encoded)
    assert found.lengths.tolist() == expected.lengths.tolist()
    assert found.truncated.tolist() == expected.truncated.tolist()
    examples = found.examples(tokenizer, names, np.zeros(len(pairs), np.int64))
    rows = np.array([5, 0, 2])
    ours, theirs = collate(examples, rows), collate(expected, rows)
    assert all((ours.inputs[name] == theirs.inputs[name]).all() for name in theirs.inputs)


def test_a_claim_that_fills_the_pair_is_named() -> None:
    tokenizer = load_tokenizer("minilm", offline=True)
    template = pair_template(tokenizer)
    tokens = text_tokens(tokenizer, CLAIMS, 16)
    assert with_room(["a"], tokens[:1], template, 16, False, "") == (tokens[:1], 0)
    with pytest.raises(DataError, match=r"1 of 2 queries leave no room .* more than 12 tokens.*'b'") as error:
        with_room(["a", "b"], tokens, template, 16, False, "a larger one")
    assert error.value.hint == "a larger one"
    fitting, cut = with_room(["a", "b"], tokens, template, 16, True, "")
    assert (len(fitting[1]), cut) == (6, 1)  # half of what three special tokens leave of 16
    assert fitting[0] is tokens[0]
    assert (fitting[1] == tokens[1][:6]).all()


def test_a_tokenizer_that_reads_a_pair_otherwise_is_refused(tmp_path: Path) -> None:
    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b"]))
    tokenizer = BertTokenizerFast(vocab=str(vocabulary))
    backwards = processors.TemplateProcessing(pair="[CLS] $B [SEP] $A:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.backend_tokenizer.post_processor = backwards
    with pytest.raises(ModelError, match="does not put a first text before a second one"):
        pair_template(tokenizer)
