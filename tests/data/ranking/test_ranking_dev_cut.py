"""The cut of dev from train: linked claims stay together, and the cut hangs on nothing but the seed and the texts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from claim_files import small, write_beir
from hypothesis import given, settings
from hypothesis import strategies as st

from agcli.data.cut_splits import cut_queries
from agcli.data.ranking.collection import Qrel, Query, RankingSplit
from agcli.data.ranking.prepared import PreparedRanking
from agcli.errors import DataError


def train_of(links: list[list[int]]) -> RankingSplit:
    """Query n is supported by these documents."""
    claims = [Query(f"c{n}", f"text {n}", n + 1) for n in range(len(links))]
    judgements = [Qrel(f"c{n}", f"d{d}", 1, 1) for n, documents in enumerate(links) for d in documents]
    return RankingSplit("train.tsv", claims, "qrels.tsv", judgements)


@given(
    st.lists(st.lists(st.integers(0, 30), unique=True, max_size=3), min_size=2, max_size=25),
    st.floats(0.05, 0.9),
    st.integers(0, 5),
    st.randoms(use_true_random=False),
)
@settings(max_examples=60, deadline=None)
def test_no_relevant_document_on_both_sides(links: list[list[int]], fraction: float, seed: int, random: object) -> None:
    whole = train_of(links)
    try:
        train, dev, cut = cut_queries(whole, fraction, seed)
    except DataError:
        return
    sides = [{d for found in part.relevant.values() for d in found} for part in (train, dev)]
    assert sides[0].isdisjoint(sides[1])
    assert sorted(train.queries + dev.queries) == sorted(whole.queries)
    assert sorted(train.qrels + dev.qrels) == sorted(whole.qrels)
    assert 0 < len(dev.queries) == cut.rows <= max(fraction * len(whole.relevant), 1)
    assert {claim.id for claim in dev.queries} <= whole.relevant.keys()
    claims, judgements = [*whole.queries], [*whole.qrels]
    random.shuffle(claims)  # type: ignore[attr-defined]
    random.shuffle(judgements)  # type: ignore[attr-defined]
    _, again, _ = cut_queries(RankingSplit("t", claims, "q", judgements), fraction, seed)
    assert set(again.queries) == set(dev.queries)


def test_claims_of_one_text_stay_together() -> None:
    whole = train_of([[n] for n in range(8)])
    claims = [claim._replace(text=f"{'tT'[n % 2]}{n // 2}") for n, claim in enumerate(whole.queries)]
    same = RankingSplit("t", claims, "q", whole.qrels)
    for seed in range(5):
        train, dev, _ = cut_queries(same, 0.4, seed)  # 3.2 claims: one text, as two would be 4
        assert {claim.text.lower() for claim in train.queries}.isdisjoint(claim.text.lower() for claim in dev.queries)
        assert len(dev.queries) == 2


def test_a_claim_that_nobody_judged_goes_where_its_text_goes() -> None:
    whole = train_of([[n] for n in range(4)] + [[]] * 5)
    claims = [claim._replace(text=f"T {n}" if n < 4 else f"t  {n - 4}") for n, claim in enumerate(whole.queries)]
    for seed in range(3):
        train, dev, cut = cut_queries(RankingSplit("t", claims, "q", whole.qrels), 0.5, seed)
        assert {claim.text[-1] for claim in train.queries}.isdisjoint(claim.text[-1] for claim in dev.queries)
        assert (len(dev.queries), len(train.queries), cut.rows) == (4, 5, 4)


def test_the_order_of_a_groups_claims_does_not_matter() -> None:
    whole = train_of([[n // 2] for n in range(40)])
    turned = RankingSplit("t", whole.queries[::-1], "q", whole.qrels[::-1])
    for seed in range(3):
        assert {*cut_queries(whole, 0.3, seed)[1].queries} == {*cut_queries(turned, 0.3, seed)[1].queries}


def test_seeds_differ_and_fractions_are_met() -> None:
    whole = train_of([[n] for n in range(40)])
    cuts = {tuple(claim.id for claim in cut_queries(whole, 0.25, seed)[1].queries) for seed in range(4)}
    assert {len(cut) for cut in cuts} == {10}
    assert len(cuts) == 4


def test_what_hangs_together_cannot_be_cut() -> None:
    with pytest.raises(DataError, match=r"6 queries with relevant documents are linked to 1 group"):
        cut_queries(train_of([[n, n + 1] for n in range(6)]), 0.5, 1)


def test_a_dev_far_smaller_than_asked_is_said() -> None:
    _, dev, cut = cut_queries(train_of([[0], [0], [0], [0], [0], [0], [0], [1], [2]]), 0.6, 1)
    assert len(dev.queries) == 2
    assert "2 of 9 queries, less than half" in cut.why


def test_only_a_train_without_dev_is_cut(tmp_path: Path, prepare_claims: Callable[..., PreparedRanking]) -> None:
    made = small()
    uncut = prepare_claims(write_beir(tmp_path / "x", made), dev_fraction=0.5)
    assert uncut.manifest["dev_cut"] is None
    assert "--dev-fraction was not used" in uncut.manifest["warnings"][0]
    del made.qrels["dev"], made.claims["dev"]
    cut = prepare_claims(write_beir(tmp_path / "y", made), dev_fraction=0.5)
    assert [len(cut.rows(split)) for split in ("train", "dev", "test")] == [3, 3, 2]
    assert cut.manifest["dev_cut"] == {
        "fraction": 0.5, "seed": 1, "claims": 3, "groups": 3, "by": "relevant documents and texts",
    }  # fmt: skip
