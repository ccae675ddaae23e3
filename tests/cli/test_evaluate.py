"""`ag evaluate` on saved runs: its three outputs, its files, and its refusals."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from narrow_terminal import assert_narrows, shown_at
from tiny_runs import write_dataset
from typer.testing import CliRunner

from agcli.cli.app import app
from agcli.data.prepared import COLUMNS
from agcli.measures.classification import (
    METRICS,
    Predictions,
    classification_metrics,
    majority_baseline,
    prediction_rows,
)
from agcli.runs.folder import RunFolder, State

LABELS = ("no", "yes", "maybe")


def sampled(n: int, seed: int, prefix: str = "x") -> Predictions:
    """Random predictions over gold labels that depend on `n` only."""
    gold = np.random.default_rng(n).integers(3, size=n)
    logits = np.random.default_rng(seed).normal(size=(n, 3)) + np.eye(3)[gold]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return Predictions(tuple(f"{prefix}{i}" for i in range(n)), LABELS, gold, probabilities)


def saved(folder: Path, splits: dict[str, Predictions], *, state: State = "finished", baseline: bool = True) -> Path:
    """A run folder that holds these predictions."""
    folder.mkdir(parents=True)
    run = RunFolder(folder)
    metrics: dict[str, object] = {split: classification_metrics(found) for split, found in splits.items()}
    if baseline:
        majority = {s: majority_baseline(np.array([1]), found.gold, LABELS) for s, found in splits.items()}
        metrics["baseline"] = majority
    run.write_json("config.json", {"model": "minilm", "dataset": "sample"})
    run.write_json("metrics.json", metrics)
    run.write_predictions({split: prediction_rows(found) for split, found in splits.items()})
    run.set_state(state)
    return folder


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A run with dev and test predictions."""
    return saved(tmp_path / "plain", {"dev": sampled(40, 1), "test": sampled(60, 2)})


@pytest.fixture
def guided(tmp_path: Path) -> Path:
    """Another run on the same examples."""
    return saved(tmp_path / "guided", {"dev": sampled(40, 3), "test": sampled(60, 4)})


