"""Whole runs on a small data set: the folder they leave, the model in it, and what ends them early."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from tiny_rankings import write_ranking_dataset
from tiny_runs import LABELS, MARKER, listed, pairs, short_options, write_dataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from agcli.config import RunConfig, make_config, read_config_file
from agcli.data.prepared import load_prepared
from agcli.errors import DataError, DivergedError, RunError, UsageError
from agcli.measures.classification import Predictions, classification_metrics
from agcli.options import ModelOptions
from agcli.runs.folder import RunFolder, open_run
from agcli.tasks.classification import load_predictions
from agcli.training import checkpoint
from agcli.training.assemble import PROCESS_BYTES, checkpoint_activations
from agcli.training.predict import predict
from agcli.training.report import Plan, RunCallback
from agcli.training.run import finetune, plan_run

Make = Callable[..., RunConfig]
OFF = {"mdg": 0.0, "pdg": 0.0}
FILES = {
    "config.json", "environment.json", "status.json", "history.csv", "timing.csv", "metrics.json", "predictions.csv",
    "trained_on.npy",
}  # fmt: skip
EXACT = (
    "history.csv",
    "predictions.csv",
    "trained_on.npy",
    "metrics.json",
    "model/model.safetensors",
    "model/config.json",
)


class Log(RunCallback):
    """Keeps what a run says."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.warnings: list[str] = []
        self.epochs: list[Mapping[str, Any]] = []
        self.plans: list[Plan] = []

    def message(self, text: str) -> None:
        self.messages.append(text)

    def warning(self, text: str) -> None:
        self.warnings.append(text)

    def epoch(self, epoch: Mapping[str, Any]) -> None:
        self.epochs.append(epoch)

    def plan(self, plan: Plan) -> None:
        self.plans.append(plan)


