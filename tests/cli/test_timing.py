"""`ag timing`: what it prints and writes, and what it refuses before anything is measured."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from made_up_times import made_up
from narrow_terminal import assert_narrows
from typer.testing import Result

from agcli.cli import timing_display
from agcli.errors import InterruptedRunError
from agcli.options import OPTIONS
from agcli.timing.measure import GroupTimes, TimingCallback
from agcli.timing.plan import Group

Ag = Callable[..., Result]
KEYS = [
    "model",
    "variant",
    "attention",
    "length",
    "batch_size",
    "step_seconds",
    "examples_per_second",
    "epoch_seconds",
    "epoch_kind",
    "ratio",
    "ratio_low",
    "ratio_high",
    "peak_memory_bytes",
]
NONE, SLOWER = [[0.1, 0.1], [0.11, 0.11], [0.1, 0.1]], [[0.15, 0.15], [0.165, 0.165], [0.15, 0.15]]


@pytest.fixture
def words(dataset: Path, encoder: Path) -> list[object]:
    """The words of a small timing."""
    small = ["--batch-size", 4, "--steps", 6, "--rounds", 3, "--warmup", 1, "--precision", "fp32", "--offline"]
    return ["timing", "--models", encoder, "--dataset", dataset, "--lengths", "24", *small]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[Group]:
    """Nothing is measured: `none` takes 0.1 s and the others half as long again; the groups asked for."""
    asked: list[Group] = []

    def measure(groups: Sequence[Group], watch: TimingCallback) -> Iterator[GroupTimes]:
        watch.planned(groups)
        for group in groups:
            asked.append(group)
            yield made_up(group, [NONE, *[SLOWER] * (len(group.methods) - 1)])

    monkeypatch.setattr("agcli.timing.measure.measure", measure)
    return asked


@pytest.mark.slow
def test_methods_are_measured_in_processes_of_their_own(ag: Ag, words: list[object], tmp_path: Path) -> None:
    """The one test that does all of it for real; it takes as long as three processes take to start."""
    folder = tmp_path / "timing"
    shown = ag(*words, "--output", folder, "--json")
    rows = json.loads(shown.stdout)
    assert [row["variant"] for row in rows] == ["none", "both"]
    assert all(key in row for row in rows for key in KEYS)
    for row in rows:
        assert (row["steps"], row["length"], row["batch_size"], row["precision"]) == (6, 24, 4, "fp32")
        assert 0 < row["step_seconds_low"] <= row["step_seconds"] <= row["step_seconds_high"]
        assert row["epoch_seconds"] == pytest.approx(44 / row["examples_per_second"])
        assert row["peak_memory_bytes"] > 50_000_000
        assert 0 < row["ratio_low"] <= row["ratio"] <= row["ratio_high"]
        assert row["matmul_share"] > 0
        assert row["notes"] == ""
    with (folder / "steps.csv").open(newline="") as file:
        steps = list(csv.DictReader(file))
    assert [(step["arm"], step["round"], step["step"]) for step in steps] == [
        (arm, str(1 + number // 2), str(1 + number)) for arm in ("none", "both") for number in range(6)
    ]
    works = [
        [tuple(step[name] for name in ("examples", "tokens", "slots")) for step in steps[at:][:6]] for at in (0, 6)
    ]
    assert works[0] == works[1], "the methods went over other batches"


def test_a_table_bars_and_every_file(ag: Ag, words: list[object], tmp_path: Path, quick: list[Group]) -> None:
    folder = tmp_path / "made" / "timing"
    shown = ag(*words, "--lengths", "24,48", "--against", "sdpa", "--output", folder)
    for part in (
        "length 24, batch 4, pairs, dynamic padding",
        "length 48",
        "1.500 (1.500-1.500)",
        "150 (150-161)",
        "sdpa",
    ):
        assert part in shown.stdout
    assert "epoch s is projected" in shown.stdout
    assert "geometric mean over rounds" in " ".join(shown.stdout.split())
    assert shown.stdout.count("━━━ 150 ms") == 4
    assert {path.name for path in folder.iterdir()} >= {
        "timing.csv",
        "steps.csv",
        "timing.json",
        "environment.json",
        "step_time.png",
        "step_time.svg",
        "step_time.pdf",
    }
    assert list(folder.glob("scaling*")), "two lengths make a scaling picture"
    with (folder / "timing.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    rows = json.loads((folder / "timing.json").read_text())
    assert [line["variant"] for line in lines] == [row["variant"] for row in rows] == ["none", "both", "sdpa"] * 2
    assert [float(line["ratio"]) for line in lines] == [row["ratio"] for row in rows]
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["torch_threads"] >= 1
    assert (environment["request"]["lengths"], environment["request"]["batch_size"]) == ([24, 48], 4)


def test_one_length_makes_no_scaling_picture(ag: Ag, words: list[object], tmp_path: Path, quick: list[Group]) -> None:
    ag(*words, "--output", tmp_path / "timing")
    assert not list((tmp_path / "timing").glob("scaling*"))


def test_nothing_is_written_unasked(
    ag: Ag, words: list[object], tmp_path: Path, quick: list[Group], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "150 ms" in ag(*words).stdout
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_left_alone(
    ag: Ag, words: list[object], tmp_path: Path, quick: list[Group]
) -> None:
    (tmp_path / "kept.txt").write_text("mine")
    assert "is left alone" in ag(*words, "--output", tmp_path, code=2).stderr
    assert "is left alone" in ag(*words, "--output", tmp_path / "kept.txt", code=2).stderr
    assert ([path.name for path in tmp_path.iterdir()], quick) == (["kept.txt"], [])


def test_the_options_of_a_run_reach_the_arms(ag: Ag, words: list[object], quick: list[Group]) -> None:
    ag(
        *words,
        "--dropout",
        0.2,
        "--activation-checkpointing",
        "--seed",
        7,
        "--padding",
        "max",
        "--variants",
        "none,mdg,none",
    )
    (group,) = quick
    spec = group.methods[-1]
    assert [arm.variant for arm in group.methods] == ["none", "mdg"]
    assert (spec.training.batch_size, spec.training.precision, spec.training.seed) == (4, "fp32", 7)
    assert (spec.model_options.dropout, spec.model_options.activation_checkpointing, spec.model_options.offline) == (
        0.2,
        True,
        True,
    )
    assert (spec.workload.multiple, spec.workload.seed) == (24, 7)


def test_random_weights_and_drawn_lengths_are_said_everywhere(ag: Ag, tmp_path: Path, quick: list[Group]) -> None:
    words = ["timing", "--models", "albert", "--random-weights", "--shape", "multinli", "--steps", 6, "--rounds", 3]
    shown = ag(*words, "--offline", "--paper", "--output", tmp_path / "timing")
    for part in (
        "random weights",
        "synthetic ids",
        "lengths drawn from the shape of multinli",
        "2639",
        "2770",
        "RTX 3090",
    ):
        assert part in shown.stdout
    for name in ("timing.csv", "timing.json"):
        assert "random weights; synthetic ids; lengths drawn" in (tmp_path / "timing" / name).read_text()


def test_what_was_measured_before_an_interruption_is_kept(
    ag: Ag, words: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(groups: Sequence[Group], watch: TimingCallback) -> Iterator[GroupTimes]:
        yield made_up(groups[0], [NONE, SLOWER])
        raise InterruptedRunError("interrupted by SIGINT.")

    monkeypatch.setattr("agcli.timing.measure.measure", measure)
    shown = ag(*words, "--lengths", "24,48", "--json", "--output", tmp_path / "timing", code=130)
    assert [row["length"] for row in json.loads(shown.stdout)] == [24, 24]
    assert "interrupted by SIGINT" in shown.stderr
    assert len(json.loads((tmp_path / "timing" / "timing.json").read_text())) == 2


def test_a_disk_that_refuses_does_not_take_the_table_along(
    ag: Ag, words: list[object], quick: list[Group], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    shown = ag(*words, "--json", "--output", tmp_path / "file" / "timing", code=1)
    assert len(json.loads(shown.stdout)) == 2
    assert "cannot write" in shown.stderr


def test_what_the_paper_did_not_time_is_said(ag: Ag, words: list[object], quick: list[Group]) -> None:
    assert "--paper: Table 4 has no such figure" in " ".join(ag(*words, "--paper").stderr.split())


def test_an_method_that_failed_is_a_line_of_dashes(
    ag: Ag, words: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(groups: Sequence[Group], watch: TimingCallback) -> Iterator[GroupTimes]:
        yield made_up(groups[0], [NONE, "out of [memory]"])

    monkeypatch.setattr("agcli.timing.measure.measure", measure)
    shown = ag(*words).stdout
    assert "both: out of [memory]" in shown
    (line,) = [line for line in shown.splitlines() if "│ both" in line]
    assert line.split("│")[2:-1] == [cell for cell in line.split("│")[2:-1] if cell.strip() == "-"]


@pytest.mark.parametrize(
    ("options", "problems"),
    [
        (["--lengths", "64,x"], ["--lengths: '64,x' is no list of whole numbers"]),
        (["--lengths", "-5"], ["--lengths: '-5' is no list of whole numbers"]),
        (["--lengths", ","], ["--lengths: it is empty"]),
        (["--batch-size", "0", "--variants", "x"], ["--batch-size: 0", "--variants: 'x'"]),
        (["--dropout", "2", "--lengths", "3", "--steps", "1"], ["--dropout: 2", "--lengths: 3", "--steps: 1"]),
        (["--precision", "int8"], ["--precision: 'int8' is not allowed; allowed: one of auto, fp32, bf16, fp16"]),
        (["--models", ""], ["--models: it is empty"]),
        (["--models", "robberta"], ["Unknown model 'robberta'. Did you mean 'roberta'?"]),
        (["--dataset", "nowhere"], ["No prepared data set 'nowhere' here"]),
        (["--lengths", "64,65"], ["--lengths 65", "reads at most 64 tokens"]),
        (["--shape", "mednli"], ["--dataset and --shape: give one of them"]),
    ],
)
def test_what_cannot_be_is_refused_together(
    ag: Ag, words: list[object], quick: list[Group], options: list[str], problems: list[str]
) -> None:
    code = 3 if "--dataset" in options else 2
    shown = " ".join(ag(*words, *options, code=code).stderr.split())
    assert all(problem in shown for problem in problems), shown
    assert quick == []


def test_help_shows_shared_options_as_they_are_declared(ag: Ag) -> None:
    shown = " ".join(ag("timing", "--help").stdout.replace("│", " ").split())
    for name in ("batch_size", "dropout", "precision", "activation_checkpointing", "compile", "seed", "offline"):
        assert OPTIONS[name].spec.help in shown
    assert "none, mdg, pdg, both" in shown


def test_a_timing_on_narrow_terminals(words: list[object], quick: list[Group]) -> None:
    assert_narrows(*words, "--lengths", "24,48", "--against", "sdpa")


def test_bars_fit_and_names_are_shown_as_written(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    name = "models/[bold]:dog:"
    row = SimpleNamespace(model=name, length=512, variant="both", attention="reference", step_seconds=0.5)
    timing_display.show_bars([row])
    shown = capsys.readouterr().out
    assert name in shown
    assert "500 ms" in shown
    assert all(len(line) <= 60 for line in shown.splitlines())
