"""What small runs are made of: a prepared data set of a few pairs and a random encoder that takes no time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import torch
from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

from agcli.data.prepared import COLUMNS, write_pairs

LABELS = ("entailment", "neutral", "contradiction")
MARKER = "quokka"
"""A word of every text and of nothing else: where it turns up, text has leaked."""
WORDS = [
    MARKER,
    *[
        "the",
        "a",
        "child",
        "woman",
        "man",
        "heart",
        "lung",
        "pain",
        "fever",
        "has",
        "no",
        "reports",
        "denies",
        "takes",
        "never",
        "dose",
        "daily",
    ],
]
ROWS = {"train": 44, "dev": 18, "test": 12}


def pairs(split: str, count: int) -> pd.DataFrame:
    """Different pairs of different lengths, the labels in turn."""
    rows = []
    for n in range(count):
        words = [WORDS[(3 * n + step * (1 + n % 7)) % len(WORDS)] for step in range(2 + n % 9)]
        rows.append((f"{split}-{n}", " ".join([MARKER, *words]), " ".join(words[::-1]), LABELS[n % 3], ""))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def write_dataset(folder: Path, splits: dict[str, pd.DataFrame] | None = None, **manifest: Any) -> Path:
    """A prepared data set folder; keywords go into the manifest."""
    splits = splits or {split: pairs(split, count) for split, count in ROWS.items()}
    return write_pairs(
        folder, splits, {"name": folder.name, "labels": LABELS, "splits": list(splits), **manifest}
    ).folder


def write_encoder(folder: Path) -> Path:
    """A saved random BERT: 2 layers of 4 heads, dropout 0.1, at most 64 tokens."""
    folder.mkdir(parents=True)
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]) + "\n")
    tokenizer = BertTokenizerFast(vocab=str(vocabulary), model_max_length=64)
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=64,
        initializer_range=0.2,  # large enough for heads that differ
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def short_options(dataset: Path, encoder: Path) -> dict[str, Any]:
    """The options of a short run: 6 steps an epoch, 2 epochs, both guides at their defaults."""
    return {
        "model": str(encoder),
        "dataset": str(dataset),
        "max_length": 48,
        "batch_size": 8,
        "eval_batch_size": 16,
        "epochs": 2,
        "learning_rate": 1e-3,
        "precision": "fp32",
        "offline": True,
    }


def listed(folder: Path) -> list[str]:
    """The names of what lies in a folder."""
    return sorted(path.name for path in folder.iterdir())


def as_flags(options: dict[str, Any]) -> list[str]:
    """Options as words of a command line."""
    words: list[str] = []
    for name, value in options.items():
        word = name.replace("_", "-")
        words += [f"--{'' if value else 'no-'}{word}"] if isinstance(value, bool) else [f"--{word}", str(value)]
    return words
