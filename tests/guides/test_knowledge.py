"""Knowledge guides against loops: rows of K as targets, its column mean, and PMI of one input alone."""

import math
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from row_cases import VOCABULARY, map_batch

from agcli import PMI, Dependency
from agcli.attention import Cells, Columns
from agcli.errors import UsageError
from agcli.guides.knowledge import sentence_pmi
from agcli.guides.registry import GUIDES
from agcli.guides.tokens import Tokens
from agcli.guides.value import capture_of_maps

NAMES = [name for name, entry in GUIDES.items() if entry.knowledge]
each_name = pytest.mark.parametrize("name", NAMES)


def real_parts(batch, name):
    for maps, known, mask in zip(batch.maps, batch.tokens.knowledge[name], batch.mask, strict=True):
        yield maps[:, :, mask][..., mask], known[mask][:, mask]


@each_name
def test_rows_of_the_knowledge_are_targets(name):
    batch, nll, squared = map_batch(), [], []
    for maps, known in real_parts(batch, name):
        rows = [row for row in range(len(known)) if known[row].sum() > 0]
        wanted = {row: known[row] / known[row].sum() for row in rows}
        each = [(head[row], wanted[row]) for layer in maps for head in layer for row in rows]
        nll.append(sum(-torch.log(attended @ target) for attended, target in each) / max(len(each), 1))
        squared.append(sum((attended - target).square().sum() for attended, target in each) / max(len(each), 1))
    for form, expected in (("nll", nll), ("squared", squared)):
        torch.testing.assert_close(batch.value(name, form), torch.tensor(expected).double(), rtol=0, atol=1e-12)
    assert batch.value(name)[2] == 0.0, "nothing is known of a special token"


@each_name
def test_the_vector_form_compares_received_attention_with_the_column_mean(name):
    batch, expected = map_batch(), []
    for maps, known in real_parts(batch, name):
        if not known.any():
            expected.append(0.0)
            continue
        wanted = known.mean(0) / known.mean(0).sum()
        received = [head.sum(0) / head.sum() for layer in maps for head in layer]
        expected.append(sum((each - wanted).square().sum().item() for each in received) / len(received))
    torch.testing.assert_close(
        batch.value(name, "vector"), torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12
    )
    assert batch.value(name, "vector")[2] == 0.0


def test_targets_are_rows_of_sum_one_or_one_column_of_sum_one():
    batch = map_batch()
    cells, columns = Dependency().target(batch.tokens), Dependency(form="vector").target(batch.tokens)
    assert isinstance(cells, Cells)
    assert isinstance(columns, Columns)
    known = batch.tokens.knowledge["dependency"]
    torch.testing.assert_close(cells.weights.sum(-1), known.any(-1).double())
    torch.testing.assert_close(columns.weights.sum(-1), torch.tensor([1.0, 1.0, 0.0]).double())


@pytest.mark.parametrize("dtype", [torch.float16, torch.uint8, torch.bool])
def test_knowledge_may_be_stored_in_any_type(dtype):
    batch = map_batch()
    known = (batch.tokens.knowledge["dependency"] > 0).to(dtype)
    values = [
        replace(batch, tokens=replace(batch.tokens, knowledge={"dependency": stored})).value("dependency")
        for stored in (known, known.double())
    ]
    torch.testing.assert_close(*values, rtol=1e-6, atol=0)


def naive_pmi(ids):
    """Counts of one list of tokens: ordered neighbours against their frequencies."""
    n, singles, pairs = len(ids), Counter(ids), Counter(pairwise(ids))
    known = torch.zeros((n, n))
    for i in range(n):
        for j in range(i + 1, n):
            together = pairs[ids[i], ids[j]] / max(n - 1, 1)
            if together:
                pmi = math.log2(together / (singles[ids[i]] / n * singles[ids[j]] / n))
                known[i, j] = known[j, i] = max(pmi, 0.0)
    return known


def pmi_of(rows, special=()):
    length = max(map(len, rows))
    ids = torch.tensor([row + [0] * (length - len(row)) for row in rows])
    mask = torch.arange(length) < torch.tensor([len(row) for row in rows])[:, None]
    return sentence_pmi(Tokens(ids, mask, vocabulary=replace(VOCABULARY, special_ids=special)))


def test_pmi_of_the_input_alone_equals_the_loop():
    rows = [[5, 6, 5, 6, 7, 5, 8, 6, 5], [5, 5, 5, 6, 6, 6], [9, 8], [7], []]  # 5, 6 of the second: log2 0.8, below 0
    for known, row in zip(pmi_of(rows), rows, strict=True):
        torch.testing.assert_close(known[: len(row), : len(row)], naive_pmi(row), rtol=0, atol=1e-5)
        assert not known[len(row) :].any()
        assert not known[:, len(row) :].any()
    assert naive_pmi(rows[0]).any()
    assert not naive_pmi(rows[1])[0, 3:].any()


def test_pmi_of_different_tokens_is_one_constant_for_neighbours():
    """log2(n²/(n − 1)) for neighbours, 0 for all others: 2.848 of six tokens."""
    [known] = pmi_of([[5, 6, 7, 8, 9, 10]])
    expected = torch.full((5,), math.log2(36 / 5)).diag(1)
    torch.testing.assert_close(known, expected + expected.T)
    assert known[0, 1].item() == pytest.approx(2.848, abs=5e-4)


def test_special_tokens_are_counted_and_carry_no_knowledge():
    [known], [all_known] = pmi_of([[1, 6, 7, 2]], special=(1, 2)), pmi_of([[1, 6, 7, 2]])
    torch.testing.assert_close(known[1, 2], all_known[1, 2])
    assert known.count_nonzero() == 2


def test_counts_of_the_sentence_need_no_knowledge_of_the_data():
    batch = map_batch()
    tokens = replace(batch.tokens, knowledge={})
    guide = PMI(counts="sentence", layers=(0,))
    assert (guide.knowledge, PMI().knowledge) == (None, "pmi")
    found = guide(capture_of_maps(guide, batch.maps, tokens))
    known = {"pmi": sentence_pmi(tokens).double()}
    expected = replace(batch, maps=batch.maps[:, :1], tokens=replace(tokens, knowledge=known)).value("pmi")
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)
    assert found[0] > 0


@each_name
def test_missing_knowledge_is_an_error_that_says_how_to_make_it(name):
    batch = map_batch()
    guide, tokens = GUIDES[name].load()(), replace(batch.tokens, knowledge={"other": batch.maps[:, 0, 0]})
    with pytest.raises(UsageError, match=f"The guide {name} needs .* '{name}'; the batch carries: other") as caught:
        guide.target(tokens)
    assert caught.value.hint == f"ag prepare --knowledge {name} makes it"
    with pytest.raises(UsageError, match=f"The guide {name} needs knowledge") as caught:
        replace(batch, tokens=replace(tokens, knowledge={})).value(name)
    assert f"knowledge={{'{name}': K}}" in caught.value.hint


def test_knowledge_of_another_shape_is_refused():
    batch = map_batch()
    tokens = replace(batch.tokens, knowledge={"dependency": torch.zeros(3, 12, 11)})
    with pytest.raises(ValueError, match=r"here \(3, 12, 12\), got \(3, 12, 11\)"):
        Dependency().target(tokens)
