"""The stopwatch: which steps it times, whose memory it counts, and what it makes of a clock."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from agcli.timing import stopwatch
from agcli.timing.stopwatch import PeakMemory, forward_flops, product_rate, time_steps
from agcli.timing.workload import Work

CPU = torch.device("cpu")


def clock(monkeypatch: pytest.MonkeyPatch, *ticks: float) -> None:
    """A clock that shows these times, one a look."""
    monkeypatch.setattr(stopwatch, "perf_counter", iter(ticks).__next__)


def test_each_step_is_timed_on_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    clock(monkeypatch, 1.0, 1.5, 10.0, 12.0)
    loop = (Work(number, 7, 9) for number in count(1))
    times = time_steps(loop, 2, CPU)
    assert [time.seconds for time in times] == [0.5, 2.0]
    assert [time.work.examples for time in times] == [1, 2]
    assert next(loop).examples == 3, "a step was done that nobody asked for"


def test_a_loop_that_ends_early_is_an_error() -> None:
    def loop() -> Iterator[Work]:
        yield Work(1, 1, 1)

    with pytest.raises(ValueError, match="after 1 of 2 steps"):
        time_steps(loop(), 2, CPU)


def test_the_rate_is_that_of_the_fastest_product_that_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = [0.001, 0.001, 0.5, 0.25, 0.5, 1.0, 0.5]  # the first two do not count, however fast
    clock(monkeypatch, *[tick for start, each in enumerate(seconds) for tick in (10.0 * start, 10.0 * start + each)])
    assert product_rate("fp32", size=8, seconds=1.0) == pytest.approx(2 * 8**3 / 0.25)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux can set a peak back")
def test_peak_memory_counts_from_its_reset_and_sees_what_is_freed_again() -> None:
    size = 100_000_000
    memory = PeakMemory(CPU)
    touch(size)
    memory.reset()
    before = memory.bytes
    if memory.note:
        pytest.skip(memory.note)
    touch(size)
    assert 0.9 * size < memory.bytes - before < 1.5 * size
    memory.reset()
    assert memory.bytes < before + 0.5 * size


def touch(size: int) -> None:
    """Take memory and give it back; straight from the system, as an allocator may keep what is freed."""
    with mmap.mmap(-1, size) as pages:
        for page in range(0, size, mmap.PAGESIZE):
            pages[page] = 1


def test_where_the_peak_cannot_be_set_back_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopwatch, "_CLEAR", tmp_path / "none" / "clear_refs")
    monkeypatch.setattr(stopwatch, "_STATUS", tmp_path / "none" / "status")
    memory = PeakMemory(CPU)
    memory.reset()
    assert "cannot set it back" in memory.note
    assert memory.bytes > 50_000_000, "a process with torch holds more than that"


def test_operations_are_those_of_the_matrix_products_alone() -> None:
    layers, hidden, wide, labels = 2, 32, 48, 3
    config = BertConfig(
        vocab_size=50,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=wide,
        num_labels=labels,
    )
    model = BertForSequenceClassification(config)
    model.set_attn_implementation("sdpa")
    found = forward_flops(model, {8, 24})
    for length in (8, 24):
        linear = 2 * length * (4 * hidden**2 + 2 * hidden * wide)
        attention = 4 * length**2 * hidden
        assert found[length] == layers * (linear + attention) + 2 * hidden**2 + 2 * hidden * labels
    assert model.config._attn_implementation == "sdpa"
