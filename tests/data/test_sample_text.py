"""The shipped sample: well formed, balanced, and without the shortcuts that a bag of words would find."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

SAMPLE = Path(__file__).parents[2] / "data" / "sample-hard"
HEADER = ["id", "split", "premise", "hypothesis", "label"]
LABELS = ("entailment", "neutral", "contradiction")
PREMISES = {"train": 116, "dev": 25, "test": 25}
NEGATIONS = {"no", "not", "never", "none", "neither", "nor", "nothing", "nobody", "without", "cannot", "unlike"}
# Chance is 1/3. On 150 held-out pairs its standard deviation is 0.038, so 0.45 is three of them above.
NEAR_CHANCE = 0.45


@dataclass(frozen=True)
class Pair:
    """One row of `pairs.tsv`."""

    id: str
    split: str
    premise: str
    hypothesis: str
    label: str


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    with (SAMPLE / "pairs.tsv").open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        assert next(rows) == HEADER
        return [Pair(*row) for row in rows]


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def overlap(pair: Pair) -> float:
    """Share of the hypothesis' distinct words that the premise has too."""
    hypothesis = set(words(pair.hypothesis))
    return len(hypothesis & set(words(pair.premise))) / len(hypothesis)


def hypothesis_length(pair: Pair) -> float:
    return len(pair.hypothesis.split())


def is_negated(pair: Pair) -> float:
    return float(not NEGATIONS.isdisjoint(words(pair.hypothesis)))


def test_the_file_is_plain_text_without_quoting() -> None:
    text = (SAMPLE / "pairs.tsv").read_bytes().decode("utf-8")
    assert text.isascii() or text == unicodedata.normalize("NFC", text)
    assert not re.search(r'["\r\0\ufeff\ufffd]', text)
    assert text.endswith("\n")
    for line in text[:-1].split("\n"):
        cells = line.split("\t")
        assert len(cells) == len(HEADER)
        assert all(cell and cell == " ".join(cell.split()) for cell in cells), line


def test_counts_of_splits_and_labels(pairs: list[Pair]) -> None:
    counts = Counter((pair.split, pair.label) for pair in pairs)
    assert counts == {(split, label): PREMISES[split] for split in PREMISES for label in LABELS}


def test_the_readme_states_the_counts_and_the_licence(pairs: list[Pair]) -> None:
    readme = (SAMPLE / "README.md").read_text(encoding="utf-8")
    assert f"{len(pairs)} invented pairs" in readme
    for split, count in PREMISES.items():
        assert re.search(rf"\| {split} +\| {count} +\| {3 * count} +\|", readme)
    assert "CC0-1.0" in readme


def test_a_premise_has_one_pair_of_each_label_in_one_split(pairs: list[Pair]) -> None:
    by_premise = defaultdict(list)
    for pair in pairs:
        by_premise[pair.premise].append(pair)
    assert len(by_premise) == sum(PREMISES.values())
    for group in by_premise.values():
        assert {pair.label for pair in group} == set(LABELS)
        assert len({pair.split for pair in group}) == 1
        assert [pair.id[5:] for pair in group] == ["1", "2", "3"]
        assert len({pair.id[:5] for pair in group}) == 1


def test_ids_are_unique_and_do_not_tell_the_label(pairs: list[Pair]) -> None:
    assert len({pair.id for pair in pairs}) == len(pairs)
    assert all(re.fullmatch(r"s\d{3}-[123]", pair.id) for pair in pairs)
    places = Counter((pair.id[-1], pair.label) for pair in pairs)
    assert max(places.values()) - min(places.values()) <= 3


def test_texts_are_unique_and_of_readable_length(pairs: list[Pair]) -> None:
    texts = [pair.hypothesis for pair in pairs] + list({pair.premise for pair in pairs})
    assert len({" ".join(words(text)) for text in texts}) == len(texts)
    assert all(8 <= len(pair.premise.split()) <= 40 for pair in pairs)
    assert all(4 <= len(pair.hypothesis.split()) <= 20 for pair in pairs)


@pytest.mark.parametrize(("measure", "tolerance"), [(hypothesis_length, 0.75), (overlap, 0.05), (is_negated, 0.1)])
def test_surface_measures_are_balanced_over_labels(
    pairs: list[Pair], measure: Callable[[Pair], float], tolerance: float
) -> None:
    means = {label: fmean(measure(pair) for pair in pairs if pair.label == label) for label in LABELS}
    print(f"{measure.__name__}: " + ", ".join(f"{label} {mean:.3f}" for label, mean in means.items()))
    assert max(means.values()) - min(means.values()) <= tolerance, means


@pytest.mark.parametrize("with_premise", [True, False], ids=["premise-and-overlap", "hypothesis-only"])
@pytest.mark.parametrize("penalty", [0.1, 1.0, 10.0])
def test_a_bag_of_words_stays_near_chance(pairs: list[Pair], with_premise: bool, penalty: float) -> None:
    assert held_out_accuracy(pairs, with_premise, penalty) < NEAR_CHANCE


@pytest.mark.parametrize("with_premise", [True, False], ids=["premise-and-overlap", "hypothesis-only"])
def test_the_bag_of_words_would_find_a_planted_shortcut(pairs: list[Pair], with_premise: bool) -> None:
    cues = {"entailment": "indeed", "neutral": "perhaps", "contradiction": "hardly"}
    planted = [replace(pair, hypothesis=f"{pair.hypothesis} {cues[pair.label]}") for pair in pairs]
    assert held_out_accuracy(planted, with_premise, 1.0) > 0.9


def held_out_accuracy(pairs: list[Pair], with_premise: bool, penalty: float) -> float:
    """Accuracy on dev and test of TF-IDF (words and word pairs) with logistic regression, fitted on train.

    Args:
        pairs: the sample.
        with_premise: add the premise's TF-IDF and the overlap; otherwise the hypothesis alone is seen.
        penalty: inverse strength of the regularisation (scikit-learn's `C`).
    """
    train = [pair for pair in pairs if pair.split == "train"]
    held_out = [pair for pair in pairs if pair.split != "train"]
    blocks = [tf_idf([p.hypothesis for p in train], [p.hypothesis for p in held_out])]
    if with_premise:
        blocks.append(tf_idf([p.premise for p in train], [p.premise for p in held_out]))
        blocks.append((as_column(train), as_column(held_out)))
    model = LogisticRegression(C=penalty, max_iter=2000)
    model.fit(hstack([block[0] for block in blocks]).tocsr(), [pair.label for pair in train])
    predicted = model.predict(hstack([block[1] for block in blocks]).tocsr())
    return fmean(label == pair.label for label, pair in zip(predicted, held_out, strict=True))


def tf_idf(train: list[str], held_out: list[str]) -> tuple[csr_matrix, csr_matrix]:
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b")
    return vectorizer.fit_transform(train), vectorizer.transform(held_out)


def as_column(pairs: list[Pair]) -> csr_matrix:
    return csr_matrix(np.array([[overlap(pair)] for pair in pairs]))