def ag(*arguments: object, code: int = 0) -> str:
    """The stdout of `ag evaluate ARGUMENTS`, or its stderr where it is to fail."""
    result = CliRunner(env={"COLUMNS": "220"}).invoke(app, ["evaluate", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 else " ".join(result.stderr.split())


def read_csv(file: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_one_run_shows_metrics_classes_and_confusion(plain: Path) -> None:
    shown = ag(plain)
    assert "Metrics on test (60 examples)" in shown
    assert f"{classification_metrics(sampled(60, 2))['accuracy']:.4f} [" in shown
    for part in ("Per class", "Confusion matrix", "majority class", "ece", "over examples", "several seeds"):
        assert part in shown
    assert "McNemar" not in shown


@pytest.mark.parametrize(("count", "warned"), [(1, "1 example:"), (29, "29 examples:"), (30, "")])
def test_few_examples_get_a_warning_beside_what_is_shown(tmp_path: Path, count: int, warned: str) -> None:
    runs = [str(saved(tmp_path / name, {"test": sampled(count, seed)})) for seed, name in enumerate(("one", "two"))]
    result = CliRunner().invoke(app, ["evaluate", *runs, "--resamples", "100", "--json"])
    assert json.loads(result.stdout)["warnings"] == []
    shown = " ".join(result.stderr.split())
    assert ("from so few say little" in shown) == bool(warned)
    assert f"{warned} intervals and p-values" in shown or not warned


def test_runs_of_other_labels_are_named_as_those_of_other_data(tmp_path: Path, plain: Path) -> None:
    found, labels = sampled(60, 2), ("no", "yes", "perhaps")
    other = saved(tmp_path / "other", {"test": Predictions(found.ids, labels, found.gold, found.probabilities)})
    shown = ag(plain, other, code=3)
    assert "different labels. Found ['no', 'yes', 'perhaps']. Allowed: no, yes, maybe." in shown
    assert "next: evaluate each by itself: `ag evaluate RUN`" in shown


def test_json_holds_every_number_with_its_interval(plain: Path) -> None:
    found = json.loads(ag(plain, "--split", "dev", "--json"))
    expected = classification_metrics(sampled(40, 1))
    (run,) = found["runs"]
    assert (found["split"], run["n"], run["labels"], found["comparisons"]) == ("dev", 40, list(LABELS), [])
    for metric in METRICS:
        cell = run["metrics"][metric]
        assert cell["value"] == pytest.approx(expected[metric])
        assert cell["low"] < cell["value"] < cell["high"]
    assert sum(map(sum, run["confusion"]["counts"])) == 40
    assert [row["label"] for row in run["classes"]] == list(LABELS)
    assert all(row["f1"]["low"] <= row["f1"]["value"] <= row["f1"]["high"] for row in run["classes"])
    assert run["baseline"]["label"] == "yes"


def test_dev_is_judged_where_there_is_no_test(tmp_path: Path) -> None:
    run = saved(tmp_path / "run", {"dev": sampled(40, 1)}, baseline=False)
    shown = ag(run)
    assert "Metrics on dev (40 examples)" in shown
    assert "majority class" not in shown


def test_two_runs_are_compared(plain: Path, guided: Path) -> None:
    found = json.loads(ag(plain, guided, "--json"))
    (comparison,) = found["comparisons"]
    first, second = (sampled(60, seed) for seed in (2, 4))
    assert (comparison["first"], comparison["second"]) == ("plain", "guided")
    assert comparison["only_second_right"] == int((second.correct & ~first.correct).sum())
    assert comparison["differences"]["accuracy"]["value"] == pytest.approx(second.correct.mean() - first.correct.mean())
    shown = ag(plain, guided)
    for part in (
        "difference: guided − plain",
        "Paired tests against plain",
        "McNemar p",
        "f1_macro p",
        "several seeds",
    ):
        assert part in shown
    assert "not corrected" not in shown


def test_runs_whose_rows_are_in_another_order_are_matched_by_id(tmp_path: Path, plain: Path) -> None:
    kept = sampled(60, 2)
    rows = np.arange(60)[::-1]
    ids = tuple(kept.ids[row] for row in rows)
    turned = Predictions(ids, LABELS, kept.gold[rows], kept.probabilities[rows])
    other = saved(tmp_path / "turned", {"test": turned})
    (comparison,) = json.loads(ag(plain, other, "--split", "test", "--json"))["comparisons"]
    assert (comparison["only_first_right"], comparison["only_second_right"]) == (0, 0)
    rows_written = tmp_path / "rows.csv"
    ag(plain, other, "--split", "test", "--predictions", rows_written)
    assert all(row["plain:p_no"] == row["turned:p_no"] for row in read_csv(rows_written))


def test_three_runs_are_each_compared_with_the_first(tmp_path: Path, plain: Path, guided: Path) -> None:
    third = saved(tmp_path / "third", {"test": sampled(60, 9)})
    found = json.loads(ag(plain, guided, third, "--json"))
    assert [(c["first"], c["second"]) for c in found["comparisons"]] == [("plain", "guided"), ("plain", "third")]
    assert "not corrected for the 2 comparisons" in " ".join(ag(plain, guided, third).split())
    rows = [line for line in ag(plain, guided, third, "--markdown").splitlines() if line.startswith("| f1_macro")]
    values = [f"{classification_metrics(sampled(60, seed))['f1_macro']:.4f}" for seed in (2, 4, 9)]
    assert [row.split(" | ")[1] for row in rows] == ["plain", "guided", "third", "majority class"]
    assert [row.split(" | ")[2].split()[0] for row in rows[:3]] == values


def test_runs_of_one_name_are_told_apart_by_their_paths(tmp_path: Path) -> None:
    runs = [saved(tmp_path / place / "run", {"test": sampled(60, 2)}) for place in ("a", "b")]
    assert [run["run"] for run in json.loads(ag(*runs, "--json"))["runs"]] == list(map(str, runs))


def test_markdown_has_one_row_a_metric(plain: Path, guided: Path) -> None:
    lines = ag(plain, guided, "--markdown").splitlines()
    assert lines[0] == "### Metrics on test (60 examples)"
    assert lines[2] == "| metric | plain | guided | difference | majority class |"
    assert [line.split(" | ")[0] for line in lines[4:10]] == [f"| {metric}" for metric in METRICS]
    assert {line.count("|") for line in lines[2:10]} == {6}


def test_metrics_as_csv(tmp_path: Path, plain: Path, guided: Path) -> None:
    file = tmp_path / "metrics.csv"
    ag(plain, guided, "--csv", file)
    rows = read_csv(file)
    assert list(rows[0]) == ["run", "dataset", "split", "kind", "label", "metric", "value", "low", "high", "n"]
    metrics = [(row["run"], row["metric"]) for row in rows if row["kind"] == "metric"]
    assert metrics == [(r, m) for r in ("plain", "guided") for m in METRICS]
    assert float(rows[0]["value"]) == classification_metrics(sampled(60, 2))["accuracy"]
    assert {(row["split"], row["n"]) for row in rows} == {("test", "60")}
    counts = [int(row["value"]) for row in rows if (row["run"], row["kind"]) == ("plain", "confusion")]
    assert sum(counts) == 60
    told = json.loads(ag(plain, guided, "--json"))["comparisons"][0]
    tests = {row["metric"]: float(row["value"]) for row in rows if row["kind"] == "test"}
    assert tests["mcnemar_p"] == told["mcnemar_p"]
    assert tests["permutation_p_accuracy"] == told["permutation_p"]["accuracy"]
    differences = {row["metric"]: float(row["value"]) for row in rows if row["kind"] == "difference"}
    assert differences == {metric: found["value"] for metric, found in told["differences"].items()}


def test_predictions_as_csv_are_exact_and_hold_no_text(tmp_path: Path, plain: Path) -> None:
    file = tmp_path / "rows.csv"
    ag(plain, "--predictions", file)
    rows = read_csv(file)
    expected = sampled(60, 2)
    assert list(rows[0]) == ["id", "gold", "prediction", "p_no", "p_yes", "p_maybe"]
    assert [row["id"] for row in rows] == list(expected.ids)
    assert [float(row["p_yes"]) for row in rows] == expected.probabilities[:, 1].tolist()
    assert [row["prediction"] for row in rows] == [LABELS[index] for index in expected.predicted]


@pytest.mark.parametrize("start", ["=", "+", "-", "@"])
def test_ids_with_signs_are_those_of_the_source(tmp_path: Path, start: str) -> None:
    run = saved(tmp_path / "run", {"test": sampled(30, 1, prefix=f"{start}SUM(A1)")})
    file = tmp_path / "rows.csv"
    ag(run, "--predictions", file)
    assert read_csv(file)[0]["id"] == read_csv(run / "predictions.csv")[0]["id"] == f"{start}SUM(A1)0"


def test_strays_are_named_together_and_briefly(tmp_path: Path, plain: Path, guided: Path) -> None:
    note, sweep, empty = tmp_path / "notes.txt", tmp_path / "sweep", tmp_path / "empty"
    note.touch()
    (sweep / "cells").mkdir(parents=True)
    empty.mkdir()
    half = saved(tmp_path / "half", {"test": sampled(60, 5)}, state="interrupted")
    shown = ag(plain, note, guided, sweep, empty, half, tmp_path / "none", code=3)
    assert "5 of 7 paths cannot be evaluated" in shown
    for part in (
        f"{note} (a file, no run folder)",
        f"{sweep} (the folder of a sweep",
        f"{empty} (no run folder",
        f"{half} (this run is interrupted, not finished)",
        f"{tmp_path / 'none'} (no run folder (there is nothing))",
    ):
        assert part in shown
    assert len(ag(plain, *[empty] * 40, code=3)) < 12 * len(str(empty)) + 600
    assert "a file, no run folder" in ag(plain, note, code=3)


def test_re_saved_predictions_are_named_together_and_briefly(plain: Path, guided: Path) -> None:
    for run in (plain, guided):
        file = run / "predictions.csv"
        file.write_text(file.read_text().replace(",", ";"))
    shown = ag(plain, guided, code=3)
    assert "2 of 2 paths cannot be evaluated" in shown
    assert "x1" not in shown
    assert len(shown) < 2 * len(str(plain)) + 400


def test_the_name_of_the_data_is_in_the_file(tmp_path: Path, plain: Path) -> None:
    (plain / "environment.json").write_text('{"data": {"name": "health"}}')
    ag(plain, "--csv", tmp_path / "m.csv")
    assert {row["dataset"] for row in read_csv(tmp_path / "m.csv")} == {"health"}
    assert json.loads(ag(plain, "--json"))["runs"][0]["dataset"] == "health"


def test_resamples_and_seed_reach_the_bootstrap(plain: Path) -> None:
    def interval(*options: object) -> dict[str, float]:
        found: dict[str, float] = json.loads(ag(plain, "--json", *options))["runs"][0]["metrics"]["log_loss"]
        return found

    assert interval() == interval("--seed", 0, "--resamples", 2000)
    assert interval() != interval("--seed", 1)
    assert interval() != interval("--resamples", 1999)


def prepared(folder: Path, splits: tuple[str, ...]) -> Path:
    """A data set of one row a split."""
    frame = pd.DataFrame({column: ["no"] for column in COLUMNS})
    return write_dataset(folder, dict.fromkeys(splits, frame), labels=LABELS)


def test_another_data_set_is_predicted_first(tmp_path: Path, plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    prepared(tmp_path / "data" / "other", ("dev", "test"))
    monkeypatch.chdir(tmp_path)

    def predict(run: Path, dataset: str, split: str, batch_size: int, offline: bool) -> Predictions:
        asked.append((run.name, dataset, split, batch_size, offline))
        return sampled(25, 7)

    monkeypatch.setattr("agcli.training.predict.predict", predict)
    shown = ag(plain, "--dataset", "other", "--split", "dev", "--batch-size", 8, "--offline")
    assert asked == [("plain", "other", "dev", 8, True)]
    assert "Metrics on other, dev (25 examples)" in shown
    assert "majority class" in shown  # of the run's training data, judged on the other data set


@pytest.mark.parametrize(("splits", "expected"), [(("train", "dev"), "dev"), (("dev", "test"), "test")])
def test_another_data_set_is_judged_on_test_where_it_has_one(
    tmp_path: Path, plain: Path, monkeypatch: pytest.MonkeyPatch, splits: tuple[str, ...], expected: str
) -> None:
    folder = prepared(tmp_path / "other", splits)
    monkeypatch.setattr("agcli.training.predict.predict", lambda *_: sampled(25, 7))
    assert json.loads(ag(plain, "--dataset", folder, "--json"))["split"] == expected


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--split", "tset"], "Did you mean 'test'?"),
        (["--split", "train"], "--split: 'train' is not allowed; allowed: one of dev, test."),
        (["--resamples", "99"], "--resamples: 99 is not allowed; allowed: at least 100 and at most 100000."),
        (["--resamples", "100001"], "--resamples: 100001 is not allowed"),
        (["--seed", "-1"], "--seed: -1 is not allowed; allowed: at least 0."),
        (["--batch-size", "0"], "--batch-size: 0 is not allowed; allowed: at least 1."),
        (["--json", "--markdown"], "--json and --markdown both"),
        (["--csv", "{tmp}/none/x.csv"], "not a file in an existing folder"),
        (["--csv", "{tmp}"], "not a file in an existing folder"),
        (["--predictions", "{tmp}/plain/predictions.csv"], "lies in a finished run"),
        (["--csv", "{tmp}/x.csv", "--predictions", "{tmp}/x.csv"], "name the same file"),
    ],
)
def test_options_that_cannot_be_are_wrong_usage(tmp_path: Path, plain: Path, options: list[str], problem: str) -> None:
    before = (plain / "predictions.csv").read_bytes()
    assert problem in ag(plain, *(option.format(tmp=tmp_path) for option in options), code=2)
    assert (plain / "predictions.csv").read_bytes() == before


def test_all_ranges_are_reported_together(plain: Path) -> None:
    shown = ag(plain, "--seed", -3, "--resamples", 1, code=2)
    assert "--seed" in shown
    assert "--resamples" in shown


def test_the_same_run_twice_is_refused(plain: Path) -> None:
    assert "same run is given twice" in ag(plain, plain / ".." / "plain", code=2)


def test_runs_of_different_default_splits_are_refused(tmp_path: Path, plain: Path) -> None:
    other = saved(tmp_path / "other", {"dev": sampled(40, 5)})
    shown = ag(plain, other, code=2)
    assert "plain: test, dev; other: dev" in shown
    assert "--split dev" in shown
    assert "guided" not in ag(plain, other, "--split", "dev")


def test_a_split_that_the_run_lacks_is_named(tmp_path: Path) -> None:
    run = saved(tmp_path / "run", {"dev": sampled(40, 5)})
    assert "no predictions of the split 'test'. Allowed: dev." in ag(run, "--split", "test", code=3)


def test_runs_on_different_examples_are_refused(tmp_path: Path, plain: Path) -> None:
    other = saved(tmp_path / "other", {"test": sampled(60, 5, prefix="y")})
    shown = ag(plain, other, code=3)
    assert "'plain' and 'other' cannot be compared" in shown
    assert "120 ids in only one of them" in shown
    assert "--dataset" in shown


@pytest.mark.parametrize("file", ["predictions.csv", "metrics.json"])
def test_a_run_that_lost_a_file_is_bad_data(plain: Path, file: str) -> None:
    (plain / file).unlink()
    assert file in ag(plain, code=3)


@pytest.mark.parametrize("content", ["{", "[]"])
def test_broken_metrics_are_bad_data(plain: Path, content: str) -> None:
    (plain / "metrics.json").write_text(content)
    assert "metrics.json" in ag(plain, code=3)


def test_an_unfinished_run_and_a_folder_that_is_none_are_refused(tmp_path: Path) -> None:
    unfinished = saved(tmp_path / "half", {"test": sampled(60, 5)}, state="interrupted")
    assert "interrupted, not finished" in ag(unfinished, code=1)
    assert "no run folder" in ag(tmp_path / "nowhere", code=3)
    assert "no run folder" in ag(tmp_path, code=3)


def test_p_values_have_one_format_and_the_permutations_are_counted(tmp_path: Path) -> None:
    """Of two models of which one is always right, the drawn p is the least there is, 1 / 10,001."""
    gold = np.arange(600) % 3
    ids = tuple(f"x{number}" for number in range(len(gold)))
    for name, answers in (("right", gold), ("wrong", (gold + 1 + np.arange(600) // 3 % 2) % 3)):
        saved(tmp_path / name, {"test": Predictions(ids, LABELS, gold, np.eye(3)[answers] * 0.9 + 0.1 / 3)})
    shown = " ".join(ag(tmp_path / "wrong", tmp_path / "right").split())
    assert "│ <0.0001 │ 0.0001 │ 0.0001 │" in shown
    assert "permutation tests of accuracy and f1_macro (10,000 permutations drawn with seed 0)" in shown
    assert json.loads(ag(tmp_path / "wrong", tmp_path / "right", "--json"))["permutations"] == 10_000


def test_the_ece_interval_says_what_it_is_not(plain: Path) -> None:
    assert "bias and cut at 0, is the spread of this estimate and no interval of the true error" in " ".join(
        ag(plain).split()
    )


def test_three_runs_on_narrow_terminals(plain: Path, guided: Path, tmp_path: Path) -> None:
    third = saved(tmp_path / "a-run-with-a-long-name-mdg=0.01-pdg=0.001-seed=1", {"test": sampled(60, 5)})
    words = ["evaluate", plain, guided, third, "--split", "test", "--resamples", 100]
    assert_narrows(*words)
    assert_narrows(*words[:2], third, *words[4:])
    assert_narrows(*words[:2], *words[4:])
    two = shown_at(80, *words[:3], *words[4:])
    assert "metric: accuracy" not in two, "a table still"
    assert re.search(r"^ +\[0\.\d{4}, [01]\.\d{4}\] +\[0\.\d{4}, [01]\.\d{4}\] +\[-", two, re.MULTILINE)
    narrow = shown_at(60, *words)
    assert f"C = {third.name}" in narrow
    assert re.search("^McNemar p|^ *C ", narrow, re.MULTILINE)
