"""The first stage beside rank_bm25: the same words of the same claims and abstracts, in one run.

    pytest -m bench tests/bench/test_bench_bm25.py -s

takes one to two minutes on two cores, nearly all of it rank_bm25's. Times and what is hoped for are printed; a time is
never asserted. AG_BENCH_CLAIMS bounds the claims (all 5,034 unless told) for both.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import bm25s
import numpy as np
import pytest
from Stemmer import Stemmer

from agcli.data.bm25 import PARAMETERS, build, open_index
from agcli.measures.ranking import QueryMeasures, measure

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "cross_genre_ir"
CLAIMS = int(os.environ.get("AG_BENCH_CLAIMS", 0)) or None
DEPTH = 100


@dataclass(frozen=True)
class Found:
    """What one library took, and what its candidates are worth."""

    name: str
    index_seconds: float
    search_seconds: float
    measures: QueryMeasures

    @property
    def seconds(self) -> float:
        return self.index_seconds + self.search_seconds


@dataclass(frozen=True)
class Task:
    """The real claims and the abstracts that support them."""

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    claims: tuple[str, ...]
    qrels: dict[str, dict[str, int]]


def real_task() -> Task:
    corpus = json.loads((DATA / "data_abst_200k_pure.json").read_text("utf-8"))
    gold = json.loads((DATA / "data_claim_5k_dict_all.json").read_text("utf-8"))
    claims = tuple(gold)[:CLAIMS]
    qrels = {claim: {str(document): 1 for document in gold[claim]} for claim in claims}
    return Task(tuple(map(str, corpus)), tuple(corpus.values()), claims, qrels)


def judged(task: Task, found: Sequence[tuple[Sequence[int], Sequence[float]]]) -> QueryMeasures:
    run = {
        claim: {task.ids[row]: float(score) for row, score in zip(rows, scores, strict=True)}
        for claim, (rows, scores) in zip(task.claims, found, strict=True)
    }
    return measure(run, task.qrels)


def ours(task: Task, folder: Path) -> Found:
    start = perf_counter()
    stage = build(task.texts, task.ids)
    stage.save(folder)
    indexed = perf_counter()
    found = [stage.search(claim, DEPTH) for claim in task.claims]
    done = perf_counter()
    return Found("agcli (bm25s)", indexed - start, done - indexed, judged(task, found))


def ours_opened(task: Task, folder: Path) -> Found:
    start = perf_counter()
    stage = open_index(folder, task.ids)
    opened = perf_counter()
    found = [stage.search(claim, DEPTH) for claim in task.claims]
    done = perf_counter()
    return Found("agcli, index opened", opened - start, done - opened, judged(task, found))


def by_rank_bm25(task: Task) -> Found:
    """rank_bm25's Okapi with our k1, b and analysis, searched as its `get_top_n` does: all scores, then argsort."""
    rank_bm25 = pytest.importorskip("rank_bm25", reason="rank_bm25 is not installed")
    words = analyser()
    start = perf_counter()
    okapi = rank_bm25.BM25Okapi([words(text) for text in task.texts], k1=PARAMETERS["k1"], b=PARAMETERS["b"])
    indexed = perf_counter()
    found = []
    for claim in task.claims:
        scores = okapi.get_scores(words(claim))
        best = np.argsort(scores)[::-1][:DEPTH]
        found.append((best, scores[best]))
    done = perf_counter()
    return Found("rank_bm25", indexed - start, done - indexed, judged(task, found))


def analyser() -> Callable[[str], list[str]]:
    """Our default analysis for a library that takes words: text -> stems."""
    stems, stop, split = Stemmer("english"), frozenset(bm25s.stopwords.STOPWORDS_EN), re.compile(r"\b\w\w+\b").findall

    def words(text: str) -> list[str]:
        return list(stems.stemWords([word for word in split(text.lower()) if word not in stop]))

    return words


@pytest.mark.bench
def test_candidates_of_the_real_claims(tmp_path: Path) -> None:
    if not DATA.is_dir():
        pytest.skip(f"the real claims are not here: {DATA}")
    task = real_task()
    ours(task, tmp_path / "warm")  # imports, and the pages of the data
    found = [ours(task, tmp_path / "index"), ours_opened(task, tmp_path / "index"), by_rank_bm25(task)]
    np.testing.assert_array_equal(found[0].measures.values, found[1].measures.values)
    print(f"\n{len(task.claims)} claims, {len(task.ids)} abstracts, depth {DEPTH}")
    print(f"{'':24}{'index s':>9}{'search s':>9}{'in all s':>9}{'ms/claim':>10}{'RR':>8}{'R@1':>8}{'R@20':>8}")
    for one in found:
        means, claim_ms = one.measures.means("all"), 1000 * one.search_seconds / len(task.claims)
        figures = f"{one.index_seconds:9.2f}{one.search_seconds:9.2f}{one.seconds:9.2f}{claim_ms:10.3f}"
        print(f"{one.name:24}{figures}{means['RR']:8.4f}{means['R@1']:8.4f}{means['R@20']:8.4f}")
    print(f"index and search: {found[0].seconds:.2f} s in all, hoped < 10 s")
    print(f"rank_bm25 over ours, index and search: {found[2].seconds / found[0].seconds:.1f}, hoped >= 20")
    print(f"rank_bm25 over ours, search alone: {found[2].search_seconds / found[0].search_seconds:.1f}")