@pytest.fixture(scope="module")
def guided(dataset: Path, encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished run with both guides; to be read only."""
    settings = make_config(short_options(dataset, encoder) | {"mdg": 0.5, "pdg": 0.25})
    return finetune(settings, tmp_path_factory.mktemp("runs") / "guided")


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def same_files(one: RunFolder, other: RunFolder) -> list[str]:
    """The exact files in which two runs differ."""
    return [name for name in EXACT if (one.path / name).read_bytes() != (other.path / name).read_bytes()]


def test_a_finished_folder_holds_these_files(guided: RunFolder) -> None:
    assert set(listed(guided.path)) == {*FILES, "model"}
    assert guided.state == "finished"
    assert open_run(guided.path) == guided


def test_metrics_are_those_of_the_predictions(guided: RunFolder, dataset: Path) -> None:
    metrics = guided.metrics
    data = load_prepared(dataset)
    for split in ("dev", "test"):
        found = load_predictions(guided, split)
        assert list(found.ids) == data.splits[split]["id"].tolist()
        assert [LABELS[index] for index in found.gold] == data.splits[split]["label"].tolist()
        assert {name: metrics[split][name] for name in classification_metrics(found)} == classification_metrics(found)
        assert {"accuracy", "precision_macro", "recall_macro", "f1_macro"} <= metrics[split].keys()
        assert metrics["baseline"][split]["label"] in LABELS
    assert (metrics["steps"], metrics["train_examples"], len(metrics["epochs"])) == (12, 44, 2)


def test_the_history_has_losses_guides_rate_and_norm_and_no_times(guided: RunFolder) -> None:
    history = rows(guided.path / "history.csv")
    assert list(history[0]) == [
        "step", "epoch", "loss", "task_loss", "mdg", "mdg_weighted", "pdg", "pdg_weighted", "learning_rate",
        "gradient_norm",
    ]  # fmt: skip
    assert [row["step"] for row in history] == [str(step) for step in range(1, 13)]
    assert [row["epoch"] for row in history] == ["1"] * 6 + ["2"] * 6
    for row in history:
        value = {name: float(cell) for name, cell in row.items()}
        assert value["mdg_weighted"] == pytest.approx(0.5 * value["mdg"])
        assert value["pdg_weighted"] == pytest.approx(0.25 * value["pdg"])
        assert value["loss"] == pytest.approx(value["task_loss"] + value["mdg_weighted"] + value["pdg_weighted"])
    timing = rows(guided.path / "timing.csv")
    assert list(timing[0]) == ["step", "seconds", "examples", "tokens", "examples_per_second"]
    assert sum(int(row["examples"]) for row in timing) == 2 * 44


def test_epoch_means_count_each_example_once(guided: RunFolder) -> None:
    history, timing = rows(guided.path / "history.csv"), rows(guided.path / "timing.csv")
    examples = np.array([int(row["examples"]) for row in timing[:6]])
    for name in ("task_loss", "mdg", "pdg"):
        values = np.array([float(row[name]) for row in history[:6]])
        assert guided.metrics["epochs"][0][name] == pytest.approx(float((values * examples).sum() / 44))
    assert guided.metrics["guides"] == {name: guided.metrics["epochs"][-1][name] for name in ("mdg", "pdg")}


def test_two_runs_are_the_same_byte_for_byte_and_times_are_apart(
    config: Make, tmp_path: Path, guided: RunFolder
) -> None:
    one, other = (finetune(config(seed=4), tmp_path / name) for name in "ab")
    assert same_files(one, other) == []
    assert "history.csv" in same_files(one, guided)
    assert (one.path / "timing.csv").read_bytes() != (other.path / "timing.csv").read_bytes()


def test_settings_can_be_loaded_again_and_give_the_same_run(tmp_path: Path, guided: RunFolder) -> None:
    settings = make_config(read_config_file(guided.path / "config.json"))
    assert settings.fingerprint() == guided.environment["fingerprint"]
    assert same_files(guided, finetune(settings, tmp_path / "again")) == []


def test_the_task_is_recorded(guided: RunFolder) -> None:
    assert guided.metrics["task"] == guided.environment["plan"]["task"] == guided.task == "classification"
    assert next(iter(guided.metrics)) == "task"


def test_the_environment_tells_what_is_needed_to_repeat_the_run(guided: RunFolder, dataset: Path) -> None:
    found = guided.environment
    assert found["data"]["digest"] == load_prepared(dataset).digest
    assert found["packages"]["torch"] == torch.__version__
    assert found["torch_threads"] == 1
    assert len(found["model"]["sha256"]) == 64
    assert found["plan"]["guides"] == ["mdg=0.5", "pdg=0.25"]


@pytest.mark.parametrize(("attention", "tolerance"), [("eager", 1e-6), (None, 1e-5)])
def test_plain_transformers_loads_the_model_with_the_same_probabilities(
    guided: RunFolder, dataset: Path, attention: str | None, tolerance: float
) -> None:
    keywords = {"attn_implementation": attention} if attention else {}
    model, report = AutoModelForSequenceClassification.from_pretrained(
        guided.model, output_loading_info=True, **keywords
    )
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    tokenizer = AutoTokenizer.from_pretrained(guided.model)
    frame = load_prepared(dataset).splits["test"]
    encoded = tokenizer(
        frame["text_a"].tolist(),
        frame["text_b"].tolist(),
        truncation=True,
        max_length=48,
        padding=True,
        return_tensors="pt",
    )
    with torch.no_grad():
        probabilities = model.eval()(**encoded).logits.softmax(-1)
    expected = torch.from_numpy(load_predictions(guided, "test").probabilities).float()
    torch.testing.assert_close(probabilities, expected, rtol=0, atol=tolerance)


def test_a_run_in_bf16_is_judged_in_float32_as_its_user_will_see_it(config: Make, tmp_path: Path) -> None:
    run = finetune(config(precision="bf16", epochs=1), tmp_path / "run")
    found = predict(run.path, run.config["dataset"], "dev", 16, offline=True)
    np.testing.assert_allclose(found.probabilities, load_predictions(run, "dev").probabilities, rtol=0, atol=1e-6)
    assert run.environment["plan"]["precision"] == "bf16"


def test_the_saved_model_names_its_labels_and_nothing_of_ours(guided: RunFolder) -> None:
    text = (guided.model / "config.json").read_text()
    assert "ag_" not in text
    assert "attn" not in text
    assert [json.loads(text)["id2label"][str(index)] for index in range(3)] == list(LABELS)


def test_the_model_card_tells_the_run_and_shows_no_text(guided: RunFolder) -> None:
    card = (guided.model / "README.md").read_text()
    assert "mdg=0.5, pdg=0.25" in card
    assert f"{guided.metrics['test']['accuracy']:.4f}" in card
    assert "library_name: transformers" in card
    assert MARKER not in card
    assert "# tiny fine-tuned on pairs" in card  # no path of this machine
    assert guided.config["model"] not in card


def test_no_text_of_credentialed_data_is_in_any_file_or_message(config: Make, tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "notes", credentialed=True, license="PhysioNet")
    log = Log()
    run = finetune(config(dataset=str(data), track="tensorboard", checkpoint_every=2), tmp_path / "run", callback=log)
    searched = 0
    for path in run.path.rglob("*"):
        if path.is_file() and path.name not in ("tokenizer.json", "vocab.txt"):  # the encoder's own vocabulary
            assert MARKER.encode() not in path.read_bytes(), path
            searched += 1
    assert searched > 8
    assert MARKER not in "".join(map(str, [*log.messages, *log.warnings, *log.epochs, *log.plans]))
    assert "credentialed" in (run.model / "README.md").read_text()


def test_the_first_message_shows_each_guides_share(config: Make, tmp_path: Path) -> None:
    log = Log()
    run = finetune(config(mdg=0.5, pdg=0.25), tmp_path / "run", callback=log)
    assert log.messages[0].startswith("gradient norms on the first batch: task ")
    assert ", mdg " in log.messages[0]
    assert run.metrics["gradient_norms"].keys() == {"task", "mdg", "pdg"}


def test_monitoring_changes_nothing_but_the_record(config: Make, tmp_path: Path) -> None:
    plain = finetune(config(**OFF), tmp_path / "plain")
    watched = finetune(config(**OFF, monitor="pdg,mdg"), tmp_path / "watched")
    assert same_files(plain, watched) == ["history.csv", "metrics.json"]
    assert watched.metrics["guides"].keys() == {"mdg", "pdg"}
    assert plain.metrics["guides"] == {}
    columns = list(rows(watched.path / "history.csv")[0])
    assert [name for name in columns if "dg" in name] == ["pdg", "mdg"]  # watched, so no weighted value
    assert not any("dg" in name for name in rows(plain.path / "history.csv")[0])
    extra = [
        {name: cell for name, cell in row.items() if "dg" not in name} for row in rows(watched.path / "history.csv")
    ]
    assert extra == rows(plain.path / "history.csv")
    assert "guides (none)" in (watched.model / "README.md").read_text()


def test_a_guide_of_weight_0_is_absent_from_the_history(config: Make, tmp_path: Path) -> None:
    run = finetune(config(mdg=0.0, pdg=0.5, epochs=1), tmp_path / "run")
    assert [name for name in rows(run.path / "history.csv")[0] if "dg" in name] == ["pdg", "pdg_weighted"]


@pytest.mark.parametrize("changes", [{"guide_mode": "released"}, {"guide_layers": "1", "guide_heads": "0-2"}])
def test_other_ways_to_guide_run_and_give_other_values(
    config: Make, tmp_path: Path, guided: RunFolder, changes: dict[str, str]
) -> None:
    run = finetune(config(mdg=0.5, pdg=0.25, **changes), tmp_path / "run")
    first, usual = (rows(folder.path / "history.csv")[0] for folder in (run, guided))
    assert first["task_loss"] == usual["task_loss"]
    assert first["mdg"] != usual["mdg"]
    assert first["pdg"] != usual["pdg"]


def test_activation_checkpointing_gives_the_same_run(config: Make, tmp_path: Path) -> None:
    one = finetune(config(), tmp_path / "kept")
    other = finetune(config(activation_checkpointing=True), tmp_path / "recomputed")
    assert [name for name in same_files(one, other) if name != "model/config.json"] == []


def test_an_architecture_that_cannot_recompute_activations_is_named() -> None:
    class Shared(torch.nn.Module):
        def gradient_checkpointing_enable(self, gradient_checkpointing_kwargs: dict[str, bool]) -> None:
            raise ValueError("Shared does not support activation checkpointing.")

    checkpoint_activations(Shared(), ModelOptions())
    with pytest.raises(UsageError, match="--activation-checkpointing: Shared does not support it"):
        checkpoint_activations(Shared(), ModelOptions(activation_checkpointing=True))


def test_a_guide_that_guides_nothing_is_a_warning(config: Make, tmp_path: Path) -> None:
    """One map is told from no other: MDG is 0."""
    log = Log()
    finetune(config(guide_layers="0", guide_heads="0"), tmp_path / "run", callback=log)
    assert [text for text in log.warnings if "nothing to guide" in text] == [
        "mdg was 0 in every step of the epoch: it has nothing to guide in these data."
    ]
    log = Log()
    finetune(config(), tmp_path / "other", callback=log)
    assert not [text for text in log.warnings if "nothing to guide" in text]


def test_training_may_be_limited_to_a_nested_subset(config: Make, tmp_path: Path) -> None:
    run = finetune(config(train_limit=20, epochs=1), tmp_path / "run")
    assert run.metrics["train_examples"] == 20
    assert sum(int(row["examples"]) for row in rows(run.path / "timing.csv")) == 20
    assert plan_run(config(train_fraction=0.5), tmp_path).examples["train"] == 22
    assert plan_run(config(train_limit=44), tmp_path).examples["train"] == 44
    with pytest.raises(UsageError, match="--train-limit 45: the data set has 44 training examples"):
        plan_run(config(train_limit=45), tmp_path)


def test_a_data_seed_changes_the_order_alone(config: Make, tmp_path: Path) -> None:
    one, other = (finetune(config(data_seed=seed, epochs=1), tmp_path / str(seed)) for seed in (1, 2))
    assert "history.csv" in same_files(one, other)
    plain = finetune(config(epochs=1), tmp_path / "plain")
    assert same_files(one, plain) == []  # the data seed follows the seed, which is 1


def scripted(scores: list[float], monkeypatch: pytest.MonkeyPatch, metric: str = "accuracy") -> None:
    """The dev metric of each epoch, as told."""
    given = iter(scores)

    def measure(predictions: Predictions) -> dict[str, float]:
        found = classification_metrics(predictions)
        return found | {metric: next(given, 0.0)} if len(predictions.ids) == 18 else found

    monkeypatch.setattr("agcli.tasks.classification.classification_metrics", measure)


def test_the_best_epochs_model_is_saved(config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted([0.1, 0.5, 0.4, 0.5], monkeypatch)
    run = finetune(config(epochs=4, keep_checkpoints=True), tmp_path / "run")
    assert run.metrics["best_epoch"] == 2  # the first of equals
    assert listed(run.checkpoints) == [f"step-000000{step}" for step in (12, 18, 24)]
    best, last, saved = (
        load_file(folder / "model.safetensors")
        for folder in (run.checkpoints / "step-00000012", run.checkpoints / "step-00000024", run.model)
    )
    assert all(torch.equal(best[name], weight) for name, weight in saved.items())
    assert not torch.equal(last["classifier.weight"], saved["classifier.weight"])
    found = predict(run.path, run.config["dataset"], "dev", 16, offline=True)
    np.testing.assert_allclose(found.probabilities, load_predictions(run, "dev").probabilities, rtol=0, atol=1e-6)


@pytest.mark.parametrize("metric", ["accuracy", "f1_macro"])
def test_the_metric_chooses(config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metric: str) -> None:
    scripted([0.3, 0.9, 0.2], monkeypatch, metric)
    assert finetune(config(epochs=3, metric=metric), tmp_path / "run").metrics["best_epoch"] == 2


def test_patience_stops_training(config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted([0.1, 0.5, 0.4, 0.5, 0.9], monkeypatch)
    run = finetune(config(epochs=6, patience=2), tmp_path / "run")
    assert len(run.metrics["epochs"]) == 4
    assert run.metrics["best_epoch"] == 2
    assert len(rows(run.path / "history.csv")) == 24


def test_a_run_ends_after_max_steps_with_an_evaluation(config: Make, tmp_path: Path) -> None:
    run = finetune(config(epochs=1, max_steps=9, warmup_ratio=0.0, keep_checkpoints=True), tmp_path / "run")
    history = rows(run.path / "history.csv")
    assert [row["epoch"] for row in history] == ["1"] * 6 + ["2"] * 3
    rates = [float(row["learning_rate"]) for row in history]
    assert rates == pytest.approx([1e-3 * (9 - step) / 9 for step in range(9)])
    assert run.metrics["steps"] == 9
    assert [(epoch["epoch"], epoch["step"]) for epoch in run.metrics["epochs"]] == [(1, 6), (2, 9)]
    examples = np.array([int(row["examples"]) for row in rows(run.path / "timing.csv")[6:]])
    losses = np.array([float(row["task_loss"]) for row in history[6:]])
    assert run.metrics["epochs"][1]["task_loss"] == pytest.approx(float((losses * examples).sum() / examples.sum()))
    assert listed(run.checkpoints) == ["step-00000006", "step-00000009"]
    assert "| max_steps | 9 |" in (run.model / "README.md").read_text()
    short = finetune(config(max_steps=2), tmp_path / "short")
    assert [epoch["step"] for epoch in short.metrics["epochs"]] == [2]


def test_as_many_steps_as_the_epochs_have_are_the_same_run(config: Make, tmp_path: Path) -> None:
    epochs, steps = (
        finetune(config(), tmp_path / "epochs"),
        finetune(config(epochs=1, max_steps=12), tmp_path / "steps"),
    )
    assert same_files(epochs, steps) == []


def test_checkpoints_are_kept_on_request(config: Make, tmp_path: Path) -> None:
    run = finetune(config(keep_checkpoints=True, checkpoint_every=4), tmp_path / "run")
    kept = listed(run.checkpoints)
    assert kept[-2:] == ["step-00000008", "step-00000012"]
    assert len(kept) == 2 + (run.metrics["best_epoch"] == 1)


def test_a_loss_that_explodes_fails_the_run_and_keeps_the_checkpoints(config: Make, tmp_path: Path) -> None:
    settings = config(learning_rate=1e30, warmup_ratio=0.0, checkpoint_every=1)
    with pytest.raises(
        RunError, match=r"the (loss|gradient norm) is (nan|inf) at step \d+ of 12 .*rows: train-"
    ) as caught:
        finetune(settings, tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    assert run.state == "failed"
    assert str(caught.value) in (run.path / "status.json").read_text()
    assert "lower learning rate" in str(caught.value.hint)
    newest, damaged = checkpoint.newest(run.checkpoints)
    assert newest is not None
    assert damaged == []
    done = int(newest.name.removeprefix("step-"))
    assert [row["step"] for row in rows(run.path / "history.csv")] == [str(step) for step in range(1, done + 1)]


def test_ids_of_a_step_that_explodes_are_cut_and_those_of_credentialed_data_left_out(
    config: Make, tmp_path: Path
) -> None:
    def end(dataset: Path) -> str:
        run = tmp_path / f"run on {dataset.name}"
        settings = config(
            dataset=str(dataset), learning_rate=1e30, warmup_ratio=0.0, max_length=24, mdg=0.0, batch_size=16
        )
        with pytest.raises(DivergedError) as caught:
            finetune(settings, run)
        assert str(caught.value) in (run / "status.json").read_text()
        return str(caught.value)

    long = {split: pairs(split, 18) for split in ("train", "dev")}
    for frame in long.values():
        frame["id"] += "-" + "x" * 500
    shown = end(write_dataset(tmp_path / "long", long))
    assert len(shown) < 900
    assert "train-" in shown
    hidden = end(write_ranking_dataset(tmp_path / "claims", credentialed=True).folder)
    assert "rows: 16 in all." in hidden
    assert "train-" not in hidden


def test_settings_that_cannot_be_leave_an_earlier_run_and_the_disk_alone(config: Make, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    run.set_state("finished")
    for wrong in ({"guide_layers": "2"}, {"guide_heads": "4"}, {"max_length": 65}, {"train_limit": 99}):
        with pytest.raises(UsageError):
            finetune(config(**wrong), run.path)
        with pytest.raises(UsageError):
            finetune(config(**wrong), tmp_path / "new")
    assert listed(run.path) == ["status.json"]
    assert listed(tmp_path) == ["run"]


def test_an_earlier_run_is_cleared_on_request_only(config: Make, tmp_path: Path, guided: RunFolder) -> None:
    run = finetune(config(epochs=1, track="tensorboard"), tmp_path / "run")
    (run.path / "notes.txt").touch()
    with pytest.raises(RunError, match="holds a run that is finished"):
        finetune(config(), run.path)
    assert run.state == "finished"
    finetune(config(mdg=0.5, pdg=0.25), run.path, overwrite=True)
    assert same_files(run, guided) == []
    assert set(listed(run.path)) == {*FILES, "model", "notes.txt"}


def test_a_data_set_without_a_test_split_is_judged_on_dev(config: Make, tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data", {"train": pairs("train", 12), "dev": pairs("dev", 6)})
    run = finetune(config(dataset=str(data), epochs=1), tmp_path / "run")
    assert "test" not in run.metrics
    assert "test" not in run.metrics["baseline"]
    assert {row["split"] for row in rows(run.path / "predictions.csv")} == {"dev"}


@pytest.mark.parametrize("missing", ["train", "dev"])
def test_a_data_set_without_train_or_dev_is_refused(config: Make, tmp_path: Path, missing: str) -> None:
    splits = {split: pairs(split, 6) for split in ("train", "dev", "test") if split != missing}
    data = write_dataset(tmp_path / "data", splits)
    with pytest.raises(DataError, match=f"no {missing} split"):
        finetune(config(dataset=str(data)), tmp_path / "run")


@pytest.mark.parametrize("empty", ["train", "dev", "test"])
def test_an_empty_split_is_refused(config: Make, tmp_path: Path, empty: str) -> None:
    splits = {split: pairs(split, 0 if split == empty else 6) for split in ("train", "dev", "test")}
    data = write_dataset(tmp_path / "data", splits)
    with pytest.raises(DataError, match=f"the {empty} split is empty"):
        finetune(config(dataset=str(data)), tmp_path / "run")


def test_one_training_example_and_a_batch_larger_than_the_data(config: Make, tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data", {"train": pairs("train", 1), "dev": pairs("dev", 3)})
    run = finetune(config(dataset=str(data), batch_size=1000, accumulate=4, eval_batch_size=1000), tmp_path / "run")
    assert run.metrics["steps"] == 2


def test_ids_with_signs_are_those_of_the_source(config: Make, tmp_path: Path) -> None:
    frame = pairs("dev", 4)
    frame["id"] = ["=1+1", "+2", "-3", "@4"]
    data = write_dataset(tmp_path / "data", {"train": pairs("train", 12), "dev": frame})
    run = finetune(config(dataset=str(data), epochs=1), tmp_path / "run")
    assert [row["id"] for row in rows(run.path / "predictions.csv")] == ["=1+1", "+2", "-3", "@4"]
    assert load_predictions(run, "dev").ids == ("=1+1", "+2", "-3", "@4")


def test_a_finished_model_predicts_another_data_set_as_its_own(
    guided: RunFolder, dataset: Path, tmp_path: Path
) -> None:
    found = predict(guided.path, str(dataset), "test", 5, offline=True)
    expected = load_predictions(guided, "test")
    assert found.ids == expected.ids
    np.testing.assert_allclose(found.probabilities, expected.probabilities, rtol=0, atol=1e-6)
    other = pd.DataFrame(pairs("test", 3)).assign(label="yes")
    data = write_dataset(tmp_path / "data", {"test": other}, labels=["yes"])
    with pytest.raises(DataError) as caught:
        predict(guided.path, str(data), "test", 5, offline=True)
    assert "--label-map" in str(caught.value.hint)
    fewer = pairs("test", 6).query("label == 'neutral'")
    found = predict(
        guided.path, str(write_dataset(tmp_path / "n", {"test": fewer}, labels=["neutral"])), "test", 5, True
    )
    assert found.labels == expected.labels
    np.testing.assert_allclose(found.probabilities, expected.probabilities[[1, 4]], rtol=0, atol=1e-6)
    with pytest.raises(DataError, match="no tset split"):
        predict(guided.path, str(dataset), "tset", 5, offline=True)


def test_tensorboard_gets_the_steps_and_the_dev_metrics(config: Make, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = finetune(config(track="tensorboard", mdg=0.5), tmp_path / "run")
    [folder] = {file.parent for file in (run.path / "tracking").glob("events.*")}
    events = EventAccumulator(str(folder)).Reload()
    history = rows(run.path / "history.csv")
    for name in ("task_loss", "loss", "learning_rate", "mdg"):
        logged = [(event.step, event.value) for event in events.Scalars(name)]
        assert logged == [(int(row["step"]), pytest.approx(float(row[name]), rel=1e-6)) for row in history]
    assert [event.step for event in events.Scalars("dev/accuracy")] == [6, 12]


def test_the_memory_estimate_counts_the_process_and_the_checkpoint_on_a_cpu(config: Callable[..., RunConfig]) -> None:
    plan = plan_run(config(), Path("run"))
    assert plan.device == "cpu"
    assert plan.memory_estimate_bytes > PROCESS_BYTES + 4 * 6 * plan.num_parameters
