"""In which order methods are measured, and what becomes of those that fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import pytest
import torch
from made_up_times import blocks

from agcli.errors import AgError, RunError, UsageError
from agcli.runs.processes import Failure, failure_of
from agcli.runs.signals import StopRequest
from agcli.timing import measure as measure_module
from agcli.timing.measure import TimingCallback, measure, turns
from agcli.timing.methods import MethodSpec
from agcli.timing.plan import plan_groups
from agcli.timing.request import TimingRequest
from agcli.timing.rows import group_rows
from agcli.timing.workers import Block, CountFlops, Ready, Train, WarmUp

Make = Callable[..., TimingRequest]


class FakeChild:
    """A process that is none: answers at once, and remembers what it was asked among all others."""

    asked: ClassVar[list[tuple[str, object]]] = []
    closed: ClassVar[list[str]] = []
    failures: ClassVar[dict[tuple[str, int], Failure]] = {}
    """(method, number of its question, 0 being its start) -> what it answers instead."""

    def __init__(self, body: object, given: MethodSpec | str, stop: StopRequest) -> None:
        self.name = given if isinstance(given, str) else given.name
        self.is_rate = isinstance(given, str)
        self.questions = 0

    def receive(self) -> object:
        return 5e9 if self.is_rate else self.failures.get((self.name, 0), Ready("fp32", "reference", ("a note",)))

    def request(self, question: object) -> object:
        self.asked.append((self.name, question))
        self.questions += 1
        if (self.name, self.questions) in self.failures:
            return self.failures[self.name, self.questions]
        match question:
            case Train(steps):
                return Block(blocks([[0.1] * steps])[0], 1000 + self.questions, "")
            case CountFlops(lengths):
                return dict.fromkeys(lengths, 7)
        return ()

    def close_pipe(self) -> None: ...

    def close(self) -> None:
        self.closed.append(self.name)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeChild]:
    class Fresh(FakeChild):
        asked: ClassVar[list[tuple[str, object]]] = []
        closed: ClassVar[list[str]] = []
        failures: ClassVar[dict[tuple[str, int], Failure]] = {}

    monkeypatch.setattr(measure_module, "Child", Fresh)
    return Fresh


def test_turns_go_forwards_and_back() -> None:
    assert turns("abc", 3) == [["a", "b", "c"], ["c", "b", "a"], ["a", "b", "c"]]


def test_methods_warm_up_first_and_then_take_turns(request_for: Make, fake: type[FakeChild]) -> None:
    groups = plan_groups(request_for(variants=("none", "mdg", "both"), steps=7, warmup=2))
    (times,) = measure(groups)
    methods = ["none", "mdg", "both"]
    assert fake.asked == [
        *[(name, WarmUp(2)) for name in methods],
        *[(name, Train(3)) for name in methods],
        *[(name, Train(2)) for name in reversed(methods)],
        *[(name, Train(2)) for name in methods],
        fake.asked[-1],
    ]
    name, last = fake.asked[-1]
    assert isinstance(last, CountFlops)
    assert (name, last.lengths, times.forward_flops) == ("none", {20}, {20: 7})
    assert sorted(fake.closed) == sorted(["fp32", *methods])
    assert [[len(block) for block in method.blocks] for method in times.methods] == [[3, 2, 2]] * 3
    assert {method.peak_memory_bytes for method in times.methods} == {1004}, "the last question's: it covers all before"
    assert times.product_rates == {"fp32": 5e9}


@pytest.mark.parametrize("at", [0, 1, 3])
def test_a_method_that_drops_out_leaves_the_others_going(request_for: Make, fake: type[FakeChild], at: int) -> None:
    fake.failures["mdg", at] = Failure("out of memory")
    failures = []

    class Callback(TimingCallback):
        def failed(self, method: str, reason: str) -> None:
            failures.append((method, reason))

    (times,) = measure(plan_groups(request_for(variants=("none", "mdg", "both"))), Callback())
    assert failures == [("mdg", "out of memory")]
    assert [method.failure for method in times.methods] == [None, "out of memory", None]
    assert [len(method.blocks) for method in times.methods] == [3, 0, 3]
    assert len([name for name, _ in fake.asked if name == "mdg"]) == at
    rows = group_rows(times)
    assert (rows[1].step_seconds, rows[1].peak_memory_bytes, rows[1].steps) == (None, None, 0)
    assert "out of memory" in rows[1].notes
    assert rows[2].ratio == pytest.approx(1.0)


def test_a_group_in_which_nothing_could_be_timed_is_an_error(request_for: Make, fake: type[FakeChild]) -> None:
    fake.failures |= {("none", 0): Failure("out of memory"), ("both", 2): Failure("ended by SIGKILL")}
    with pytest.raises(RunError, match=r"no method could be timed \(none: out of memory\)"):
        list(measure(plan_groups(request_for())))
    assert sorted(fake.closed) == ["both", "fp32", "none"]


def test_an_error_of_ours_is_told_as_it_is_and_ends_every_process(request_for: Make, fake: type[FakeChild]) -> None:
    fake.failures["both", 0] = failure_of(UsageError("--attention triton: no GPU here.", hint="--attention auto"))
    with pytest.raises(AgError, match="--attention triton: no GPU here") as raised:
        list(measure(plan_groups(request_for())))
    assert (raised.value.exit_code, raised.value.hint) == (2, "--attention auto")
    assert sorted(fake.closed) == ["both", "none"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
            "out of GPU memory, of which the group's other methods hold their own part: time fewer at once",
        ),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ..."), "out of memory"),
        (MemoryError(), "out of memory"),
        (ValueError("one line\nand another"), "ValueError: one line"),
    ],
)
def test_other_errors_become_a_reason_in_words(error: Exception, reason: str) -> None:
    assert failure_of(error) == Failure(reason)
