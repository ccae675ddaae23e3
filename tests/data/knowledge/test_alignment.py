"""Tokens stand for the words of the text that they are cut from, whatever the kind of tokenizer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from known_words import ToParser
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertTokenizerFast, PreTrainedTokenizerFast

from agcli.data.batching import collate, tokenise
from agcli.data.knowledge.alignment import pair_relations, text_numbers
from agcli.data.knowledge.dependency import dependency_relations
from agcli.data.knowledge.relations import Relations
from agcli.data.knowledge.stored import Knowledge, finder
from agcli.data.knowledge.words import words_of
from agcli.models import load_tokenizer

TEXTS = [
    "The dogs chase cats.",
    "Cats chase the café-owner's dogs, dogs!",
    "  Ünïcode cafe\u0301 👍🏽 dogs 👨‍👩‍👧cats ",
    "",
    "dogs",
    "[SEP] dogs can't ｆｕｌｌ",
    "🙂",
    "antidisestablishmentarianism of chasing dogs",
]
PAIRS = [(a, b) for a in TEXTS for b in TEXTS]
SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>", "sep_token": "</s>"}


def word_pieces(tmp: Any) -> BertTokenizerFast:
    pieces = ["the", "dog", "##s", "cat", "chase", "cafe", "##e", "-", "owner", "'", "s", "[UNK]", ".", ",", "!", "of"]
    rows = [
        "[PAD]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *pieces,
        "can",
        "t",
        "anti",
        *(f"##{letter}" for letter in "abcdfghijklmnopqrtu"),
    ]
    file = tmp / "vocab.txt"
    file.write_text("\n".join(rows))
    return BertTokenizerFast(vocab=str(file))


def wrapped(backend: Tokenizer) -> PreTrainedTokenizerFast:
    ids = {token: backend.token_to_id(token) for token in ("<s>", "</s>")}
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B:1 </s>", special_tokens=list(ids.items())
    )
    names = ["input_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_input_names=names, **SPECIAL)


def byte_pairs(trim: bool) -> PreTrainedTokenizerFast:
    """RoBERTa's kind: the space before a word is part of its first piece, and of its place too unless trimmed."""
    backend = Tokenizer(models.BPE(unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=trim)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<s>", "<pad>", "</s>", "<unk>"], initial_alphabet=alphabet
    )
    backend.train_from_iterator(TEXTS * 3, trainer)
    return wrapped(backend)


def sentence_piece() -> PreTrainedTokenizerFast:
    """XLM-R's kind: full widths become narrow, and `▁` stands for the space before a word."""
    backend = Tokenizer(models.Unigram())
    backend.normalizer = normalizers.NFKC()
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=90, special_tokens=["<s>", "<pad>", "</s>", "<unk>"], unk_token="<unk>"
    )
    backend.train_from_iterator(TEXTS * 3, trainer)
    return wrapped(backend)


@pytest.fixture(
    scope="module", params=["word pieces", "byte pairs", "byte pairs, untrimmed", "sentence piece", "minilm"]
)
def tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    match request.param:
        case "word pieces":
            return word_pieces(tmp_path_factory.mktemp("pieces"))
        case "sentence piece":
            return sentence_piece()
        case "minilm":
            return load_tokenizer("minilm", offline=True)
    return byte_pairs(trim=request.param == "byte pairs")


VOCABULARY = sorted({word for text in TEXTS for word, _, _ in words_of(text)} - {"owner"})
VALUES = {
    ("cats", "dogs"): 2.0,
    ("dogs", "dogs"): 1.0,
    ("café", "dogs"): 3.0,
    ("ünïcode", "dogs"): 0.5,
    ("dogs", "of"): 4.0,
}


def spelling() -> Knowledge:
    """Values of some pairs of spellings; nothing is known of `owner`."""
    first, second = (np.array([VOCABULARY.index(pair[side]) for pair in VALUES]) for side in (0, 1))
    values = np.array([*VALUES.values()], dtype=np.float32)
    return Knowledge("toy", {}, Relations.of(len(VOCABULARY), first, second, values), finder(VOCABULARY, ()))


def arcs() -> Knowledge:
    words, relations = dependency_relations(tuple(TEXTS), ToParser(), lambda *_: None)
    return Knowledge("arcs", {}, relations, finder(words, tuple(TEXTS)))


def of_token(words: list[tuple[str, int, int]], begin: int, end: int) -> tuple[str, int, int] | None:
    """The first word that shares a character with a token, character by character."""
    own = {*range(begin, end)}
    return next((word for word in words if own & {*range(word[1], word[2])}), None)


