"""Runs on ranking data: what they train on, how dev chooses, and what the saved model is."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from ir_measures import AP, RR, R, calc_aggregate, nDCG
from tiny_rankings import NEGATIVES, contents
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from agcli.config import make_config
from agcli.data.ranking.prepared import PreparedRanking, write_ranking
from agcli.errors import DataError, UsageError
from agcli.runs.folder import RunFolder
from agcli.training.assemble import Assembly
from agcli.training.run import finetune


def predictions(run: Path) -> dict[str, dict[str, float]]:
    """Claim -> document -> score, from `predictions.csv`."""
    found: dict[str, dict[str, float]] = {}
    with (run / "predictions.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["query"], {})[row["document"]] = float(row["score"])
    return found


def test_dev_is_measured_over_the_first_candidates_of_its_claims(ranking_run: Path, claims: PreparedRanking) -> None:
    metrics = RunFolder(ranking_run).metrics
    run = predictions(ranking_run)
    qrels = {query: claims.relevance[query] for query in claims.queries["id"].iloc[claims.judged("dev")]}
    expected = calc_aggregate([RR, R @ 1, R @ 5, nDCG @ 10, AP], qrels, run)
    assert {str(measure): metrics["dev"][str(measure)] for measure in expected} == pytest.approx(
        {str(measure): value for measure, value in expected.items()}
    )
    first = calc_aggregate([RR], qrels, {
        query: dict(zip([claims.document_ids[i] for i in rows], scores.tolist(), strict=True))
        for row, query in zip(claims.judged("dev"), qrels, strict=True)
        for rows, scores in [claims.candidates(int(row), 20)]
    })  # fmt: skip
    assert metrics["baseline"]["dev"]["label"] == "first stage"
    assert metrics["baseline"]["dev"]["RR"] == pytest.approx(first[RR])
    assert (metrics["task"], metrics["metric"], "test" in metrics) == ("ranking", "RR", False)


def test_dev_is_bounded_and_the_same_for_every_seed(ranking_options: dict[str, Any], tmp_path: Path) -> None:
    bounded = ranking_options | {"dev_queries": 3, "dev_depth": 4}
    dev = [Assembly(make_config(bounded | {"seed": seed}), RunFolder(tmp_path)).examples["dev"].ids for seed in (1, 2)]
    assert dev[0] == dev[1]
    assert len({identifier.split()[0] for identifier in dev[0]}) == 3
    assert len(dev[0]) == 12


def test_long_claims_are_cut_and_counted_or_an_error(ranking_options: dict[str, Any], tmp_path: Path) -> None:
    made = contents()
    made.queries.loc[[1, 9], "text"] = "SECRET " * 40  # one of train, one of dev
    long = write_ranking(tmp_path / "long", made, {"name": "long", "splits": {}, "depth": 12, "credentialed": True})
    options = ranking_options | {"dataset": str(long.folder)}
    plan = Assembly(make_config(options), RunFolder(tmp_path)).plan
    [note] = [note for note in plan.notes if "leave no room" in note]
    assert note.startswith("2 of 13 queries leave no room for a document at --max-length 24")
    refusing = make_config(options | {"long_claims": "error"})
    with pytest.raises(DataError, match="2 of 13 queries leave no room") as caught:
        _ = Assembly(refusing, RunFolder(tmp_path)).plan
    assert "--long-claims cut" in str(caught.value.hint)
    assert "train-1" not in str(caught.value)
    assert refusing.fingerprint() == make_config(options).fingerprint()


def test_a_subset_takes_whole_lists(ranking_options: dict[str, Any], tmp_path: Path) -> None:
    parts = Assembly(make_config(ranking_options | {"train_limit": 5}), RunFolder(tmp_path))
    train = parts.examples["train"]
    assert (len(train), int(train.labels.sum())) == (5 * (1 + NEGATIVES), 5)
    assert train.labels.reshape(5, -1).argmax(axis=1).tolist() == [0] * 5


@pytest.mark.parametrize(("loss", "outputs"), [("softmax", 2), ("listwise", 1)])
def test_the_other_losses_train(loss: str, outputs: int, ranking_options: dict[str, Any], tmp_path: Path) -> None:
    run = finetune(make_config(ranking_options | {"ranking_loss": loss, "epochs": 2}), tmp_path / "run")
    history = (run.path / "history.csv").read_text().splitlines()
    assert float(history[-1].split(",")[3]) < float(history[1].split(",")[3])  # the task loss
    model = AutoModelForSequenceClassification.from_pretrained(run.model)
    assert model.config.num_labels == outputs
    assert "Loss: cross-entropy of" in (run.model / "README.md").read_text()


def test_guides_act_on_ranking_too(ranking_options: dict[str, Any], ranking_run: Path, tmp_path: Path) -> None:
    assert set(RunFolder(ranking_run).metrics["guides"]) == {"mdg", "pdg"}
    plain = finetune(make_config(ranking_options | {"mdg": 0.0, "pdg": 0.0}), tmp_path / "plain").path
    assert predictions(plain) != predictions(ranking_run)


def test_a_metric_of_the_other_task_is_refused(
    ranking_options: dict[str, Any], options: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="--metric accuracy: claims is evaluated by RR, R@1"):
        _ = Assembly(make_config(ranking_options | {"metric": "accuracy"}), RunFolder(tmp_path)).plan
    with pytest.raises(UsageError, match="--metric RR: pairs is evaluated by accuracy"):
        _ = Assembly(make_config(options | {"metric": "RR"}), RunFolder(tmp_path)).plan


def test_resumed_is_uninterrupted(
    ranking_options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_config(ranking_options | {"ranking_loss": "listwise", "epochs": 2, "checkpoint_every": 1})
    whole = finetune(settings, tmp_path / "whole").path
    original = RunFolder.write_predictions
    monkeypatch.setattr(RunFolder, "write_predictions", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        finetune(settings, tmp_path / "cut")
    monkeypatch.setattr(RunFolder, "write_predictions", original)
    cut = finetune(settings, tmp_path / "cut", resume=True).path
    for name in ("predictions.csv", "history.csv", "metrics.json", "model/model.safetensors"):
        assert (cut / name).read_bytes() == (whole / name).read_bytes(), name


def test_the_saved_model_gives_its_scores_to_plain_transformers(ranking_run: Path, claims: PreparedRanking) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(ranking_run / "model").eval()
    tokenizer = AutoTokenizer.from_pretrained(ranking_run / "model")
    texts = dict(zip(claims.document_ids, claims.documents.column("text").to_pylist(), strict=True))
    asked = dict(zip(claims.queries["id"], claims.queries["text"], strict=True))
    for query, scores in predictions(ranking_run).items():
        encoded = tokenizer(
            [asked[query]] * len(scores),
            [texts[name] for name in scores],
            padding=True,
            truncation=True,
            return_tensors="pt",
        )
        assert encoded["input_ids"].shape[1] <= 24
        found = model(**encoded).logits[:, 0].tolist()
        assert found == pytest.approx(list(scores.values()), abs=1e-5)
    assert json.loads((ranking_run / "model/config.json").read_text())["id2label"] == {"0": "LABEL_0"}
