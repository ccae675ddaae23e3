"""Training lists: the positive first, no positive among the negatives, and the same lists from the same seed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from claim_files import abstracts, small, write_beir
from hypothesis import given, settings
from hypothesis import strategies as st

from agcli.data.ranking.collection import Documents, Qrel, Query, RankingSplit, collect_documents
from agcli.data.ranking.negatives import Pool, Rows, num_from_candidates, refuse_small, training_lists
from agcli.data.ranking.prepared import PreparedRanking
from agcli.errors import DataError

Prepare = Callable[..., PreparedRanking]
NEVER = np.empty(0, np.float32)


def corpus(order: list[int], blank: int | None = None) -> Documents:
    return collect_documents("c", ((n, f"d{n}", "" if n == blank else f"text {n}") for n in order))


def lists_of(
    relevant: dict[str, list[str]], found: list[Rows], documents: Documents, count: int, source: str, seed: int
) -> tuple[Rows, int]:
    """Lists of these claims, each with its candidates."""
    claims = [Query(name, "text", row) for row, name in enumerate(relevant)]
    judgements = [Qrel(claim, document, 1, 1) for claim, names in relevant.items() for document in names]
    train = RankingSplit("t", claims, "q", judgements)
    near = [(rows, NEVER) for rows in found]
    return training_lists(train, near, Pool(documents), count=count, source=source, seed=seed)  # type: ignore[arg-type]


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_lists_hold_what_they_should(data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(15)))
    blank = data.draw(st.sampled_from([None, *range(15)]))
    documents = corpus(order, blank)
    count, source = data.draw(st.integers(1, 10)), data.draw(st.sampled_from(["bm25", "random", "mixed"]))
    usable = [n for n in range(15) if n != blank]
    relevant = {
        f"c{n}": [f"d{d}" for d in data.draw(st.lists(st.sampled_from(usable), unique=True, max_size=4))]
        for n in range(3)
    }
    found = [
        np.array(
            data.draw(st.lists(st.sampled_from([documents.places[f"d{n}"] for n in usable]), unique=True)), np.int32
        )
        for _ in range(3)
    ]
    lists, filled = lists_of(relevant, found, documents, count, source, data.draw(st.integers(0, 3)))
    assert lists.shape == (sum(map(len, relevant.values())), 2 + count)
    short = 0
    for row, positive, *negatives in lists.tolist():
        positives = {documents.places[name] for name in relevant[f"c{row}"]}
        candidates = set(found[row].tolist()) - positives
        assert positive in positives
        assert len(set(negatives)) == count
        assert positives.isdisjoint(negatives)
        assert documents.places.get(f"d{blank}") not in negatives
        wanted = num_from_candidates(count, source)
        assert set(negatives[: min(wanted, len(candidates))]) <= candidates
        short += max(wanted - len(candidates), 0)
    assert filled == short


@pytest.mark.parametrize("source", ["bm25", "random", "mixed"])
def test_lists_hang_on_seed_and_ids_alone(source: str) -> None:
    relevant = {"a": ["d1", "d2"], "b": ["d3"]}

    def named(order: list[int], flip: bool, seed: int = 1) -> set[tuple[str, ...]]:
        documents = corpus(order)
        names = list(documents.places)
        near = np.array([documents.places[f"d{n}"] for n in range(0, 12)], np.int32)[:: -1 if flip else 1]
        claims = dict(reversed(relevant.items())) if flip else relevant
        lists, _ = lists_of(claims, [near] * 2, documents, 4, source, seed)
        return {([*claims][row], *(names[place] for place in places)) for row, *places in lists.tolist()}

    forward = named(list(range(30)), False)
    assert len(forward) == 3
    assert len({negatives for _, _, *negatives in map(list, forward) for negatives in [tuple(negatives)]}) == 3
    assert named(list(range(30))[::-1], True) == forward
    assert named(list(range(30)), False, seed=2) != forward


def test_draws_are_uniform() -> None:
    """Of 10 near documents 3 are drawn, 2,000 times: each is drawn 600 times, give or take five deviations (20.5)."""
    documents = corpus(list(range(40)))
    relevant = {f"c{n}": ["d39"] for n in range(2000)}
    near = np.arange(10, dtype=np.int32)
    lists, filled = lists_of(relevant, [near] * 2000, documents, 3, "bm25", 7)
    counts = np.bincount(lists[:, 2:].ravel(), minlength=10)
    assert (filled, len(counts)) == (0, 10)
    assert abs(counts - 600).max() < 5 * 20.5


@pytest.mark.parametrize(("count", "near"), [(1, 1), (4, 2), (5, 3)])
def test_mixed_takes_half_from_the_candidates(count: int, near: int) -> None:
    documents = corpus(list(range(500)))
    found = np.arange(10, dtype=np.int32)
    relevant = {f"c{n}": ["d499"] for n in range(200)}
    lists, _ = lists_of(relevant, [found] * 200, documents, count, "mixed", 1)
    assert (np.isin(lists[:, 2 : 2 + near], found)).all()
    assert np.isin(lists[:, 2 + near :], found).mean() < 0.1 if count > near else near == count


def test_too_small_a_corpus() -> None:
    pool = Pool(corpus(list(range(6)), blank=0))
    refuse_small({"a": ["d1", "d2"]}, pool, 3)
    with pytest.raises(DataError, match="5 documents with text are too few for 4 negatives beside 2 positive"):
        refuse_small({"a": ["d1", "d2"], "b": ["d1"]}, pool, 4)


def test_negatives_of_a_prepared_folder(tmp_path: Path, prepare_claims: Prepare) -> None:
    made = small()
    made.documents = abstracts(24)
    made.qrels["train"].append(("c0", "d12", 2))
    made.qrels["train"].append(("c0", "d1", 0))
    folder = write_beir(tmp_path / "x", made)
    near = prepare_claims(folder, negatives=3)
    assert near.lists is not None
    assert near.lists.shape == (7, 5)
    for row, positive, *negatives in near.lists.tolist():
        grades = near.relevance[near.queries["id"][row]]
        ids = near.document_ids
        assert grades[ids[positive]] > 0
        assert not any(grades.get(ids[place], 0) for place in negatives)
        assert set(negatives) <= set(near.candidates(row, 100)[0].tolist())
    assert prepare_claims(folder, negatives=3).digest == near.digest
    assert prepare_claims(folder, negatives=3, seed=2).digest != near.digest
    far = prepare_claims(folder, negatives=3, negatives_from="random")
    assert far.manifest["lists"] == {"count": 7, "from": "random", "seed": 1, "filled": 0}
    assert not np.array_equal(far.lists, near.lists)
    assert prepare_claims(folder, negatives=20, depth=5).manifest["lists"]["filled"] > 0