@pytest.mark.parametrize("max_length", [200, 16, 7])
def test_values_of_words_become_those_of_their_pieces(tokenizer: Any, max_length: int) -> None:
    firsts, seconds = map(list, zip(*PAIRS, strict=True))
    got = pair_relations(tokenizer, firsts, seconds, {"toy": spelling()}, max_length=max_length)["toy"]
    names = [str(n) for n in range(len(PAIRS))]
    examples = tokenise(tokenizer, names, firsts, seconds, [0] * len(PAIRS), max_length=max_length)
    assert len(got) == len(PAIRS)
    related = 0
    for row, texts in enumerate(PAIRS):
        [encoding] = tokenizer(*[[text] for text in texts], truncation="longest_first", max_length=max_length).encodings
        assert encoding.ids == list(examples.encoded[row]["input_ids"])
        words: list[str | None] = []
        for place, offsets, token in zip(encoding.sequence_ids, encoding.offsets, encoding.ids, strict=True):
            special = place is None or token in {*tokenizer.all_special_ids} - {tokenizer.unk_token_id}
            word = None if special else of_token(words_of(texts[place]), *offsets)
            words.append(word and word[0])
        naive = [[VALUES.get((a, b)) or VALUES.get((b, a)) or 0.0 if a and b else 0.0 for b in words] for a in words]
        assert got[row].shape == (len(words), len(words))
        assert got[row].dtype == np.float32
        assert got[row].tolist() == naive
        related += int((got[row] > 0).sum())
    assert related > 20


def test_arcs_become_those_of_pieces_and_cross_no_text(tokenizer: Any) -> None:
    pair = TEXTS[1], TEXTS[1]  # one text twice: the same words, and no arc between the two
    got = pair_relations(tokenizer, [pair[0]], [pair[1]], {"arcs": arcs()}, max_length=200)["arcs"][0]
    encoding = tokenizer(*pair).encodings[0]
    [parsed] = ToParser().pipe([TEXTS[1]], 1)
    spans = [(str(token.i), token.idx, token.idx + len(token.text)) for token in parsed]
    joined = {frozenset((str(token.i), str(token.head and token.head.i))) for token in parsed}
    words = [
        (place, of_token(spans, *offsets)) if place is not None else (place, None)
        for place, offsets in zip(encoding.sequence_ids, encoding.offsets, strict=True)
    ]
    naive = [
        [float(bool(a and b and p == q and a != b and frozenset((a[0], b[0])) in joined)) for q, b in words]
        for p, a in words
    ]
    assert got.tolist() == naive
    assert got.sum() > 0
    assert np.array_equal(got, got.T)
    assert (np.diag(got) == 0).all()


def test_single_texts_are_cut_like_their_tokens(tokenizer: Any) -> None:
    whole = text_numbers(tokenizer, TEXTS, 100, {"toy": spelling()})["toy"]
    cut = text_numbers(tokenizer, TEXTS, 3, {"toy": spelling()})["toy"]
    assert [each[:3].tolist() for each in whole] == [each.tolist() for each in cut]
    assert len(whole[3]) == 0
    assert {VOCABULARY.index("dogs")} == {*whole[4].tolist()}


def test_a_batch_holds_them_padded_and_subsets_their_own() -> None:
    tokenizer = load_tokenizer("minilm", offline=True)
    firsts, seconds = map(list, zip(*PAIRS, strict=True))
    names = [str(n) for n in range(len(PAIRS))]
    plain = tokenise(tokenizer, names, firsts, seconds, [0] * len(PAIRS), max_length=40)
    assert collate(plain, np.array([0])).knowledge == {}
    known = pair_relations(tokenizer, firsts, seconds, {"toy": spelling()}, max_length=40)
    examples = type(plain)(**{**vars(plain), "knowledge": known})
    batch = collate(examples, np.array([9, 27, 0]), multiple=8).knowledge["toy"]
    length = collate(examples, np.array([9, 27, 0]), multiple=8).mask.shape[1]
    assert batch.shape == (3, length, length)
    for values, row in zip(batch.numpy(), (9, 27, 0), strict=True):
        real = int(examples.lengths[row])
        assert np.array_equal(values[:real, :real], known["toy"][row])
        assert not values[real:].any()
        assert not values[:, real:].any()
    taken = examples.take(np.array([27, 9]))
    assert len(taken.knowledge["toy"]) == 2
    assert np.array_equal(taken.knowledge["toy"][1], known["toy"][9])


def test_a_pair_given_twice_counts_once() -> None:
    pairs = Relations.of(3, np.array([2, 0, 1]), np.array([0, 2, 1]), np.array([1, 2, 5], dtype=np.float32))
    assert pairs.among(np.array([0, 1, 2])).tolist() == [[0, 0, 2], [0, 5, 0], [2, 0, 0]]
    nothing = Relations.of(0, *[np.empty(0, dtype=np.int64)] * 2, np.empty(0, dtype=np.float32))
    assert nothing.of_tokens(np.array([-1, -1]), np.array([-1, 0])).tolist() == [[0, 0], [0, 0]]
    assert nothing.of_tokens(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int8)).shape == (0, 0)
