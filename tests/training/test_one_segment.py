"""Encoders that know one segment, or none, under a BERT tokenizer that sends two: they train, rank and publish."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_rankings import write_ranking_dataset
from tiny_runs import as_flags, pairs
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    PreTrainedModel,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from agcli.models import load_model, load_tokenizer

NOTE = "the tokenizer's token_type_ids are left out"
SMALL: dict[str, Any] = {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 48}


def make(kind: str, vocabulary: int) -> PreTrainedModel:
    torch.manual_seed(5)
    sizes = SMALL | {"vocab_size": vocabulary, "max_position_embeddings": 66}
    if kind == "roberta":
        return RobertaForSequenceClassification(RobertaConfig(**sizes, type_vocab_size=1, pad_token_id=0))
    if kind == "bert":
        return BertForSequenceClassification(BertConfig(**sizes, type_vocab_size=1))
    distilled = {"n_layers": 2, "dim": 32, "n_heads": 4, "hidden_dim": 48}
    return DistilBertForSequenceClassification(
        DistilBertConfig(**distilled, vocab_size=vocabulary, max_position_embeddings=66)
    )


@pytest.fixture(params=["roberta", "bert", "distilbert"])
def one_segment(request: pytest.FixtureRequest, encoder: Path, tmp_path: Path) -> Path:
    """The vocabulary and tokenizer of a BERT, beside weights that take no second segment."""
    folder = tmp_path / str(request.param)
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    make(str(request.param), len(tokenizer)).save_pretrained(folder)
    tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    tokenizer.save_pretrained(folder)
    written = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(written | {"tokenizer_class": "BertTokenizer"}))
    assert "token_type_ids" in AutoTokenizer.from_pretrained(folder).model_input_names
    return folder


def test_it_trains_is_judged_again_and_works_in_plain_transformers(
    one_segment: Path, options: dict[str, Any], ag: Callable[..., Any], tmp_path: Path
) -> None:
    flags = as_flags(options | {"model": str(one_segment), "epochs": 1, "train_limit": 16})
    assert NOTE in ag("finetune", *flags, "--output", tmp_path / "run", "--dry-run").stdout
    assert NOTE in ag("finetune", *flags, "--output", tmp_path / "run").stderr
    again = json.loads(
        ag("evaluate", tmp_path / "run", "--dataset", options["dataset"], "--split", "dev", "--json").stdout
    )
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert again["runs"][0]["metrics"]["accuracy"]["value"] == metrics["dev"]["accuracy"]
    saved = tmp_path / "run" / "model"
    tokenizer = AutoTokenizer.from_pretrained(saved)
    model = AutoModelForSequenceClassification.from_pretrained(saved).eval()
    rows = pairs("dev", 4)
    encoded = tokenizer(rows["text_a"].tolist(), rows["text_b"].tolist(), padding=True, return_tensors="pt")
    assert model(**encoded).logits.shape == (4, 3)
    assert "token_type_ids" not in load_tokenizer(str(one_segment)).model_input_names  # as timing reads it


def test_it_ranks(one_segment: Path, options: dict[str, Any], ag: Callable[..., Any], tmp_path: Path) -> None:
    data = write_ranking_dataset(tmp_path / "claims")
    flags = options | {"model": str(one_segment), "dataset": str(data.folder), "max_length": 24, "epochs": 1}
    ag("finetune", *as_flags(flags), "--output", tmp_path / "run")
    ag("rank", tmp_path / "run", "--split", "test", "--output", tmp_path / "ranked")
    assert (tmp_path / "ranked" / "metrics.json").is_file()


def test_two_segments_stay_two(encoder: Path) -> None:
    loaded = load_model(str(encoder), labels=["a", "b"])
    assert "token_type_ids" in loaded.tokenizer.model_input_names
    assert not any(NOTE in note for note in loaded.notes)
