"""The invented health questions: well formed, balanced, and of no use to a bag of words."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest
from scipy.sparse import hstack
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression

PAIRS = Path(__file__).parents[2] / "data" / "sample" / "pairs.tsv"
LABELS = ("entailed", "not_entailed")
Rows = list[dict[str, str]]


@pytest.fixture(scope="module")
def splits() -> dict[str, Rows]:
    with PAIRS.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    return {split: [row for row in rows if row["split"] == split] for split in ("train", "dev", "test")}


def test_sizes_and_balance(splits: dict[str, Rows]) -> None:
    assert {split: len(rows) for split, rows in splits.items()} == {"train": 416, "dev": 96, "test": 96}
    for rows in splits.values():
        assert Counter(row["label"] for row in rows) == dict.fromkeys(LABELS, len(rows) // 2)


@pytest.mark.parametrize("side", ["premise", "hypothesis"])
def test_every_text_is_in_one_split_and_as_often_in_either_class(splits: dict[str, Rows], side: str) -> None:
    texts = {split: {row[side] for row in rows} for split, rows in splits.items()}
    assert sum(map(len, texts.values())) == len(set().union(*texts.values()))
    for rows in splits.values():
        counts = Counter((row[side], row["label"]) for row in rows)
        assert set(counts.values()) == {2}
        assert len(counts) == 2 * len({row[side] for row in rows})


@pytest.mark.parametrize("vectorizer", [CountVectorizer, TfidfVectorizer])
@pytest.mark.parametrize("joined", [True, False])
def test_a_bag_of_words_stays_near_chance(splits: dict[str, Rows], vectorizer: type, joined: bool) -> None:
    def columns(rows: Rows) -> list[list[str]]:
        if joined:
            return [[f"{row['premise']} {row['hypothesis']}" for row in rows]]
        return [[row[side] for row in rows] for side in ("premise", "hypothesis")]

    def labels(rows: Rows) -> list[str]:
        return [row["label"] for row in rows]

    bags = [vectorizer().fit(texts) for texts in columns(splits["train"])]

    def features(rows: Rows) -> object:
        return hstack([bag.transform(texts) for bag, texts in zip(bags, columns(rows), strict=True)])

    model = LogisticRegression(max_iter=1000).fit(features(splits["train"]), labels(splits["train"]))
    for split in ("dev", "test"):
        assert model.score(features(splits[split]), labels(splits[split])) <= 0.62
