"""Match against loops: which tokens of two texts are targets of each other."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from row_cases import IDS, VOCABULARY, map_batch

from agcli import Match
from agcli.guides.tokens import Tokens, Vocabulary
from agcli.guides.value import capture_of_maps

SPECIAL = VOCABULARY.special_ids


def tokens_of(rows, types=None, **vocabulary):
    """Padded with 0 on the right."""
    length = max(map(len, rows))
    ids = torch.tensor([row + [0] * (length - len(row)) for row in rows])
    mask = torch.arange(length) < torch.tensor([len(row) for row in rows])[:, None]
    if types is not None:
        types = torch.tensor([row + [0] * (length - len(row)) for row in types])
    return Tokens(ids, mask, types, replace(VOCABULARY, **vocabulary))


def target(guide, tokens):
    return guide.target(tokens).weights


def naive_exact(ids, texts, excluded):
    """T of one sample."""
    pairs = [(i, j) for i in range(len(ids)) for j in range(len(ids)) if texts[i] != texts[j] and ids[i] == ids[j]]
    cells = torch.zeros(len(ids), len(ids))
    for i, j in pairs:
        cells[i, j] = ids[i] not in excluded
    return cells


def test_the_same_piece_of_the_other_text():
    rows, types = IDS[:2], [[0] * 6 + [1] * 6, [0] * 4 + [1] * 3]
    found = target(Match(), tokens_of(rows, types, function_ids=(12, 3, 4)))
    for cells, ids, texts in zip(found, rows, types, strict=True):
        n = len(ids)
        assert torch.equal(cells[:n, :n], naive_exact(ids, texts, (*SPECIAL, 12, 3, 4)))
        assert not cells[n:].any()
        assert not cells[:, n:].any()
    assert found[0, 1].nonzero().flatten().tolist() == [6, 9]
    assert found[0].count_nonzero() == 10  # 10 twice in both texts, 11 once


def test_stop_words_and_special_tokens_neither_have_targets_nor_are_any():
    rows, types = [[1, 7, 8, 2, 7, 8, 2]], [[0, 0, 0, 0, 1, 1, 1]]
    assert target(Match(), tokens_of(rows, types, function_ids=(7,)))[0].nonzero().tolist() == [[2, 5], [5, 2]]
    assert not target(Match(), tokens_of(rows, types, function_ids=(7, 8))).any()


@pytest.mark.parametrize("types", [None, [[0] * 8]])
def test_separators_tell_texts_apart_where_token_types_do_not(types):
    """As RoBERTa writes a pair: `<s> a </s></s> b </s>`."""
    tokens = tokens_of([[1, 7, 8, 2, 2, 8, 9, 2]], types)
    assert target(Match(), tokens)[0].nonzero().tolist() == [[2, 5], [5, 2]]


def test_each_sample_goes_by_its_own_token_types():
    rows = [[1, 7, 2, 7, 2], [1, 7, 2, 7, 2]]
    found = target(Match(), tokens_of(rows, [[0] * 5, [0, 0, 0, 1, 1]]))
    assert torch.equal(found[0], found[1])
    assert found.count_nonzero() == 4


def test_token_types_of_padding_tell_no_texts_apart():
    tokens = tokens_of([[1, 7, 2, 7, 2], [1, 7, 8, 9, 2, 7, 2]])
    types = (~tokens.mask).long() * 3
    assert torch.equal(target(Match(), replace(tokens, token_type_ids=types)), target(Match(), tokens))
    assert target(Match(), tokens)[0].any()


def test_token_types_prevail_over_a_separator_inside_a_text():
    found = target(Match(), tokens_of([[1, 7, 2, 7, 2, 7, 2]], [[0, 0, 0, 0, 0, 1, 1]]))
    assert found[0].nonzero().tolist() == [[1, 5], [3, 5], [5, 1], [5, 3]]


@pytest.mark.parametrize("guide", [Match(), Match(match="similar")])
@pytest.mark.parametrize("row", [[1, 7, 8, 7, 2], [1], [1, 2, 2], []])
def test_a_single_text_has_no_target(guide, row):
    tokens = tokens_of([row, [1, 7, 2, 7, 2]], embeddings=torch.eye(20))
    found = target(guide, tokens)
    assert not found[0].any()
    assert found[1].any()


@given(
    ids=st.lists(st.integers(3, 8), min_size=1, max_size=10),
    cut=st.integers(0, 10),
    nearest=st.integers(1, 12),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=60, deadline=None)
def test_similar_pieces_equal_the_loop(ids, cut, nearest, seed):
    table = torch.randn((9, 4), generator=torch.Generator().manual_seed(seed))
    excluded = (3, *SPECIAL)
    texts = [int(place >= cut) for place in range(len(ids))]
    tokens = tokens_of([ids, [8] * 11], [texts, [0] * 11], function_ids=(3,), embeddings=table, delim_ids=())
    expected = torch.zeros(len(ids), len(ids))
    units = table / table.norm(dim=-1, keepdim=True)
    for i, token in enumerate(ids):
        others = [j for j in range(len(ids)) if texts[j] != texts[i] and ids[j] not in excluded]
        if token in excluded or not others:
            continue
        cosines = {j: (units[token] @ units[ids[j]]).item() for j in others}
        last = sorted(cosines.values(), reverse=True)[: min(nearest, len(others))][-1]
        for j in others:
            expected[i, j] = cosines[j] >= last - 1e-5  # as near as the last of the nearest
    found = target(Match(match="similar", nearest=nearest), tokens)
    assert torch.equal(found[0, : len(ids), : len(ids)], expected)
    assert not found[1].any()


def test_repeated_pieces_are_equally_near():
    """One position is wanted, and the word occurs twice: neither of the two comes first."""
    tokens = tokens_of([[1, 7, 2, 7, 8, 7, 2]], embeddings=torch.eye(9))
    found = target(Match(match="similar", nearest=1), tokens)
    assert found[0, 1].nonzero().flatten().tolist() == [3, 5]


def test_cosines_that_rounding_may_have_parted_are_equal():
    table = torch.eye(9)
    table[8] = table[7] + 5e-4 * table[6]  # cosine 1 - 1.25e-7
    found = target(Match(match="similar", nearest=1), tokens_of([[1, 7, 2, 7, 8, 2]], embeddings=table))
    assert found[0, 1].nonzero().flatten().tolist() == [3, 4]


def test_the_value_of_similar_is_that_of_its_targets():
    batch = map_batch()
    vocabulary = replace(batch.tokens.vocabulary, embeddings=torch.eye(20))
    tokens = replace(batch.tokens, vocabulary=vocabulary)
    guide, expected = Match(match="similar", nearest=2), []
    found = guide(capture_of_maps(guide, batch.maps, tokens))
    for sample, cells in zip(batch.maps, target(guide, tokens), strict=True):
        rows = cells.any(-1).nonzero().flatten().tolist()
        terms = [-(head[row] @ cells[row].double()).log() for layer in sample for head in layer for row in rows]
        expected.append(sum(terms) / max(len(terms), 1))
    torch.testing.assert_close(found, torch.tensor(expected).double(), rtol=0, atol=1e-12)
    assert found[0] > 0


def test_similar_without_embeddings_is_refused():
    with pytest.raises(ValueError, match="compares input embeddings, but the vocabulary has none"):
        Match(match="similar").target(tokens_of([[1, 7, 2, 7, 2]]))


def test_without_separators_and_token_types_nothing_can_be_compared():
    tokens = Tokens(torch.tensor([[1, 7, 2, 7]]), torch.ones(1, 4, dtype=torch.bool), vocabulary=Vocabulary())
    assert not target(Match(), tokens).any()


def test_what_it_needs_of_the_vocabulary():
    assert Match().needs_of_vocabulary == ("delim_ids",)
    assert Match(match="similar").needs_of_vocabulary == ("delim_ids", "embeddings")
