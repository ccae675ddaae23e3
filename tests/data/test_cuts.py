"""Splits cut from train: what stays together, how large they get, and what is said where that cannot be."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from agcli.data.cut_splits import _keys, cut_pairs, linked_rows
from agcli.data.pairs import Pair, folded
from agcli.data.prepared import PreparedPairs
from agcli.data.request import GROUP_BY, GroupBy, PrepareRequest
from agcli.errors import DataError, UsageError

Make = Callable[..., PreparedPairs]


def linked(count: int) -> list[Pair]:
    """Groups of three rows: the second text of one is the first of the next, in other case and spaces."""
    rows = []
    for n in range(0, count, 3):
        rows += [
            Pair(n, f"Text {n}", f"Text {n + 1}", "x"),
            Pair(n + 1, f"text  {n + 1} ", f"Text {n + 2}", "y"),
            Pair(n + 2, f"Text {n + 3000}", f"TEXT {n + 2}", "x"),
        ]
    return rows


def texts(pairs: list[Pair]) -> set[str]:
    return {folded(text) for pair in pairs for text in (pair.text_a, pair.text_b)}


def test_no_text_is_on_both_sides_in_any_column_case_or_spacing() -> None:
    pairs = linked(300)
    train, dev, made = cut_pairs(pairs, "dev", 0.1, 1)
    assert (len(dev), made.rows, made.groups, made.by, made.why) == (30, 30, 10, "text", "")
    assert texts(train).isdisjoint(texts(dev))
    assert sorted([*train, *dev], key=lambda pair: pair.row) == pairs


def test_a_cut_follows_the_seed_and_not_the_order_of_the_rows() -> None:
    pairs = linked(300)
    rows = {pair.row for pair in cut_pairs(pairs, "dev", 0.1, 1)[1]}
    assert {pair.row for pair in cut_pairs(pairs[::-1], "dev", 0.1, 1)[1]} == rows
    assert {pair.row for pair in cut_pairs(pairs, "dev", 0.1, 2)[1]} != rows


@pytest.mark.parametrize("by", ["document", "text", "first-text", "pair"])
def test_what_each_way_keeps_together(by: GroupBy) -> None:
    pairs = [
        pair
        for n in range(0, 400, 4)
        for pair in (
            Pair(n, f"a {n}", f"b {n}", "x", document=f"d {n}"),
            Pair(n + 1, f"B {n}", f"A {n}", "y", document=f"d {n}"),
            Pair(n + 2, f"a {n}", f"c {n}", "x", document=f"e {n}"),
            Pair(n + 3, f"f {n}", f"g {n}", "y", document=f"e {n}"),
        )
    ]
    _, dev, made = cut_pairs(pairs, "dev", 0.25, 1, by)
    rows = {pair.row for pair in dev}
    together = {"document": (0, 1, 2, 3), "text": (0, 1, 2), "first-text": (0, 1, 2), "pair": (0, 1)}[by]
    assert all(len({start + row in rows for row in together}) == 1 for start in range(0, 400, 4))
    assert made.by == by
    assert 95 <= len(dev) <= 100


def test_documents_are_kept_together_by_default() -> None:
    pairs = [Pair(n, f"a {n}", f"b {n}", "xy"[n % 2], document=str(n // 5)) for n in range(200)]
    train, dev, made = cut_pairs(pairs, "dev", 0.1, 3)
    assert (made.by, len(dev)) == ("document", 20)
    assert {pair.document for pair in train}.isdisjoint(pair.document for pair in dev)


def test_one_large_group_forbids_the_cut_that_was_named_and_weakens_the_default() -> None:
    pairs = [Pair(n, f"a {n // 2}", "This text is about sport.", "xy"[n % 2]) for n in range(100)]
    with pytest.raises(DataError, match="share a text stay together, 0 of the 10 wanted") as caught:
        cut_pairs(pairs, "dev", 0.1, 1, "text")
    assert "--group-by first-text or --group-by pair" in str(caught.value.hint)
    train, dev, made = cut_pairs(pairs, "dev", 0.1, 1)
    assert (made.by, len(dev)) == ("first-text", 10)
    assert "the largest of 1 group(s) has 100 of 100 rows" in made.why
    assert {pair.text_a for pair in train}.isdisjoint(pair.text_a for pair in dev)


def test_both_sides_keep_two_labels() -> None:
    pairs = [Pair(n, f"a {n}", f"about {'xy'[n % 2]}", "xy"[n % 2]) for n in range(100)]
    assert cut_pairs(pairs, "dev", 0.5, 1)[2].by == "first-text"  # by text the two groups are the two labels


@pytest.mark.parametrize("by", ["first-text", "pair", None])
def test_a_reversed_pair_stays_with_its_other_half(by: GroupBy | None) -> None:
    """All pairs share one text, so that the default weakens to what its links allow."""
    pairs = [Pair(n, f"q {n // 2}", "hub", "xy"[n // 2 % 2]) for n in range(60)]
    if by != "first-text":
        pairs = [Pair(p.row, *((p.text_b, p.text_a) if p.row % 2 else (p.text_a, p.text_b)), p.label) for p in pairs]
    train, dev, made = cut_pairs(pairs, "dev", 0.2, 1, by)
    assert made.by == by or by is None
    assert len(dev) == 12
    assert {frozenset((pair.text_a, pair.text_b)) for pair in train}.isdisjoint(
        frozenset((pair.text_a, pair.text_b)) for pair in dev
    )


def test_each_way_links_what_the_next_one_links() -> None:
    random = np.random.default_rng(1)
    pairs = [
        Pair(n, f"{a}", f"{b}", "x", document=f"{d}") for n, (a, b, d) in enumerate(random.integers(40, size=(60, 3)))
    ]
    groups = [linked_rows(_keys(pair, by) for pair in pairs) for by in GROUP_BY]
    for stronger, weaker in pairwise(groups):
        assert all(any(set(group) <= set(larger) for larger in stronger) for group in weaker)


@pytest.mark.parametrize("seed", range(1, 9))
def test_a_rare_label_is_found_by_other_orders_before_links_are_weakened(seed: int) -> None:
    pairs = [Pair(n, f"a {n // 2}", f"b {n}", "rare" if n in (20, 100, 200) else "usual") for n in range(300)]
    _, dev, made = cut_pairs(pairs, "dev", 0.1, seed, None)
    assert (made.by, made.why) == ("text", "")
    assert {pair.label for pair in dev} == {"rare", "usual"}


def test_too_few_rows_to_cut() -> None:
    with pytest.raises(DataError, match="dev cannot be cut from train") as caught:
        cut_pairs([Pair(1, "a", "b", "x"), Pair(2, "A", "b ", "y")], "dev", 0.1, 1)
    assert caught.value.hint == "give a file of its own: --dev FILE"
    with pytest.raises(DataError, match="no pair names its document"):
        cut_pairs(linked(30), "dev", 0.1, 1, "document")


def table(path: Path, rows: int, documents: bool = False) -> str:
    frame = pd.DataFrame(
        {"text_a": [f"a {n // 2}" for n in range(rows)], "text_b": [f"b {n}" for n in range(rows)]}
        | {"label": ["no", "yes"] * (rows // 2)}
        | ({"document": [str(n // 4) for n in range(rows)]} if documents else {})
    )
    frame.to_csv(path, index=False)
    return str(path)


def test_test_and_dev_are_cut_from_train(tmp_path: Path, make: Make) -> None:
    source = table(tmp_path / "all.csv", 200, documents=True)
    prepared = make("own", source=source, test_fraction=0.2, dev_fraction=0.1)
    manifest = prepared.manifest
    assert {split: len(frame) for split, frame in prepared.splits.items()} == {"train": 140, "dev": 20, "test": 40}
    assert manifest["test_cut"] == {"fraction": 0.2, "seed": 1, "rows": 40, "groups": 10, "by": "document", "why": ""}
    assert (manifest["dev_cut"]["rows"], manifest["texts_shared"], manifest["documents_shared"]) == (20, {}, {})


def test_with_a_test_to_cut_a_held_out_dev_stays_dev(tmp_path: Path, make: Make) -> None:
    (tmp_path / "in").mkdir()
    for split, rows in (("train", 100), ("dev", 20)):
        frame = pd.read_csv(table(tmp_path / f"{split}.csv", rows))
        frame[["text_a", "text_b"]] = split + frame[["text_a", "text_b"]]
        frame.to_csv(tmp_path / "in" / f"{split}.csv", index=False)
    source = str(tmp_path / "in")
    prepared = make("own", source=source, test_fraction=0.1, dev_fraction=0.3)
    assert {split: len(frame) for split, frame in prepared.splits.items()} == {"train": 90, "dev": 20, "test": 10}
    assert "--dev-fraction was not used: the source has a dev split" in prepared.manifest["warnings"]
    named = make("other", train=tmp_path / "in" / "train.csv", dev=tmp_path / "in" / "dev.csv", group_by="pair")
    assert "--group-by was not used: nothing is cut from train" in named.manifest["warnings"]


def test_a_weaker_cut_is_a_warning(tmp_path: Path, make: Make) -> None:
    frame = pd.read_csv(table(tmp_path / "train.csv", 100)).assign(text_b="always")
    frame["label"] = ["no", "no", "yes", "yes"] * 25
    frame.to_csv(tmp_path / "train.csv", index=False)
    warnings = make("own", source=str(tmp_path / "train.csv"), dev_fraction=0.2).manifest["warnings"]
    assert any("dev was cut as by --group-by first-text: where rows that share a text" in line for line in warnings)
    assert "0 of 10 first texts and 1 of 1 second texts of dev occur in train too (20 of 20 rows)" in warnings


def test_fractions_that_cannot_be(tmp_path: Path) -> None:
    for options in ({"test_fraction": 1.5}, {"test_fraction": 0.6, "dev_fraction": 0.5}, {"group_by": "texts"}):
        with pytest.raises(UsageError, match=r"--test-fraction|--group-by: 'texts' is not .* Did you mean"):
            PrepareRequest(name="own", output=tmp_path, **options)  # type: ignore[arg-type]
